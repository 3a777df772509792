#!/usr/bin/env bash
# Sets everything up, then runs the whole flow at demo size, from photos to a validated submission zip and a report.
# Safe to stop and to repeat: what is done is not done again. Arguments go to `kps run`: scripts/demo.sh --cores 4
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh
python=$(scripts/setup.sh --python)
PATH=$(dirname "$python"):$PATH
export PATH PYTHONNOUSERSITE=1

"$python" -m kps run --profile demo "$@"
if [[ " $* " == *" --dry-run "* || " $* " == *" --help "* ]]; then exit; fi

"$python" -m kps validate submissions/demo/submission.zip
echo "submission: $PWD/submissions/demo/submission.zip"
echo "report:     $PWD/runs/demo/report.html"
