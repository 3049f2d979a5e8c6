"""What is here is run where the annex is in the list of wings: `tests/test_annex.py` makes such a copy."""

from mainstay.wings import WINGS

collect_ignore_glob = [] if "tests.annex" in [wing.app for wing in WINGS] else ["tests/*"]
