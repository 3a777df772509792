#!/usr/bin/env bash
# One `pip install` of requirements.txt. Safe to stop and to repeat: a second call takes seconds, and repairs.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
need_gb=${KPS_NEED_GB:-8}   # 7 stay
pip=(--no-input --disable-pip-version-check --retries 2)
usage="usage: scripts/setup.sh [--python | --help]

Installs the pins of requirements.txt and this project into the environment of the Python named by KPS_PYTHON, else
into the active venv or conda environment, else into .venv beside this folder, which it makes.
--python only prints that environment's Python; exit 1 if there is none yet. KPS_NEED_GB: disk space to insist on."

say() { printf '[set-up %d:%02d] %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$*"; }
die() { printf 'setup.sh: %s\n' "$*" >&2; exit 1; }

# probe PYTHON: sets version (3.11), kind (env or base) and path; all empty where it does not run.
probe() {
    version='' kind='' path=''
    read -r version kind path < <("$1" -c '
import os, sys
conda = os.path.isdir(sys.prefix + "/conda-meta") and not os.path.isdir(sys.prefix + "/condabin")
kind = "env" if sys.prefix != sys.base_prefix or conda else "base"
print("%d.%d" % sys.version_info[:2], kind, sys.executable)
' 2>/dev/null) || true
}
fits() { [[ $version == 3.1[123] ]]; }

# Sets python to the environment's; where there is none yet, leaves it empty and sets base to one that can make it.
choose_python() {
    local candidate found=''
    python='' base=''
    for candidate in "${KPS_PYTHON:-}" "${VIRTUAL_ENV:+$VIRTUAL_ENV/bin/python}" \
        "${CONDA_PREFIX:+$CONDA_PREFIX/bin/python}" .venv/bin/python; do
        [[ $candidate ]] || continue
        probe "$candidate"
        if fits && [[ $kind == env ]]; then python=$path; return; fi
        if [[ $candidate == .venv/bin/python && $version ]]; then
            die "$PWD/.venv has Python $version, 3.11 to 3.13 is needed: remove that folder"
        elif fits; then base=${base:-$path}
        elif [[ $candidate == "${KPS_PYTHON:-}" ]]; then die "KPS_PYTHON=$candidate is no Python 3.11 to 3.13 that runs"
        fi
    done
    if [[ $base ]]; then return; fi
    while read -r candidate; do
        probe "$candidate"
        if fits; then base=$path; return; fi
        if [[ $version ]]; then found="${found:+$found, }$version ($candidate)"; fi
    done < <(type -ap python3.12 python3.13 python3.11 python3 python)
    die "Python 3.11 to 3.13 is needed, found ${found:-none}: install one, or use environment.yml with conda"
}

# Says whether every file of every installed package is there in its size; forgets those where not, for pip to mend.
whole() {
    "$python" - <<'END'
import shutil, sys
from importlib.metadata import distributions
from pathlib import Path
from site import getsitepackages

broken = {*Path(getsitepackages()[0]).glob("~*")}  # what pip had set aside when it was stopped
for one in distributions(path=getsitepackages()):
    if Path(one._path).suffix != ".dist-info" or (one.read_text("INSTALLER") or "").strip() == "conda":
        continue
    files = [(Path(one.locate_file(file)), file.size) for file in one.files or () if file.suffix != ".pyc"]
    if not files or any(not path.exists() or size not in (None, path.stat().st_size) for path, size in files):
        broken.add(one._path)
for path in broken:
    print("set-up: mends", path.name)
    shutil.rmtree(path, ignore_errors=True)
sys.exit(bool(broken))
END
}

install() {
    local log=$prefix/kps-setup.log lines
    say "installing requirements.txt into $prefix (about 3 minutes, of which 1 to fetch 3 GB)"
    export TMPDIR=$prefix/kps-setup-tmp   # /tmp may be small, or memory
    rm -rf "$TMPDIR"
    mkdir "$TMPDIR"
    : >"$log"
    for lines in ^nvidia '^(torch|triton)' ''; do   # by parts: 3 GB of downloads need not lie beside what is unpacked
        grep -E "$lines" requirements.txt >"$TMPDIR/pins" || continue
        if ! "$python" -m pip "${pip[@]}" install --no-compile ${lines:+--no-deps} -r "$TMPDIR/pins" \
            2>&1 | tee -a "$log" | awk '/^Collecting/ && ++n % 40 == 0 {print "  " n " packages found"; fflush()}
                                        /^(Building wheels|Installing coll)/ {print "  " $1 " " $2; fflush()}'; then
            case $(cat "$log") in
                *"No space left"*) die "the disk of $prefix is full" ;;
                *NewConnectionError* | *"Max retries"*) die "no network: the package index cannot be reached; see $log" ;;
            esac
            die "pip failed: $(grep -i '^error' "$log" | tail -n 1 | cut -c 1-300); its output is in $log"
        fi
    done
    say "compiling the packages to byte code, and trying what was installed"
    "$python" -m compileall -q -j 0 "$prefix"/lib/python3*/site-packages >/dev/null || true   # test files may be broken
    "$python" -P -W ignore -c 'import kps, kps.models, pathlib; assert pathlib.Path(kps.__file__).parent.samefile("kps")' \
        >>"$log" 2>&1 || die "the packages do not load (PYTHONPATH set?): $(tail -n 1 "$log"); see $log"
    rm -rf "$TMPDIR"
}

case ${1:-} in
    --help | -h) echo "$usage"; exit ;;
    --python) choose_python; [[ $python ]] || die "not set up yet: call scripts/setup.sh"; echo "$python"; exit ;;
    '') ;;
    *) echo "$usage" >&2; exit 2 ;;
esac
export PYTHONNOUSERSITE=1 PIP_USER=0
choose_python
if [[ ! $python ]]; then
    say "making .venv with $base"
    "$base" -m venv --clear .venv >/dev/null || die "$base cannot make virtual environments: apt install python3-venv"
    python=$PWD/.venv/bin/python
fi
prefix=$("$python" -c 'import sys; print(sys.prefix)')
exec 9>"$prefix/kps-setup.lock"
flock 9   # another set-up of this environment ends first
stamp=$(cat requirements.txt pyproject.toml scripts/setup.sh <(echo "$PWD $prefix") | sha256sum)
if whole && [[ $stamp == "$(cat "$prefix/kps-setup.stamp" 2>/dev/null)" ]]; then say "ready: $python"; exit; fi
rm -f "$prefix/kps-setup.stamp"
free=$(df -Pk "$prefix" | awk 'NR == 2 {print int($4 / 1048576)}')
((free >= need_gb)) || die "$need_gb GB of free disk space are needed in $prefix, there are $free GB"
((free >= need_gb + 3)) || pip+=(--no-cache-dir)   # which would keep the downloads for another environment
install
echo "$stamp" >"$prefix/kps-setup.stamp"   # last: this environment is complete
say "ready: $python"
