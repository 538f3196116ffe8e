"""`python -m hglib`: see `hglib.commands`."""

import sys

from hglib.commands import main

sys.exit(main())
