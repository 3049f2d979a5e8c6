"""What a wing says of itself is there and has a place; what is not is said in one sentence that names the wing."""

from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.urls import get_resolver

from mainstay import prepare
from mainstay.desk import compose
from mainstay.foundation.dotted import module, named
from mainstay.foundation.processes import supervise, template
from mainstay.foundation.refusal import CannotStart
from mainstay.foundation.wing import REGIONS, Part, Place, Wing
from mainstay.wings import WINGS

ROOT = Path(__file__).parent.parent


def wrong(wing: Wing) -> Iterator[str]:
    """What a wing names and nobody would find."""
    names = get_resolver().reverse_dict
    urls = [("places", one.url) for one in wing.places] + [("actions", one.url) for one in wing.actions]
    urls += [("subjects", one.url) for one in wing.subjects.values()]
    yield from (f'{wing.app}: {field}: no address is named "{url}"' for field, url in urls if url not in names)
    for place in wing.places:
        if place.icon and not finders.find(f"mainstay/icons/{place.icon}.svg"):
            yield f'{wing.app}: places: no icon is named "{place.icon}"'
    paths = [*compose.paths(wing), *(("cycles", path) for path in wing.cycles.values())]
    paths += [("reports", one.find) for one in wing.reports] + [("kept", one.copy) for one in wing.kept]
    for field, path in paths:
        try:
            named(wing, field, path)
        except CannotStart as error:
            yield str(error)
    for name, command in wing.commands.items():
        if not {"add_arguments", "run"} <= set(dir(import_module(command.module))):
            yield f"{wing.app}: commands: {name} lacks add_arguments or run"


def test_what_wings_name_is_there() -> None:
    found = [one for wing in WINGS for one in wrong(wing)]
    keys = Counter(place.key for wing in WINGS for place in wing.places if place.key)
    found += [f'the key "{key}" opens {n} places' for key, n in keys.items() if n > 1]
    assert not found, "\n".join(found)


def test_what_is_not_there_is_found() -> None:
    lost = Wing(
        "tests.lost",
        places=(Place("Lost", "lost", "Respond", 1, "no-such-icon"),),
        resources=("tests.lost.resource.LOST",),
    )
    assert [one.partition(": No module")[0] for one in wrong(lost)] == [
        'tests.lost: places: no address is named "lost"',
        'tests.lost: places: no icon is named "no-such-icon"',
        'the wing tests.lost names "tests.lost.resource.LOST" in `resources`, which cannot be imported',
    ]


def test_every_region_of_a_shared_page_is_drawn() -> None:
    """One that is not would swallow the parts in it."""
    from mainstay.desk import application, now

    assert {*now._REGIONS, *now._BESIDE} == set(REGIONS["now"])
    assert {*application._REGIONS, *application._BESIDE} == set(REGIONS["application"])
    text = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "mainstay").rglob("pages/*.py"))
    for page in ("check", "channel", "group"):
        assert all(f'region("{page}", "{name}", ' in text for name in REGIONS[page])


def test_what_would_vanish_without_a_word_is_refused() -> None:
    with pytest.raises(ValueError, match='the place "Lost" has the group "Respnd"; write one of: first, Observe,'):
        Place("Lost", "lost", "Respnd", 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r'the part "a.b" has the page "noww"; write one of: now, application,'):
        Part("noww", "live", 1, "a.b")
    with pytest.raises(ValueError, match='of the page "now" has the region "liv"; write one of: live, fleet, side,'):
        Part("now", "liv", 1, "a.b")
    with pytest.raises(ValueError, match='a cycle of the wing lost has the process "wroker"; write one of: monitor,'):
        Wing("lost", cycles={"wroker": "a.b"})


def test_a_name_that_leads_nowhere_is_said_with_its_wing_and_field() -> None:
    lost = Wing("tests.lost")
    with pytest.raises(CannotStart, match=r'^the wing tests.lost names "tests.lost.now" in `parts`, which cannot'):
        named(lost, "parts", "tests.lost.now")
    with pytest.raises(CannotStart, match=r"does not define a .LOST. attribute/class\. Mend the name in tests.lost"):
        named(lost, "resources", "mainstay.config.resources.LOST")
    with pytest.raises(CannotStart, match=r"No module named 'tests.lost'"):
        module(lost, "urls", "tests.lost.urls")


def test_nothing_starts_with_a_name_that_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each process would end, be started again, and end."""

    def load() -> None:
        raise CannotStart("the wing tests.lost names what is not there")

    monkeypatch.setattr(template, "load", load)
    monkeypatch.setattr(supervise.subprocess, "Popen", _Nothing)
    with pytest.raises(CannotStart, match="names what is not there"):
        supervise.prepare([])


class _Nothing:
    """A process that does nothing."""

    returncode = 0

    def __init__(self, command: object) -> None:
        """Start nothing."""

    def __enter__(self) -> "_Nothing":
        return self

    def __exit__(self, *_error: object) -> None:
        """End nothing."""


def test_models_without_migrations_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Django would take them for none, and each page that needs a table would fail."""
    prepare.need_migrations()
    monkeypatch.setattr(prepare, "find_spec", lambda _name: None)
    with pytest.raises(CannotStart, match=r"has models but no migrations.* -m django makemigrations accounts"):
        prepare.need_migrations()
