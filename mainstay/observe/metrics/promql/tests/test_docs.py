"""docs/promql.md says what is true."""

import re
from pathlib import Path

import pytest

from mainstay.observe.metrics.promql.aggregate import AGGREGATIONS
from mainstay.observe.metrics.promql.functions import FUNCTIONS, NATIVE_HISTOGRAM_FUNCTIONS
from mainstay.observe.metrics.promql.parse import parse
from mainstay.observe.metrics.promql.plan import Kind

DOCUMENT = Path(__file__).parents[5] / "docs" / "promql.md"
ARGUMENTS = {Kind.VECTOR: "x", Kind.MATRIX: "x[5m]", Kind.SCALAR: "0.5", Kind.STRING: '"a"'}


def test_the_table_of_functions_is_the_dict_of_functions() -> None:
    section = DOCUMENT.read_text("utf-8").split("### Functions")[1].split("\n### ")[0]
    documented = re.findall(r"^\| `(.+)` \| (.+) \|$", section, re.MULTILINE)
    assert documented == [(FUNCTIONS[name].signature, FUNCTIONS[name].doc) for name in sorted(FUNCTIONS)]


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_the_parser_takes_a_function_as_documented(name: str) -> None:
    function = FUNCTIONS[name]
    arguments = [ARGUMENTS[kind] for kind in function.arguments]
    assert function.name == name
    assert parse(f"{name}({', '.join(arguments)})").kind is function.returns
    assert parse(f"{name}({', '.join(arguments[: len(arguments) - function.optional])})").kind is function.returns
    if function.repeats:
        assert parse(f"{name}({', '.join([*arguments, arguments[-1]])})").kind is function.returns


def test_the_example_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    example = re.search(r"```python\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    assert example
    exec(compile(example[1], "docs/promql.md", "exec"), {})
    printed = capsys.readouterr().out
    for line in re.findall(r"# (\{.*)", example[1]):
        assert line.removesuffix(" …") in printed


def test_aggregations_and_what_is_left_out_are_named() -> None:
    text = DOCUMENT.read_text("utf-8")
    for name in (*AGGREGATIONS, *NATIVE_HISTOGRAM_FUNCTIONS):
        assert re.search(rf"\b{name}\b", text)
