"""From what was discovered to targets that can be scraped: defaults, relabelling, the URL, the labels."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from mainstay.foundation.words.durations import parse_duration
from mainstay.observe.metrics.scrape.discovery import ADDRESS, Discovered
from mainstay.observe.metrics.scrape.relabel import Labels, Relabelling
from mainstay.observe.metrics.scrape.settings import ScrapeSettings, interval_text

JOB, INSTANCE = "job", "instance"
SCHEME, PATH = "__scheme__", "__metrics_path__"
INTERVAL, TIMEOUT = "__scrape_interval__", "__scrape_timeout__"
PARAM = "__param_"
_META = "__meta_"
_SHORTEST_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Target:
    """Something to scrape. `labels` go onto its series; `discovered` is what relabelling began with."""

    url: str
    labels: Labels
    discovered: Discovered = field(compare=False)
    every_s: float
    timeout_s: float

    @property
    def identity(self) -> str:
        """The same for the same target after a restart and in another process."""
        content = "\x00".join([self.url, *(f"{name}\x01{value}" for name, value in sorted(self.labels.items()))])
        return hashlib.blake2b(content.encode(), digest_size=12).hexdigest()


@dataclass(frozen=True, slots=True)
class Found:
    """What became of what was discovered."""

    targets: tuple[Target, ...]
    dropped: tuple[Discovered, ...] = ()
    """Those that relabelling dropped."""
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Frame:
    """What all targets of a scrape have in common."""

    job: str
    settings: ScrapeSettings
    relabel: Relabelling
    labels: Mapping[str, str]
    every_s: float
    timeout_s: float

    @classmethod
    def of(
        cls, job: str, settings: ScrapeSettings, every_s: float, timeout_s: float, labels: Mapping[str, str]
    ) -> "Frame":
        """Return the frame with its rules made ready."""
        return cls(job, settings, Relabelling(settings.relabel), labels, every_s, timeout_s)


def targets_of(frame: Frame, discovered: Iterable[Discovered]) -> Found:
    """Return the targets, each once; what can't be scraped is named in `errors` and left out."""
    targets: dict[str, Target] = {}
    dropped, errors = [], []
    for each in discovered:
        before = with_defaults(frame, each)
        after = frame.relabel.apply(before)
        if after is None:
            dropped.append(before)
            continue
        try:
            target = _target(frame, before, after)
        except ValueError as error:
            errors.append(f"{each.get(ADDRESS, '') or 'a target without an address'}: {error}")
            continue
        targets.setdefault(target.identity, target)
    limit = frame.settings.target_limit
    if limit is not None and len(targets) > limit:
        errors.insert(0, f"{len(targets)} targets were found, `target_limit` is {limit}: none is scraped")
        targets.clear()
    return Found(tuple(targets.values()), tuple(dropped), tuple(errors))


def with_defaults(frame: Frame, discovered: Mapping[str, str]) -> Discovered:
    """Return the labels with which relabelling begins."""
    settings = frame.settings
    labels = {**frame.labels, **discovered}
    for name, value in (
        (JOB, frame.job),
        (INTERVAL, interval_text(frame.every_s)),
        (TIMEOUT, interval_text(frame.timeout_s)),
        (PATH, settings.path),
        (SCHEME, settings.scheme),
    ):
        if not labels.get(name):
            labels[name] = value
    for name, values in settings.params.items():
        if values:
            labels[PARAM + name] = values[0]
    return labels


def _target(frame: Frame, before: Discovered, after: Labels) -> Target:
    address = after.get(ADDRESS, "")
    if not address:
        raise ValueError("relabelling left it without an address")
    if any(character.isspace() or character in "/@?#\\" for character in address):
        raise ValueError(f"{address!r} is no address: it must be host:port")
    scheme = after.get(SCHEME, "") or "http"
    if scheme not in ("http", "https"):
        raise ValueError(f"its scheme {scheme!r} is neither http nor https")
    every_s, timeout_s = _seconds(after, INTERVAL), _seconds(after, TIMEOUT)
    if every_s < _SHORTEST_EVERY_S or timeout_s <= 0:
        raise ValueError("its interval or timeout is too short")
    if timeout_s > every_s:
        raise ValueError(f"its timeout ({after[TIMEOUT]}) is longer than its interval ({after[INTERVAL]})")
    if not _has_port(address):
        address = f"{address}:{443 if scheme == 'https' else 80}"
    labels = {name: value for name, value in after.items() if value and not name.startswith("__")}
    labels.setdefault(INSTANCE, address)
    path = after.get(PATH, "") or "/"
    url = f"{scheme}://{address}{path if path.startswith('/') else '/' + path}{_query(frame, after)}"
    if any(character.isspace() or character < " " for character in url):
        raise ValueError(f"its URL {url!r} holds white space")
    return Target(url, labels, before, every_s, timeout_s)


def _query(frame: Frame, after: Labels) -> str:
    params = {name: list(values) for name, values in frame.settings.params.items()}
    for name, value in after.items():
        if name.startswith(PARAM):
            params[name.removeprefix(PARAM)] = [value, *params.get(name.removeprefix(PARAM), [])[1:]]
    query = urlencode(sorted(params.items()), doseq=True)
    return f"?{query}" if query else ""


def _seconds(labels: Labels, name: str) -> float:
    try:
        return parse_duration(labels.get(name, ""))
    except ValueError:
        raise ValueError(f"`{name}` is {labels.get(name, '')!r}, which is no duration") from None


def _has_port(address: str) -> bool:
    _, colon, port = address.rpartition(":")
    return bool(colon) and port.isdecimal() and not (address.count(":") > 1 and not address.startswith("["))
