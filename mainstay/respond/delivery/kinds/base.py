"""What every channel is: settings, a description, and one blocking `send`."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, SecretStr

from mainstay.net.addresses import refuse_percent
from mainstay.net.http import AddressPolicy, Answer, Failure
from mainstay.respond.delivery.kinds.masking import masked_line
from mainstay.respond.delivery.message import Message

Outcome = Literal["delivered", "retry", "refused", "unknown"]

USER_AGENT = "Mainstay/1"
SHOWN_ANSWER_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one send.

    - `delivered`: the receiver confirmed it.
    - `retry`: it did not arrive, and trying again may help; not before `retry_after_s`, if given.
    - `refused`: it did not arrive, and will not until somebody mends the settings; `answer` says how.
    - `unknown`: it left, and no confirmation came. Send again with the same idempotency key.
    """

    outcome: Outcome
    answer: str
    """What the receiver said, at most its first 500 characters, and what to do; holds no secrets."""
    retry_after_s: float | None = None
    state: Mapping[str, str] = field(default_factory=dict)
    """Keep it whatever the outcome and hand it to the next send with the same channel and dedup key."""


class ChannelSettings(BaseModel):
    """Base of all settings: unknown members are errors, and no error message repeats the input."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, populate_by_name=True)


S = TypeVar("S", bound=ChannelSettings)


class Channel(ABC, Generic[S]):
    """One way to reach people. A new one is a subclass in this package and a line in `CHANNELS`."""

    name: ClassVar[str]
    """The key in the configuration file."""
    label: ClassVar[str]
    """What people call it."""
    Settings: type[S]

    @abstractmethod
    def describe(self, settings: S) -> str:
        """Where it sends to, in a few words and without secrets: "Slack #ops"."""

    @abstractmethod
    def send(
        self,
        settings: S,
        message: Message,
        *,
        idempotency_key: str,
        state: Mapping[str, str],
        timeout_s: float,
        policy: AddressPolicy,
    ) -> Receipt:
        """Send one message and wait for the receiver's word, `timeout_s` seconds in total.

        `idempotency_key` is the same each time this message is sent again. `state` is what the last receipt
        for this channel and dedup key held. Blocks; raises for nothing the network or the receiver does.
        """


def receipt_for(
    answer: Answer, settings: ChannelSettings, *, mend: Mapping[int, str], state: Mapping[str, str]
) -> Receipt:
    """Classify an HTTP exchange. 2xx is `delivered`: a receiver that confirms in its body is read before.

    `mend` says per refusing status how to mend the settings; 0 is for all others.
    """

    def receipt(outcome: Outcome, advice: str) -> Receipt:
        wait = answer.retry_after_s if outcome == "retry" else None
        return Receipt(outcome, quoting(advice, answer, settings), wait, state)

    status = answer.status
    match answer.failure:
        case Failure.FORBIDDEN:
            return receipt("refused", "Not sent: the address policy forbids this receiver.")
        case Failure.BAD_URL:
            return receipt("refused", "Not sent: the URL of this channel cannot be used. Correct it.")
        case Failure.UNTRUSTED:
            return receipt("refused", "Not sent: the receiver's TLS certificate is not trusted for its host name.")
        case Failure.NOT_SENT:
            return receipt("retry", "Not sent: the receiver cannot be reached.")
        case Failure.CUT_OFF if status is None:
            return receipt("unknown", "Sent, but no answer came.")
    if status is None:
        return receipt("unknown", "Sent, but no answer came.")
    if 200 <= status < 300:
        return receipt("delivered", f"HTTP {status}.")
    if 300 <= status < 400:
        where = "Redirects are not followed: set the final URL in this channel."
        return receipt("refused", f"HTTP {status}. {where}")
    if status >= 500:
        return receipt("retry", f"HTTP {status}: the receiver has a problem of its own.")
    if status == 429:
        return receipt("retry", "HTTP 429: the receiver asks to send less often.")
    if status in {408, 425}:
        return receipt("retry", f"HTTP {status}: the receiver asks to try again.")
    return receipt("refused", f"HTTP {status}. {mend.get(status) or mend.get(0, '')}".strip())


def quoting(advice: str, answer: Answer, settings: ChannelSettings) -> str:
    """`advice` with what the receiver or libcurl said, masked and cut."""
    said = masked_line(answer.text, settings, SHOWN_ANSWER_CHARACTERS)
    problem = masked_line(answer.problem, settings, SHOWN_ANSWER_CHARACTERS)
    parts = [advice]
    if problem:
        parts.append(f"({problem})")
    if said:
        parts.append(f"The receiver said: {said}")
    return " ".join(parts)


def json_object(answer: Answer) -> Mapping[str, Any]:
    """The JSON object in an answer's body; empty if it is anything else."""
    try:
        value = json.loads(answer.text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def header_key(idempotency_key: str) -> str:
    """An idempotency key as a header value: visible ASCII as it is, all else percent-encoded."""
    return quote(idempotency_key, safe="!#$&'()*+,/:;=?@[]~|^`{}<>")


def host_of(url: SecretStr) -> str:
    """Host and port of a secret URL, for descriptions."""
    return urlsplit(url.get_secret_value()).netloc.rpartition("@")[2]


def _web_url(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    try:
        url = urlsplit(text)
        _ = url.port  # raises for one that is no number
    except ValueError as error:
        raise ValueError("this is not a URL: its host or port cannot be read") from error
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise ValueError("the URL must start with https:// (or http://) and name a host")
    refuse_percent(url.hostname)
    if any(char <= " " or char >= "\x7f" for char in text):
        raise ValueError("the URL may hold only printable ASCII: percent-encode blanks and other characters")
    return value


WebUrl = Annotated[SecretStr, AfterValidator(_web_url)]
"""An http or https URL that may hold a token, so it is kept like a password."""
