"""The form of a channel, made from the settings of its kind: a new kind needs no form of its own."""

from typing import Any

from mainstay.kit.forms import SpecForm
from mainstay.kit.inputs import Group, groups_of
from mainstay.respond.delivery.actions import shown_spec
from mainstay.respond.delivery.kinds import CHANNELS
from mainstay.respond.delivery.models import Channel
from mainstay.respond.delivery.spec import ChannelSpec, Common


class ChannelForm(SpecForm):
    """A name, and one field per setting of the kind. A secret that is stored is never shown: left empty, it stays."""

    SPEC = ChannelSpec

    def __init__(self, data: Any = None, *, kind: str, channel: Channel | None = None) -> None:
        self.kind, self.channel = kind, channel
        (named,) = groups_of(Common, only={"name"})
        (settings,) = groups_of(CHANNELS[kind].Settings, prefix="set_", within=(kind,))
        super().__init__(
            data,
            shown=shown_spec(channel) if channel is not None else {},
            stored={kind: channel.config} if channel is not None else {},
            groups=[Group((*named.inputs, *settings.inputs))],
            managed=channel is not None and bool(channel.managed_by),
        )
        self.fields["name"].help_text = "Name used in routes. Letters, digits, - and _."
        if channel is not None:
            self.fields["name"].disabled = True
            self.fields["name"].help_text = "Name used in routes; it cannot be changed."

    def document(self) -> dict[str, Any]:
        """Return the channel; whether it is paused is not asked here."""
        paused = self.channel is not None and self.channel.paused
        return {self.kind: {}, **super().document(), "paused": paused}
