"""The command ``gencls`` as a module: ``python -m gencls --help``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
