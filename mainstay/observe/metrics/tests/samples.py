"""A target for the tests of all wings (desk/tests/desk.py)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any


def fill(places: Mapping[str, Any], at: datetime) -> dict[str, object]:
    return {"identity": "0a1b2c3d4e5f"}
