"""Microsoft Teams, by a Workflows webhook ("Post to a channel when a webhook request is received").

The card holds no Markdown at all: other people's text goes into `RichTextBlock`s, which show it literally.
Escaping Markdown in a `TextBlock` comes out differently on desktop, iOS and Android
(microsoft/AdaptiveCards#5590), so it is no defence. Card format: https://adaptivecards.io/explorer, version 1.4.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from mainstay.net import http
from mainstay.net.http import AddressPolicy
from mainstay.respond.delivery.kinds import wording
from mainstay.respond.delivery.kinds.base import (
    USER_AGENT,
    Channel,
    ChannelSettings,
    Outcome,
    Receipt,
    WebUrl,
    header_key,
    host_of,
    quoting,
    receipt_for,
)
from mainstay.respond.delivery.message import Message

BODY_LIMIT_BYTES = 28 * 1000
"""Teams' limit of "approximately 28 KB", counted as UTF-8 and as UTF-16, whichever is more."""
TITLE_LIMIT = 500
URL_LIMIT = 2000

_STYLES = {
    "critical": "attention", "major": "warning", "minor": "accent",
    "acknowledged": "emphasis", "resolved": "good", "test": "emphasis",
}  # fmt: skip

_MEND = {
    400: "The workflow does not take the message: it must begin with 'When a Teams webhook request is received'.",
    401: "The workflow's URL lacks its signature (sig=…), or only people in the tenant may call it: "
    "copy the whole URL and let anyone trigger it.",
    403: "The workflow is switched off or forbidden by a policy: check it in Power Automate.",
    404: "This workflow does not exist (any more): create it again and set its URL.",
    413: "Teams finds the message too large.",
    0: "Check the workflow in Power Automate and copy its URL again.",
}


class TeamsSettings(ChannelSettings):
    """A workflow that posts to one channel or chat."""

    url: WebUrl = Field(description="The workflow's HTTP POST URL, with its query (sig=…).")


class Teams(Channel[TeamsSettings]):
    """See the module."""

    name = "teams"
    label = "Microsoft Teams"
    Settings = TeamsSettings

    def describe(self, settings: TeamsSettings) -> str:
        return f"Microsoft Teams ({host_of(settings.url)})"

    def send(
        self,
        settings: TeamsSettings,
        message: Message,
        *,
        idempotency_key: str,
        state: Mapping[str, str],
        timeout_s: float,
        policy: AddressPolicy,
    ) -> Receipt:
        answer = http.request(
            "POST",
            settings.url.get_secret_value(),
            headers={
                "Content-Type": "application/json; charset=utf-8",
                "User-Agent": USER_AGENT,
                "Idempotency-Key": header_key(idempotency_key),
            },
            body=body(message),
            timeout_s=timeout_s,
            policy=policy,
        )
        receipt = receipt_for(answer, settings, mend=_MEND, state={})
        if receipt.outcome == "delivered" and (failed := _failed_behind(answer.text)):
            advice = "Teams took the request and then failed to post it."
            return Receipt(failed, quoting(advice, answer, settings), answer.retry_after_s)
        return receipt


def body(message: Message) -> bytes:
    """The request's body, within Teams' limit: the text and the labels shrink until it fits."""
    for text_limit, pairs in ((6000, 40), (3000, 20), (1500, 10), (600, 4), (200, 0)):
        text = json.dumps(payload(message, text_limit=text_limit, pairs=pairs), ensure_ascii=False)
        if max(len(text.encode()), len(text.encode("utf-16-le"))) <= BODY_LIMIT_BYTES:
            break
    return text.encode()


def payload(message: Message, *, text_limit: int, pairs: int) -> dict[str, Any]:
    """The message with one Adaptive Card; `text_limit` characters of text, `pairs` labels."""
    return {
        "type": "message",
        "attachments": [
            {
                "contentType": "application/vnd.microsoft.card.adaptive",
                "contentUrl": None,
                "content": _card(message, text_limit, pairs),
            }
        ],
    }


def _card(message: Message, text_limit: int, pairs: int) -> dict[str, Any]:
    headline = wording.shorten(wording.headline(message), min(TITLE_LIMIT, text_limit))
    parts: list[dict[str, Any]] = [
        {
            "type": "Container",
            "style": _STYLES[wording.tone(message)],
            "bleed": True,
            "items": [_lines([_run(headline, weight="Bolder", size="Medium")])],
        }
    ]
    if text := message.text.strip():
        # A run shows no line breaks, so each line is a block of its own.
        lines = [line for line in wording.shorten(text, text_limit).splitlines() if line.strip()][:40]
        parts += [_lines([_run(wording.one_line(line))]) for line in lines]
    parts += [_fact(name, wording.shorten(value, min(300, text_limit))) for name, value in wording.facts(message)]
    if labels := " · ".join(f"{name}={value}" for name, value in wording.label_lines(message)[:pairs]):
        parts.append(_lines([_run(wording.shorten(labels, text_limit), isSubtle=True, size="Small")]))
    if reason := wording.one_line(message.reason):
        why = f"Why this message: {wording.shorten(reason, text_limit)}"
        parts.append(_lines([_run(why, isSubtle=True, size="Small")]))
    return {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": headline,
        "body": parts,
        "actions": _actions(message),
        "msteams": {"width": "Full"},
    }


def _actions(message: Message) -> list[dict[str, Any]]:
    found = wording.links(message, URL_LIMIT)
    return [{"type": "Action.OpenUrl", "title": link.text, "url": link.url} for link in found]


def _fact(name: str, value: str) -> dict[str, Any]:
    return _lines([_run(f"{name}: ", weight="Bolder"), _run(value)], spacing="Small")


def _lines(runs: list[dict[str, Any]], **style: str) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": runs, **style}


def _run(text: str, **style: str | bool) -> dict[str, Any]:
    return {"type": "TextRun", "text": text, **style}


def _failed_behind(said: str) -> Outcome | None:
    """Connector addresses answer 200 with the real failure in words; what it means for the message, or None."""
    if "webhook message delivery failed" not in said.lower():
        return None
    return "retry" if re.search(r"\b(429|5\d\d)\b", said) else "refused"
