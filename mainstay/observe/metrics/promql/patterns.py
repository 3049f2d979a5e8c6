"""Label matching: each distinct text is judged once; regular expressions are RE2's, so none takes exponential time."""

import re
from functools import lru_cache

import re2  # type: ignore[import-untyped]  # google-re2 ships no types

from mainstay.observe.metrics.promql.errors import QueryError
from mainstay.observe.metrics.promql.plan import Matcher, MatchKind

_MEMORY_BYTES = 4 << 20
_LONGEST = 32_768
_REMEMBERED = 100_000


class Pattern:
    """A regular expression, anchored at both ends; `.` matches a line break too, as in Prometheus 3."""

    __slots__ = ("_compiled", "_known", "text")

    def __init__(self, text: str) -> None:
        if len(text) > _LONGEST:
            raise QueryError(f"The regular expression has {len(text)} characters; {_LONGEST} are allowed.")
        options = re2.Options()
        options.log_errors = False
        options.dot_nl = True
        options.max_mem = _MEMORY_BYTES
        try:
            self._compiled = re2.compile(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"), options)
        except re2.error as wrong:
            reason = wrong.args[0].decode("utf-8", "replace") if isinstance(wrong.args[0], bytes) else str(wrong)
            raise QueryError(f"The regular expression {text!r} is not valid (RE2 syntax): {reason}.") from None
        self.text = text
        self._known: dict[str, bool] = {}

    def matches(self, text: str) -> bool:
        """Tell whether the whole text matches."""
        known = self._known.get(text)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[text] = self._compiled.fullmatch(text) is not None
        return known

    def expand(self, text: str, template: str) -> str | None:
        """Return the template with `$1`, `${1}` and `${name}` filled from the match; None without a match."""
        found = self._compiled.fullmatch(text)
        if found is None:
            return None
        names = self._compiled.groupindex

        def filled(reference: re.Match[str]) -> str:
            name = reference.group(1) or reference.group(2)
            if reference.group() == "$$":
                return "$"
            number = int(name) if name.isdigit() else names.get(name, -1)
            if not 0 <= number <= self._compiled.groups:
                return ""
            return found.group(number) or ""

        return _REFERENCE.sub(filled, template)


_REFERENCE = re.compile(r"\$(?:\$|\{(\w+)\}|(\w+))", re.ASCII)


@lru_cache(maxsize=1024)
def pattern(text: str) -> Pattern:
    """Return the compiled regular expression; QueryError if it is not valid."""
    return Pattern(text)


def accepts(matcher: Matcher, text: str) -> bool:
    """Tell whether a label with this text ("" if absent) satisfies the matcher."""
    match matcher.kind:
        case MatchKind.EQUAL:
            return text == matcher.value
        case MatchKind.NOT_EQUAL:
            return text != matcher.value
        case MatchKind.REGEX:
            return pattern(matcher.value).matches(text)
        case MatchKind.NOT_REGEX:
            return not pattern(matcher.value).matches(text)
