"""Templates of labels and annotations: Go's text/template with the functions of Prometheus, compiled once.

    template = Template.compile("{{ $labels.instance }} is at {{ $value | humanizePercentage }}")
    template.expand(Scope({"instance": "db1"}, 0.91))   # "db1 is at 91%"

A template may come from an untrusted editor: reading and rendering are bounded in nesting, steps, queries and output.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from mainstay.foundation.foreign import foreign
from mainstay.foundation.words.text import storable
from mainstay.respond.rules.template.functions import NAMES
from mainstay.respond.rules.template.go_format import MOST_CHARACTERS
from mainstay.respond.rules.template.parse import MAIN, parse
from mainstay.respond.rules.template.problem import RenderProblem, TemplateProblem
from mainstay.respond.rules.template.run import Renderer
from mainstay.respond.rules.template.syntax import Body, Text
from mainstay.respond.rules.template.values import Data, Sample, Samples, StringMap, Value

__all__ = ["RenderProblem", "Scope", "Template", "TemplateProblem"]

FAILED = "<error expanding template"
VARIABLES = ("$labels", "$externalLabels", "$externalURL", "$value")
Query = Callable[[str], Iterable[tuple[Mapping[str, str], float]]]


@dataclass(frozen=True, slots=True)
class Scope:
    """What a template is rendered with. `query` evaluates PromQL at the moment of the evaluation; it may raise."""

    labels: Mapping[str, str] = field(default_factory=dict)
    value: float = 0.0
    external_labels: Mapping[str, str] = field(default_factory=dict)
    external_url: str = ""
    query: Query | None = None
    now_ms: int = 0  # of the evaluation


@dataclass(frozen=True, slots=True)
class Template:
    """A template that has been read. `text` is what was written."""

    text: str
    _templates: Mapping[str, Body] = field(compare=False, repr=False)

    @classmethod
    def compile(cls, text: str) -> "Template":
        """Read a template.

        Raises:
            TemplateProblem: with what is wrong and where.
        """
        if len(text) > MOST_CHARACTERS:
            raise TemplateProblem(f"longer than {MOST_CHARACTERS} characters", 0)
        if "{{" not in text:
            return cls(text, {MAIN: (Text(text),)})
        try:
            return cls(text, parse(text, VARIABLES, NAMES))
        except RecursionError:
            raise TemplateProblem("nested too deep", 0) from None

    @property
    def is_plain(self) -> bool:
        """Whether it is only text, the same for every scope."""
        return "{{" not in self.text

    def render(self, scope: Scope) -> str:
        """Return the text.

        Raises:
            RenderProblem: it cannot be rendered with what is in `scope`.
        """
        if self.is_plain:
            return storable(self.text)
        data = Data(StringMap(scope.labels), StringMap(scope.external_labels), scope.external_url, float(scope.value))
        variables: dict[str, Value] = {
            "$labels": data.labels,
            "$externalLabels": data.external_labels,
            "$externalURL": data.external_url,
            "$value": data.value,
        }
        with foreign("the renderer", RenderProblem, RenderProblem):
            try:
                return storable(Renderer(self._templates, data, _asking(scope.query), variables, scope.now_ms).text())
            except RecursionError:
                raise RenderProblem("nested too deep") from None

    def expand(self, scope: Scope) -> str:
        """Return the text, or what Prometheus puts in its place when rendering fails. Raises nothing."""
        try:
            return self.render(scope)
        except RenderProblem as problem:
            return storable(f"{FAILED}: {problem}>")


def _asking(query: Query | None) -> Callable[[str], Samples]:
    def ask(expression: str) -> Samples:
        if query is None:
            raise RenderProblem("query: there is nothing to ask here")
        try:
            found = query(expression)
            return Samples(Sample(StringMap(labels), value) for labels, value in found)
        except RenderProblem:
            raise
        except Exception as error:  # whatever a source does, an alert is better than none
            raise RenderProblem(f"query {expression!r}: {error}") from error

    return ask
