"""Channels, as files and the API have them."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import QuerySet

from mainstay.foundation.resource import By, Resource, Settled, Written, shortened
from mainstay.respond.delivery import actions
from mainstay.respond.delivery.kinds import CHANNELS as KINDS
from mainstay.respond.delivery.models import Channel
from mainstay.respond.delivery.spec import ChannelSpec, Common


class Channels(Resource[Common]):
    """Ways in which messages leave."""

    kind, section, order, spec = "channel", "channels", 30, ChannelSpec
    title, listed = "Channels", "list of [channels](#channels)"
    kinds = KINDS
    secrets = tuple(KINDS)
    examples = ({"name": "ops", "webhook": {"url": "http://127.0.0.1:9999/hook/sesame-opens-the-door"}},)

    def rows(self) -> QuerySet[Channel]:
        return Channel.objects.order_by("name")

    def read(self, row: Any) -> Common:
        return actions.spec_of(row)

    def stored(self, row: Any) -> Mapping[str, Any]:
        return {row.kind: row.config}

    def shown(self, row: Any) -> dict[str, Any]:
        return actions.shown_spec(row)

    def document(self, spec: Common, of: str = "") -> Written:
        return shortened(spec, ("name", spec.kind, "paused"), keep=spec.kind)

    def heading(self, name: str, kind: Settled) -> tuple[str, str]:
        return f"`{name}` channel", f"{kind.label}. More: [channels/{name}.md](channels/{name}.md)."

    def in_use(self, users: Sequence[str]) -> str:
        return f"the route {users[0]} notifies it; change that route first"

    def save(self, spec: Common, by: By, existing: Any | None = None) -> Channel:
        return actions.put_channel(spec, by.actor, by.at, existing=existing, by_file=by.file)

    def delete(self, row: Any, by: By) -> None:
        actions.remove_channel(row, by.actor, by.at, by_file=by.file)


CHANNELS = Channels()
