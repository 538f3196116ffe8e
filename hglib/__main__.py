"""`python -m hglib`: see `hglib.cli`."""

import sys

from hglib.cli import main

sys.exit(main())
