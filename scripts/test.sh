#!/usr/bin/env bash
# Sets everything up, checks the style and runs the tests. Arguments go to pytest: scripts/test.sh -k flip
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh
python=$(scripts/setup.sh --python)
PATH=$(dirname "$python"):$PATH
export PATH PYTHONNOUSERSITE=1

"$python" -m ruff check
# A file of tests stays in one process: they share what takes long to make.
OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} exec "$python" -m pytest -n auto --dist loadfile "$@"
