"""That the chaos run's verdict can be believed."""

from tests.chaos.ledger import Judgement, Outage, Telling, judge


def told(at: float, subject: str = "a", *, firing: bool = True, thread: str = "t", key: str = "k") -> Telling:
    return Telling(at, subject, firing, thread, key)


def judged(*tellings: Telling, outages: list[Outage] | None = None) -> Judgement:
    return judge(outages or [Outage("a", 10.0, 50.0)], tellings, slack_s=5.0)


def test_an_outage_that_was_told_and_resolved_is_sound() -> None:
    found = judged(told(12), told(52, firing=False, key="r"))
    assert found.sound
    assert found.waits_s == [2.0]


def test_what_nobody_heard_of_is_lost_and_what_never_ended_is_unresolved() -> None:
    assert judged().lost == ["a broken at 10.0"]
    assert judged(told(12)).unresolved == ["a broken at 10.0"]


def test_a_page_before_an_outage_long_after_it_or_of_something_well_is_false() -> None:
    assert len(judged(told(9), told(56), told(20, "b")).false) == 3
    assert not judged(told(54)).false


def test_two_threads_are_two_pages_but_the_same_key_is_a_repetition() -> None:
    assert judged(told(12), told(13, thread="u", key="l")).twice
    again = judged(told(12), told(13), told(52, firing=False, key="r"))
    assert again.sound
    assert again.repeated == 1


def test_each_outage_of_one_subject_is_judged_by_itself() -> None:
    outages = [Outage("a", 10.0, 20.0), Outage("a", 100.0, 120.0)]
    found = judged(told(12), told(22, firing=False), told(101, thread="u", key="l"), outages=outages)
    assert found.unresolved == ["a broken at 100.0"]
    assert not found.twice
