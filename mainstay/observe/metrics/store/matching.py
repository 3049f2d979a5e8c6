"""Matchers on columns of codes: each condition is an operation on integers, each text meets a pattern only once."""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import re2  # type: ignore[import-untyped]
from numpy.typing import NDArray

from mainstay.observe.metrics.promql.plan import Matcher, MatchKind
from mainstay.observe.metrics.promql.series import Codes, Mask, Symbols

_PATTERNS_MOST = 256
_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.dot_nl = True  # as Prometheus 3 has it
_OPTIONS.never_capture = True


class BadPattern(ValueError):
    """A regular expression is none that RE2 takes."""


class _Pattern:
    """A pattern and its verdict on each code: 1 matches, 0 does not, -1 not asked yet."""

    __slots__ = ("compiled", "verdicts")

    def __init__(self, text: str) -> None:
        try:
            self.compiled = re2.compile(text, _OPTIONS)
        except re2.error as error:
            raise BadPattern(f"{text!r} is no regular expression of RE2: {error}") from error
        self.verdicts = np.empty(0, np.int8)

    def matches(self, text: str) -> bool:
        return self.compiled.fullmatch(text) is not None


class Matching:
    """Answers which codes match; remembers the verdicts of the patterns used last."""

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._patterns: OrderedDict[str, _Pattern] = OrderedDict()

    def text(self, matcher: Matcher, text: str) -> bool:
        """Tell whether one text matches.

        Raises:
            BadPattern: the matcher's regular expression is none.
        """
        if matcher.kind in (MatchKind.EQUAL, MatchKind.NOT_EQUAL):
            return (text == matcher.value) == (matcher.kind is MatchKind.EQUAL)
        return self._pattern(matcher.value).matches(text) == (matcher.kind is MatchKind.REGEX)

    def column(self, matcher: Matcher, codes: Codes) -> Mask:
        """Tell which codes of a column match.

        Raises:
            BadPattern: the matcher's regular expression is none.
        """
        if matcher.kind in (MatchKind.EQUAL, MatchKind.NOT_EQUAL):
            code = self._symbols.find(matcher.value)
            equal: Mask = codes == code if code is not None else np.zeros(len(codes), np.bool_)
            return equal if matcher.kind is MatchKind.EQUAL else ~equal
        found: Mask = self._verdicts(self._pattern(matcher.value), codes) == 1
        return found if matcher.kind is MatchKind.REGEX else ~found

    def _verdicts(self, pattern: _Pattern, codes: Codes) -> NDArray[np.int8]:
        texts = self._symbols.texts
        if len(pattern.verdicts) < len(texts):
            fresh = np.full(len(texts) - len(pattern.verdicts), -1, np.int8)
            pattern.verdicts = np.concatenate([pattern.verdicts, fresh])
        found = pattern.verdicts[codes]
        unknown = np.unique(codes[found < 0])
        if not len(unknown):
            return found
        pattern.verdicts[unknown] = [pattern.matches(texts[code]) for code in unknown.tolist()]
        return pattern.verdicts[codes]

    def _pattern(self, text: str) -> _Pattern:
        pattern = self._patterns.get(text)
        if pattern is None:
            pattern = self._patterns[text] = _Pattern(text)
            if len(self._patterns) > _PATTERNS_MOST:
                self._patterns.popitem(last=False)
        else:
            self._patterns.move_to_end(text)
        return pattern


def name_of(matchers: Sequence[Matcher]) -> str | None:
    """Return the metric's name if the matchers leave only one."""
    for matcher in matchers:
        if matcher.name == "__name__" and matcher.kind is MatchKind.EQUAL and matcher.value:
            return matcher.value
    return None
