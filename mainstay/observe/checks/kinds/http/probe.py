"""One probe of the `http` check: an exchange over a fresh connection, whose answer is judged."""

import time

from mainstay.foundation.words.text import one_sentence
from mainstay.net.policy import AddressPolicy
from mainstay.net.transfer import MICRO, Plan, Transfer
from mainstay.observe.checks.kinds.base import expects_no_connection
from mainstay.observe.checks.kinds.http.judge import Judge, Verdict
from mainstay.observe.checks.kinds.http.request import request_of
from mainstay.observe.checks.kinds.http.settings import HttpSettings
from mainstay.observe.checks.probe.conditions import Observation
from mainstay.observe.checks.probe.outcome import Health, Outcome, Phases


class ProbePlan(Plan):
    """What is the same for every probe of one check: its judge and its request."""

    __slots__ = ("judge",)

    def __init__(self, settings: HttpSettings) -> None:
        self.judge = Judge(settings)
        super().__init__(
            request_of(settings),
            follows=self.judge.follows,
            reads_headers=self.judge.reads_headers,
            reads_body=self.judge.reads_body,
        )


class Probe(Transfer):
    """One probe. When it has ended, `judge()` returns its outcome."""

    def __init__(self, plan: ProbePlan, policy: AddressPolicy, started_at: float, now: float, timeout_s: float) -> None:
        super().__init__(plan, policy, started_at, now, timeout_s)
        self._judge = plan.judge
        self.outcome: Outcome | None = None

    def belongs_aside(self) -> bool:
        """Whether `judge()` should run beside the loop."""
        return self.answer is not None and self._judge.belongs_aside(len(self.answer.body))

    def judge(self) -> Outcome:
        """The outcome; judges the answer first if there is one. Safe to call in another thread."""
        if self.outcome is None:
            answer = self.answer
            assert answer is not None
            self._conclude(self._judge.judge(answer), answer.status)
        assert self.outcome is not None
        return self.outcome

    def _conclude(self, verdict: Verdict, code: int) -> None:
        us = self._us
        self.outcome = Outcome(
            verdict.health,
            self.started_at,
            sum(us) * MICRO,
            one_sentence(verdict.message),
            Phases(us[0] * MICRO, us[1] * MICRO, us[2] * MICRO, us[3] * MICRO, us[4] * MICRO),
            code,
            self._facts,
        )

    def _unconnected(self, message: str) -> None:
        """DOWN, unless the conditions ask for just this (`[CONNECTED] == false`)."""
        seen = Observation(
            connected=False,
            response_time_s=sum(self._us) * MICRO,
            ip=self.addresses[0] if self.addresses else "",
            now=time.time(),
        )
        if expects_no_connection(self._judge.conditions, seen):
            self._ended(Health.UP, "")
        else:
            self._end(message)

    def _end(self, message: str, code: int | None = None) -> None:
        self._ended(Health.DOWN, message, code)

    def _ended(self, health: Health, message: str, code: int | None = None) -> None:
        us = self._us
        phases = Phases(*(part * MICRO for part in us)) if any(us) else None
        if self.addresses:
            self._facts.setdefault("ip", self.addresses[0])
        elapsed_s = time.perf_counter() - self.started_mono
        self.ended = True
        self.outcome = Outcome(health, self.started_at, elapsed_s, one_sentence(message), phases, code, self._facts)
