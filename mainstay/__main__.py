import sys

from mainstay.cli import main

sys.exit(main())
