"""`python -m kps`."""

import sys

from kps.cli import main

if __name__ == "__main__":
    sys.exit(main())
