#!/usr/bin/env bash
# Sets up everything that the package, the notebooks and the tests need. Safe to repeat: a second call takes seconds.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/kps
NEED_GB=${KPS_NEED_GB:-12}   # 6 stay; while it installs, 3 for the downloads and 3 in pip's cache
SOURCES='xtcocotools|onedl-mmcv|onedl-mmdetection|connection-pool'   # these are not installed from ready wheels
PIP=(-m pip --no-input --disable-pip-version-check --no-color)
job=''
scratch=''

usage() {
    cat <<EOF
usage: scripts/setup.sh [--check | --python | --help]

Installs the pins of requirements.txt and this project into a Python environment: KPS_PYTHON's if that is set,
else the active venv or conda environment, else .venv beside this folder, which is made. About 2 minutes of download,
then mmcv's ops are compiled (about 5 to 15 minutes on 2 cores, once: the wheel is kept in $CACHE).

  --check    only say what is missing; exit 1 if something is
  --python   only print the environment's Python; exit 1 if there is none yet

  KPS_PYTHON             the Python (3.11 to 3.13) to use: an environment's own, or one to make .venv with
  FORCE_CUDA=1           compile the CUDA ops though no GPU is visible (a login node); needs nvcc
  TORCH_CUDA_ARCH_LIST   GPU architectures to compile for, as "8.0;9.0+PTX"; the visible GPUs' by default
  MAX_JOBS               compilers at once; processors, or memory / 2 GB where that is less, by default
  KPS_NEED_GB            free disk space to insist on; 12 by default
EOF
}

say() { printf '[set-up %d:%02d] %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$*"; }
die() { printf 'setup.sh: %s\n' "$*" >&2; exit 1; }

stop() {
    trap - INT TERM HUP
    if [[ $job ]]; then kill -TERM -- "-$job" 2>/dev/null || true; fi
    say "stopped; call it again to go on from here"
    exit 130
}

# run LOG COUNTER COMMAND...: runs COMMAND with its output in LOG and prints COUNTER's words every 30 seconds.
run() {
    local log=$1 counter=$2 begin=$SECONDS next=30
    shift 2
    mkdir -p "$(dirname "$log")"
    setsid "$@" >"$log" 2>&1 </dev/null &
    job=$!
    while kill -0 "$job" 2>/dev/null; do
        sleep 0.5
        if ((SECONDS - begin >= next)); then
            say "  $($counter "$log"), $((SECONDS - begin)) s"
            next=$((next + 30))
        fi
    done
    if ! wait "$job"; then
        job=''
        tail -n 12 "$log" >&2
        die "'$(basename "$log" .log)' failed; its whole output is in $log"
    fi
    job=''
    say "  done in $((SECONDS - begin)) s"
}

still() { echo "still at it"; }
count_collected() {
    if grep -q '^Installing collected' "$1"; then echo "all fetched, unpacking"; else
        echo "$(grep -c '^Collecting' "$1" || true) of $total packages fetched"
    fi
}
count_objects() {
    local all
    all=$(find "$source" -name build.ninja -exec grep -hc '^build .*compile' {} + | head -n 1)
    echo "$(find "$source/build" -name '*.o' 2>/dev/null | wc -l) of ${all:-?} objects compiled"
}

# probe PYTHON: sets version (3.11), kind (env or base), able (1: can make a venv), path; all empty if it does not run.
probe() {
    version='' kind='' able='' path=''
    read -r version kind able path < <("$1" -c '
import os, sys
prefix, base = sys.prefix, getattr(sys, "base_prefix", sys.prefix)
conda_environment = os.path.isdir(prefix + "/conda-meta") and not os.path.isdir(prefix + "/condabin")
try:
    import ensurepip, venv
    able = 1
except ImportError:
    able = 0
kind = "env" if prefix != base or conda_environment else "base"
print("%d.%d %s %d %s" % (sys.version_info[:2] + (kind, able, sys.executable)))
' 2>/dev/null) || true
}
fits() { [[ $1 == 3.1[123] ]]; }

# Sets PY to the environment's Python; where none is there yet, sets BASE to the one that can make .venv.
choose_python() {
    local candidate version kind able path unable='' found=''
    PY='' BASE='' BROKEN=''
    for candidate in "${KPS_PYTHON:-}" "${VIRTUAL_ENV:+$VIRTUAL_ENV/bin/python}" \
        "${CONDA_PREFIX:+$CONDA_PREFIX/bin/python}"; do
        [[ $candidate ]] || continue
        probe "$candidate"
        if fits "$version" && [[ $kind == env ]]; then PY=$path; return; fi
        if fits "$version" && ((able)); then BASE=$path; break; fi
        [[ $candidate != "${KPS_PYTHON:-}" ]] || die "KPS_PYTHON=$candidate is no Python 3.11, 3.12 or 3.13 that runs"
    done
    if [[ -e $ROOT/.venv ]]; then
        probe "$ROOT/.venv/bin/python"
        if [[ $version ]] && ! fits "$version"; then
            die "$ROOT/.venv has Python $version, 3.11, 3.12 or 3.13 is needed: remove that folder"
        fi
        if [[ $version ]] && "$ROOT/.venv/bin/python" -m pip --version >/dev/null 2>&1; then
            PY=$ROOT/.venv/bin/python
            return
        fi
        BROKEN=1
    fi
    if [[ $BASE ]]; then return; fi
    while read -r candidate; do
        probe "$candidate"
        if fits "$version" && ((able)); then BASE=$path; return; fi
        if fits "$version"; then unable=$path; fi
        if [[ $version ]]; then found="${found:+$found, }$version ($candidate)"; fi
    done < <(type -ap python3.12 python3.11 python3.13 python3 python)
    if [[ $unable ]]; then die "$unable cannot make virtual environments: apt install python3-venv"; fi
    die "Python 3.11, 3.12 or 3.13 is needed, found ${found:-none}: install one, or use environment.yml with conda"
}

need_space() {  # need_space FOLDER GB
    local folder=$1 free
    while [[ ! -d $folder ]]; do folder=$(dirname "$folder"); done
    free=$(df -Pk "$folder" | awk 'NR == 2 {print int($4 / 1048576)}')
    ((free >= $2)) || die "$2 GB of free disk space are needed in $folder, there are $free GB"
}

need_compiler() {
    local compiler=${CXX:-c++} include
    compiler=${compiler%% *}   # CXX may carry options
    command -v "$compiler" >/dev/null || die "no C++ compiler ($compiler): apt install g++, or conda install cxx-compiler"
    include=$("${PY:-$BASE}" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    [[ -e $include/Python.h ]] || die "Python's headers ($include/Python.h) are missing: apt install python3-dev"
}

check_needs() {
    [[ $(uname -s) == Linux ]] || die "the pinned packages are for Linux, this is $(uname -s)"
    choose_python
    if [[ ! $PY ]] || [[ ! -e $(dirname "$PY")/../kps-setup.json ]]; then
        need_space "$ROOT" "$NEED_GB"
        compgen -G "$CACHE/wheels/*/onedl_mmcv-*.whl" >/dev/null || need_compiler
    fi
}

# build_wheel NAME TIME: builds NAME's wheel in $wheels, or finds it there, and adds it to $built.
# The sources and objects stay in $build until the wheel is done, so a stopped compile goes on where it was.
build_wheel() {
    local name=$1 version stem source
    version=$(awk -F== -v name="$name" '$1 == name {print $2}' "$ROOT/requirements.txt")
    stem=${name//-/_}-$version
    if ! compgen -G "$wheels/$stem-*.whl" >/dev/null; then
        need_compiler
        need_space "$CACHE" 1
        source=$build/$stem
        if [[ ! -d $source ]]; then
            say "fetching the sources of $name $version"
            run "$build/$name-sources.log" still "$PY" "${PIP[@]}" download --no-deps --no-build-isolation \
                --no-binary "$name" -d "$scratch/$name" "$name==$version"
            tar -xf "$scratch/$name/"*.tar.gz -C "$scratch/$name"
            mv "$scratch/$name/"*/ "$source"
        fi
        say "compiling $name $version, ops: $flavour, $MAX_JOBS compilers at once (on 2 cores about $2)"
        run "$build/$name.log" count_objects "$PY" "${PIP[@]}" wheel -v --no-deps --no-build-isolation --use-pep517 \
            -w "$source/dist" "$source"
        mkdir -p "$wheels"
        mv "$source/dist/"*.whl "$wheels/"
        rm -rf "$source"
    fi
    built+=("$(compgen -G "$wheels/$stem-*.whl")")
}

install() {
    local prefix total plan flavour build wheels built=() pure=()
    if [[ ! $PY ]]; then
        say "${BROKEN:+.venv is broken: }making .venv with $("$BASE" --version) (a few seconds)"
        "$BASE" -m venv --clear "$ROOT/.venv"
        PY=$ROOT/.venv/bin/python
    fi
    prefix=$("$PY" -c 'import sys; print(sys.prefix)')
    rm -rf "$prefix/kps-setup-tmp"
    scratch=$prefix/kps-setup-tmp
    mkdir "$scratch"
    export TMPDIR=$scratch   # /tmp may be small, or memory
    "$PY" "$ROOT/scripts/environment.py" missing >"$scratch/missing.txt"
    grep -vE "^($SOURCES)==" "$scratch/missing.txt" >"$scratch/wheels.txt" || true
    total=$(grep -c == "$scratch/wheels.txt" || true)
    if ((total)); then
        if grep -q '^torch==' "$scratch/wheels.txt"; then need_space "$prefix" "$NEED_GB"; fi
        say "installing $total packages into $prefix (about 2 minutes; longer where 3 GB take long to fetch)"
        run "$prefix/kps-setup.log" count_collected "$PY" "${PIP[@]}" install --no-deps --only-binary :all: \
            --no-warn-script-location -r "$scratch/wheels.txt"
    fi

    plan=$("$PY" "$ROOT/scripts/environment.py" ops)
    mapfile -t plan <<<"$plan"   # flavour, key, folder of CUDA, compilers at once, remark
    flavour=${plan[0]} build=$CACHE/build/${plan[1]} wheels=$CACHE/wheels/${plan[1]}
    if [[ ${plan[4]:-} ]]; then say "${plan[4]}"; fi
    export MAX_JOBS=${MAX_JOBS:-${plan[3]}} PATH=$prefix/bin:$PATH
    export CFLAGS="${CFLAGS:--O2 -fwrapv -DNDEBUG} -g0" LDFLAGS="${LDFLAGS:-} -Wl,-s"   # no debug symbols
    if [[ $flavour == cpu ]]; then
        export FORCE_CUDA=0 CUDA_VISIBLE_DEVICES=''
    else
        export FORCE_CUDA=1 CUDA_HOME=${plan[2]} TORCH_CUDA_ARCH_LIST=${flavour#cuda-}
    fi
    build_wheel xtcocotools "half a minute"
    build_wheel onedl-mmcv "5 to 15 minutes, far longer with CUDA"

    say "installing what was compiled, and this project (about half a minute)"
    mapfile -t pure < <(grep -E '^(onedl-mmdetection|connection-pool)==' "$scratch/missing.txt")
    run "$prefix/kps-setup.log" still "$PY" "${PIP[@]}" install --no-deps --no-build-isolation --force-reinstall \
        "${built[@]}" "${pure[@]}" -e "$ROOT"
    say "checking that it works (about 20 seconds)"
    "$PY" -W ignore "$ROOT/scripts/environment.py" verify "$flavour" >"$scratch/verified.txt"
    say "ready: $(tail -n 1 "$scratch/verified.txt")"
}

is_ready() { [[ $PY ]] && "$PY" -W ignore "$ROOT/scripts/environment.py" ready >/dev/null; }

main() {
    export PYTHONNOUSERSITE=1 PIP_USER=0
    case ${1:-} in
        --help | -h) usage; exit ;;
        --python) choose_python; [[ $PY ]] || die "not set up yet: call scripts/setup.sh"; echo "$PY"; exit ;;
        --check) check_needs; say "nothing is missing for ${PY:-a .venv made with $BASE}"; exit ;;
        '') ;;
        *) usage >&2; exit 2 ;;
    esac
    check_needs
    if is_ready; then say "ready: $PY"; exit; fi
    mkdir -p "$CACHE"
    exec 9>"$CACHE/setup.lock"   # inherited by the compilers: after a kill -9 the next call waits for those it left
    until flock -w 30 9; do
        (($? == 1)) || die "$CACHE/setup.lock cannot be locked: set XDG_CACHE_HOME to a folder on a local disk"
        say "waiting for another set-up to end"
    done
    trap stop INT TERM HUP
    trap 'rm -rf "$scratch"' EXIT
    choose_python
    if is_ready; then say "ready: $PY"; exit; fi
    install
}

main "$@"
