"""docs/config-file.md is what the specs say, and shows the contract's file."""

from pathlib import Path

from mainstay.config.reference import CONTRACT, markdown

REFERENCE = Path(__file__).parents[3] / "docs" / "config-file.md"


def test_the_reference_is_made_from_the_specs() -> None:
    """When this fails: python -m mainstay.config.reference > docs/config-file.md"""
    assert REFERENCE.read_text(encoding="utf-8") == markdown()
    assert f"```yaml\n{CONTRACT}```" in markdown()


def test_fields_show_type_default_and_purpose() -> None:
    lines = markdown().splitlines()
    assert "| `every` | span of time | `1m` | Interval, 1s to 1d. |" in lines
    assert "| `bearer` | secret text | | Token sent as `Authorization: Bearer …`. |" in lines
    assert any(line.startswith("| `expect.status` ") and "| `2xx` |" in line for line in lines)
    assert not any(line.startswith("| `http.") for line in lines)
