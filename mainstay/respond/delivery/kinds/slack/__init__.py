"""Slack: an incoming webhook, or a bot that keeps each alert in one thread.

With a bot token the first message of an alert stays up to date: acknowledging or resolving changes its colour
and headline (`chat.update`) and says so in its thread; a reminder is posted in the thread and shown in the
channel as well. A webhook can only post.
"""

import json
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from mainstay.net import http
from mainstay.net.http import AddressPolicy, Answer
from mainstay.respond.delivery.kinds.base import (
    USER_AGENT,
    Channel,
    ChannelSettings,
    Outcome,
    Receipt,
    WebUrl,
    json_object,
    quoting,
    receipt_for,
)
from mainstay.respond.delivery.kinds.slack import blocks
from mainstay.respond.delivery.message import Event, Message


class SlackSettings(ChannelSettings):
    """Either `webhook_url`, or `bot_token` with `channel`."""

    webhook_url: WebUrl | None = Field(
        None, description="Incoming webhook, https://hooks.slack.com/services/… Posts only: no threads, no updates."
    )
    bot_token: SecretStr | None = Field(
        None, min_length=1, description="Bot token, xoxb-…, with the scope chat:write. Needs channel."
    )
    channel: str | None = Field(
        None,
        min_length=1,
        max_length=100,
        pattern=r"^[^\s\x00-\x1f]+$",
        description="Where the bot posts: an id such as C0123456789 (best, since names change) or #name.",
    )
    api_url: WebUrl = Field(
        SecretStr("https://slack.com/api"),
        description="Base of Slack's Web API; https://slack-gov.com/api for GovSlack.",
    )

    @field_validator("bot_token")
    @classmethod
    def _fits_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"[!-~]+", value.get_secret_value()):
            raise ValueError("a bot token is one word of letters, digits and hyphens: copy it again")
        return value

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.webhook_url is None and (self.bot_token is None or self.channel is None):
            raise ValueError("give either webhook_url, or both bot_token and channel")
        if self.webhook_url is not None and (self.bot_token is not None or self.channel is not None):
            raise ValueError("webhook_url excludes bot_token and channel: the webhook already names its channel")
        return self


# By Slack's error names (docs.slack.dev/reference/methods/chat.postMessage#errors), what becomes of the message.
_TRY_AGAIN = {
    "ratelimited",
    "rate_limited",
    "message_limit_exceeded",
    "service_unavailable",
    "request_timeout",
    "team_added_to_org",
}
# "Some aspect of the operation may have succeeded", say these two.
_MAYBE_DONE = {"internal_error", "fatal_error"}
_NO_SUCH_MESSAGE = {"message_not_found", "thread_not_found", "cant_update_message", "edit_window_closed", "is_inactive"}

_MEND = {
    "not_authed": "No bot token arrived: set bot_token.",
    "invalid_auth": "Slack does not know this bot token: copy it again from the app's page OAuth & Permissions.",
    "account_inactive": "The bot's account was deactivated: reinstall the app and set the new bot_token.",
    "token_revoked": "The bot token was revoked: reinstall the app and set the new bot_token.",
    "token_expired": "The bot token has expired: switch token rotation off for the app and set the new bot_token.",
    "missing_scope": "The app lacks the scope chat:write: add it under OAuth & Permissions and reinstall the app.",
    "channel_not_found": "Slack finds no such channel for this bot: use the channel's id and invite the bot to it.",
    "not_in_channel": "The bot is not in the channel: invite it with /invite.",
    "is_archived": "The channel is archived: choose another one.",
    "channel_is_archived": "The channel is archived: create a webhook for another one.",
    "restricted_action": "A workspace setting keeps the bot from posting there: ask a workspace admin.",
    "no_permission": "The token may not post there: reinstall the app with the scope chat:write.",
    "ekm_access_denied": "Administrators have suspended posting in this workspace.",
    "action_prohibited": "A workspace admin has restricted this webhook.",
    "no_service": "This webhook was removed or disabled: create a new one and set its URL.",
    "no_team": "The workspace of this webhook no longer exists.",
    "invalid_token": "The webhook's URL is incomplete or revoked: copy it again.",
}

_MEND_STATUS = {
    400: "Slack could not read the message.",
    403: "Slack forbids it: a workspace admin has restricted this webhook or app.",
    404: "This webhook does not exist (any more): create a new one and set its URL.",
    410: "The webhook's channel is archived: create a webhook for another one.",
}

# One namespace for ever: the same idempotency key must give the same message id after an upgrade.
_MESSAGE_IDS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:mainstay:slack:message")


class Slack(Channel[SlackSettings]):
    """See the module."""

    name = "slack"
    label = "Slack"
    Settings = SlackSettings

    def describe(self, settings: SlackSettings) -> str:
        return "Slack webhook" if settings.channel is None else f"Slack {settings.channel}"

    def send(
        self,
        settings: SlackSettings,
        message: Message,
        *,
        idempotency_key: str,
        state: Mapping[str, str],
        timeout_s: float,
        policy: AddressPolicy,
    ) -> Receipt:
        if settings.webhook_url is not None:
            url = settings.webhook_url.get_secret_value()
            answer = _post(url, webhook_payload(message), timeout_s=timeout_s, policy=policy)
            return _webhook_receipt(answer, settings)
        deadline = time.monotonic() + timeout_s
        return _Bot(settings, deadline, policy).send(message, idempotency_key, state)


def webhook_payload(message: Message) -> dict[str, Any]:
    """The body for an incoming webhook."""
    return {
        "text": blocks.fallback(message),
        "mrkdwn": False,
        "attachments": [blocks.attachment(message)],
        "unfurl_links": False,
        "unfurl_media": False,
    }


def post_payload(message: Message, *, channel: str, thread_ts: str | None, idempotency_key: str) -> dict[str, Any]:
    """The body for chat.postMessage; in a thread if `thread_ts` is given."""
    payload = webhook_payload(message) | {
        "channel": channel,
        # Slack drops a second message with the same client_msg_id for a while; nothing promises for how long.
        "client_msg_id": str(uuid.uuid5(_MESSAGE_IDS, idempotency_key)),
        "metadata": {
            "event_type": f"mainstay_{message.kind}",
            "event_payload": {"event": message.event, "idempotency_key": idempotency_key},
        },
    }
    if thread_ts is not None:
        payload["thread_ts"] = thread_ts
        # A reminder hidden in a thread reminds nobody; nor does news that changes no first message.
        payload["reply_broadcast"] = message.alert is None or message.alert.event is Event.REMIND
    return payload


def update_payload(message: Message, *, channel: str, ts: str) -> dict[str, Any]:
    """The body for chat.update: the first message of the alert as it stands now."""
    return {
        "channel": channel,
        "ts": ts,
        "text": blocks.fallback(message),
        "attachments": [blocks.attachment(message)],
    }


class _Bot:
    """One send through the Web API: at most three calls under one deadline."""

    def __init__(self, settings: SlackSettings, deadline: float, policy: AddressPolicy) -> None:
        self._settings = settings
        self._deadline = deadline
        self._policy = policy

    def send(self, message: Message, idempotency_key: str, state: Mapping[str, str]) -> Receipt:
        first_ts, channel = state.get("ts"), state.get("channel")
        event = message.alert.event if message.alert is not None else None
        if event in {Event.TRIGGER, Event.TEST} or not first_ts or not channel:
            return self._begin_thread(message, idempotency_key)
        if event is not None and event is not Event.REMIND:
            # The update comes first: it can be repeated without a trace, a second post in the thread cannot.
            update, _ = self._call("chat.update", update_payload(message, channel=channel, ts=first_ts), state)
            if update.outcome in {"retry", "unknown"}:
                return update
            if event is Event.UPDATE and update.outcome == "delivered":
                return update  # the first message says it already
        payload = post_payload(message, channel=channel, thread_ts=first_ts, idempotency_key=idempotency_key)
        receipt, verdict = self._call("chat.postMessage", payload, state)
        if verdict.get("error") in _NO_SUCH_MESSAGE:
            # Somebody deleted the first message. What there is to say must still be said.
            return self._begin_thread(message, idempotency_key)
        return receipt

    def _begin_thread(self, message: Message, idempotency_key: str) -> Receipt:
        channel = self._settings.channel or ""
        payload = post_payload(message, channel=channel, thread_ts=None, idempotency_key=idempotency_key)
        receipt, verdict = self._call("chat.postMessage", payload, {})
        if receipt.outcome != "delivered":
            return receipt
        # The answer names the channel by its id, which is the only name chat.update takes.
        return replace(receipt, state={name: str(verdict[name]) for name in ("ts", "channel") if name in verdict})

    def _call(
        self, method: str, payload: dict[str, Any], state: Mapping[str, str]
    ) -> tuple[Receipt, Mapping[str, Any]]:
        """One call of the Web API: the receipt, and Slack's answer if it was a JSON object."""
        remaining_s = self._deadline - time.monotonic()
        if remaining_s <= 0:
            return Receipt("retry", f"Slack took too long: no time was left for {method}.", state=state), {}
        token = self._settings.bot_token
        answer = _post(
            f"{self._settings.api_url.get_secret_value().rstrip('/')}/{method}",
            payload,
            timeout_s=remaining_s,
            policy=self._policy,
            token=token.get_secret_value() if token else None,
        )
        receipt = receipt_for(answer, self._settings, mend=_MEND_STATUS, state=state)
        if receipt.outcome != "delivered":
            return receipt, {}
        verdict = json_object(answer)
        return _verdict_receipt(verdict, answer, self._settings, state), verdict


def _verdict_receipt(
    verdict: Mapping[str, Any], answer: Answer, settings: SlackSettings, state: Mapping[str, str]
) -> Receipt:
    """Slack's own verdict in a 2xx answer: the Web API answers HTTP 200 to failures as well."""

    def receipt(outcome: Outcome, advice: str) -> Receipt:
        return Receipt(outcome, quoting(advice, answer, settings), answer.retry_after_s, state)

    if verdict.get("ok") is True:
        return Receipt("delivered", f"HTTP {answer.status}, ok.", state=state)
    if not answer.complete:
        return receipt("unknown", "Slack's answer broke off before it said whether the message was posted.")
    error = verdict.get("error")
    if not isinstance(error, str):
        return receipt("refused", "This is not Slack's Web API: it answered without ok or error. Correct api_url.")
    if error in _TRY_AGAIN:
        return receipt("retry", "Slack asks to try again later.")
    if error in _MAYBE_DONE:
        return receipt("unknown", "Slack failed and does not say whether the message was posted.")
    return receipt("refused", _MEND.get(error, "Slack does not take the message."))


def _webhook_receipt(answer: Answer, settings: SlackSettings) -> Receipt:
    receipt = receipt_for(answer, settings, mend=_MEND_STATUS, state={})
    said = answer.text.strip()
    if receipt.outcome == "refused" and said in _MEND:
        return Receipt("refused", f"HTTP {answer.status} {said}. {_MEND[said]}")
    if receipt.outcome != "delivered" or (answer.complete and said == "ok"):
        return receipt
    if not answer.complete:
        return Receipt("unknown", quoting("Slack's answer broke off before its 'ok'.", answer, settings))
    advice = "This is not a Slack webhook: it answered without 'ok'. For other receivers use the webhook channel."
    return Receipt("refused", quoting(advice, answer, settings))


def _post(
    url: str, payload: dict[str, Any], *, timeout_s: float, policy: AddressPolicy, token: str | None = None
) -> Answer:
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": USER_AGENT}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    body = json.dumps(payload).encode()
    return http.request("POST", url, headers=headers, body=body, timeout_s=timeout_s, policy=policy)
