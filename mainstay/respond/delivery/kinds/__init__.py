"""The channels a message can travel by. To add one: a module here, and its line in `CHANNELS`."""

from collections.abc import Mapping
from typing import Any

from mainstay.respond.delivery.kinds.apprise import AppriseChannel
from mainstay.respond.delivery.kinds.base import Channel
from mainstay.respond.delivery.kinds.email import Email
from mainstay.respond.delivery.kinds.pagerduty import PagerDuty
from mainstay.respond.delivery.kinds.slack import Slack
from mainstay.respond.delivery.kinds.teams import Teams
from mainstay.respond.delivery.kinds.webhook import Webhook

CHANNELS: Mapping[str, Channel[Any]] = {
    channel.name: channel for channel in (Slack(), Email(), PagerDuty(), Webhook(), Teams(), AppriseChannel())
}
