"""Judge an HTTP answer: expectations, conditions, softer limits. Pure."""

from dataclasses import dataclass

from mainstay.foundation.words.durations import spoken_duration
from mainstay.foundation.words.pattern import Pattern, compile_pattern
from mainstay.net.addresses import shown_url
from mainstay.net.transfer import Answer
from mainstay.observe.checks.kinds.base import failing
from mainstay.observe.checks.kinds.http.comparison import Comparison
from mainstay.observe.checks.kinds.http.settings import HttpSettings
from mainstay.observe.checks.kinds.http.status import format_statuses
from mainstay.observe.checks.probe.charset import as_utf8
from mainstay.observe.checks.probe.conditions import Condition, Observation, Placeholder
from mainstay.observe.checks.probe.jsonpath import MISSING, Path, parse_path
from mainstay.observe.checks.probe.outcome import Health

INLINE_BODY_BYTES = 64 * 1024
INLINE_PATTERN_STEPS = 500_000  # about 2 ms


@dataclass(frozen=True, slots=True)
class Verdict:
    health: Health
    message: str


UP = Verdict(Health.UP, "")


class Judge:
    """The expectations of one check, compiled once."""

    def __init__(self, settings: HttpSettings) -> None:
        expect = settings.expect
        self._settings = settings
        self.conditions: tuple[Condition, ...] = settings.compiled_conditions()
        asks = frozenset(each for condition in self.conditions for each in condition.asks)
        judged_by_condition = Placeholder.STATUS in asks and "status" not in expect.model_fields_set
        # A condition on [STATUS] replaces the default range, otherwise `[STATUS] == 404` could never be up.
        self._ranges = () if judged_by_condition else expect.status
        self._latency_s = expect.max_latency
        self._warn_latency_s = settings.warn.max_latency
        self._warn_days = settings.warn.certificate_days_left
        self._contains = expect.body_contains.encode() if expect.body_contains is not None else None
        self._not_contains = expect.body_not_contains.encode() if expect.body_not_contains is not None else None
        self._pattern: Pattern | None = (
            compile_pattern(expect.body_matches) if expect.body_matches is not None else None
        )
        self._headers = tuple((name, name.lower(), comparison) for name, comparison in expect.headers.items())
        self._json: tuple[tuple[Path, Comparison], ...] = tuple(
            (parse_path(path), comparison) for path, comparison in expect.json_values.items()
        )
        self._location = expect.location
        self.follows = settings.follow_redirects and expect.location is None
        self.reads_headers = bool(self._headers) or Placeholder.HEADER in asks
        self.reads_body = (
            Placeholder.BODY in asks
            or bool(self._json)
            or any(each is not None for each in (self._contains, self._not_contains, self._pattern))
        )
        self.pattern_size = (self._pattern.size if self._pattern is not None else 0) + sum(
            comparison.pattern_size() for comparison in expect.json_values.values()
        )

    def belongs_aside(self, body_length: int) -> bool:
        """Whether judging may take more than a few milliseconds and so must not hold the loop."""
        if not self.reads_body:
            return False
        return body_length > INLINE_BODY_BYTES or self.pattern_size * body_length > INLINE_PATTERN_STEPS

    def judge(self, answer: Answer) -> Verdict:
        """DOWN with the first failing expectation, else DEGRADED with the first missed softer limit, else UP."""
        wrong = self._violated(answer)
        if wrong:
            return Verdict(Health.DOWN, wrong)
        warning = self._missed(answer)
        return Verdict(Health.DEGRADED, warning) if warning else UP

    def _violated(self, answer: Answer) -> str:
        status = answer.status
        if self._ranges and not any(low <= status <= high for low, high in self._ranges):
            wanted = format_statuses(self._ranges)
            listed = ", ".join(map(str, wanted)) if isinstance(wanted, list) else wanted
            leading = f", redirecting to {shown_url(answer.location)}" if answer.location else ""
            return f"{self._asked()} answered with status {status}{leading}; expected {listed}."
        if self._latency_s is not None and answer.duration_s > self._latency_s:
            allowed = spoken_duration(self._latency_s)
            return f"{self._asked()} took {spoken_duration(answer.duration_s)}; at most {allowed} are allowed."
        for name, lowered, comparison in self._headers:
            wrong = comparison.failing_all(answer.headers.get(lowered, ()))
            if wrong:
                return f"{self._asked()} answered, but its header {name} {wrong}."
        if self._location is not None:
            wrong = self._location.failing(answer.location or MISSING, shown=shown_url(answer.location))
            if wrong:
                return f"{self._asked()} answered with status {status}, but the redirect's location {wrong}."
        if self.reads_body:
            wrong = self._body(answer)
            if wrong:
                return wrong
        days = self._settings.expect.certificate_days_left
        if days is not None and (answer.certificate_days_left is None or answer.certificate_days_left < days):
            return self._certificate(answer, days)
        if not self.conditions:
            return ""
        seen = Observation(
            connected=True,
            response_time_s=answer.duration_s,
            status=status,
            ip=answer.ip,
            body=self._text(answer),
            headers=answer.headers,
            certificate_expires_in_s=(answer.certificate_days_left or 0.0) * 86400,
            now=answer.now,
        )
        return failing(self.conditions, seen)

    def _body(self, answer: Answer) -> str:
        body, read = self._text(answer), f"{len(answer.body)} bytes read"
        if self._contains is not None and self._contains not in body:
            wanted = self._settings.expect.body_contains
            return f'The body of {self._asked()} does not contain "{wanted}" ({read}).'
        if self._not_contains is not None and self._not_contains in body:
            return (
                f'The body of {self._asked()} contains "{self._settings.expect.body_not_contains}", which it must not.'
            )
        if self._pattern is not None and not self._pattern.search(body):
            return f'The body of {self._asked()} does not match "{self._pattern.text}" ({read}).'
        if not self._json:
            return ""
        document = Observation(body=body).document()
        if document is MISSING:
            return f"The body of {self._asked()} is not JSON ({read})."
        for path, comparison in self._json:
            values = list(path.all(document)) or [MISSING]
            for value in values:
                wrong = comparison.failing(value)
                if wrong:
                    return f"In the JSON of {self._asked()}, {path.text} {wrong}."
        return ""

    def _text(self, answer: Answer) -> bytes:
        return as_utf8(answer.body, answer.content_type) if self.reads_body else b""

    def _missed(self, answer: Answer) -> str:
        if self._warn_latency_s is not None and answer.duration_s > self._warn_latency_s:
            slow = spoken_duration(self._warn_latency_s)
            return f"{self._asked()} took {spoken_duration(answer.duration_s)}; more than {slow} is slow."
        days = self._warn_days
        if days is not None and (answer.certificate_days_left is None or answer.certificate_days_left < days):
            return self._certificate(answer, days)
        return ""

    def _certificate(self, answer: Answer, wanted: float) -> str:
        left, shown_by = answer.certificate_days_left, answer.certificate_of
        if left is None:
            return f"{self._asked()} showed no certificate whose end could be read."
        return f"The certificate of {shown_by} expires in {left:.1f} days; at least {wanted:g} are required."

    def _asked(self) -> str:
        return f"{self._settings.method} {shown_url(self._settings.url)}"
