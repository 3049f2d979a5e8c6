"""What the operations of the annex take, for the tests of all wings (desk/tests/desk.py)."""

BODIES = {"call_contract": {"note": "The rack burns."}}
