"""``python -m shelfvision`` is the same as ``shelfvision``."""

import sys

from shelfvision.cli.main import main

sys.exit(main())
