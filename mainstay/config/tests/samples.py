"""Bodies of requests with a file, for the tests of all wings (desk/tests/desk.py)."""

BODIES = {
    "apply_config": {"text": "applications: [{name: other}]", "file": "other.yaml"},
    "plan_config": {"text": "applications: [{name: other}]"},
}
