"""The kinds of facts about items that took their process with them."""

from mainstay.foundation.journal.kinds import declare

SET_ASIDE = declare(
    "process.item_set_aside", "{subject} has taken its process with it {deaths} times and is set aside", deaths=int
)
RELEASED = declare("process.item_released", "{subject} is worked on again: {reason}", reason=str)
