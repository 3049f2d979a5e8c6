"""The configuration and the README say what the programs do."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from examples.shop.faults import FAULTS
from examples.shop.job import NAME

EXAMPLES = Path(__file__).parents[1]


def test_the_readme_lists_the_faults_as_they_are() -> None:
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| ([\d.]+) \| (.+?) \|$", readme, re.MULTILINE)
    assert rows == [(name, fault.unit, f"{fault.usual:g}", fault.does) for name, fault in FAULTS.items()]


def test_the_configuration_watches_the_shop_that_is_there() -> None:
    document = yaml.safe_load((EXAMPLES / "shop.yaml").read_text(encoding="utf-8"))
    (shop,) = document["applications"]
    components = {component["name"] for component in shop["components"]}
    checks = {check["name"]: check for check in shop["checks"]}
    assert checks.keys() == {"storefront", "api", "search", "health", "port", NAME}
    assert {check["component"] for check in checks.values()} <= components
    assert {name for component in shop["components"] for name in component.get("needs", [])} <= components
    urls = [check["http"]["url"] for check in checks.values() if "http" in check]
    assert {urlsplit(url).netloc for url in urls} == {"127.0.0.1:9001"}
    assert {name for route in document["routes"] for name in route["notify"]} == {
        channel["name"] for channel in document["channels"]
    }
