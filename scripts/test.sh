#!/usr/bin/env bash
# Sets everything up, checks the style and runs the tests. Arguments go to pytest: scripts/test.sh -k flip
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh
python=$(scripts/setup.sh --python)
PATH=$(dirname "$python"):$PATH
export PATH PYTHONNOUSERSITE=1

"$python" -m ruff check
exec "$python" -m pytest "$@"
