"""`python -m bambino` is `bambino`."""

import sys

from bambino.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
