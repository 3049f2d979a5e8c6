"""An application that is described anew, for the tests of all wings (desk/tests/desk.py)."""

BODIES = {"replace_application": {"name": "shop", "description": "Sells lamps."}}
