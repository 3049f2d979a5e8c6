"""The kinds of facts that files put into the journal."""

from mainstay.foundation.journal.kinds import declare

CONFIG_APPLIED = declare(
    "config.applied",
    "The file {subject} was applied: {added} added, {changed} changed, {removed} removed, {adopted} taken over",
    added=int,
    changed=int,
    removed=int,
    adopted=int,
    kept=int,
    changes=list,  # "change check shop/storefront: every, http.url", at most CHANGES_TOLD
)

CONFIG_BEGUN = declare("config.begun", "Applying the file {subject} began: {total} changes, in pieces", total=int)
CONFIG_STOPPED = declare(
    "config.stopped",
    "Applying the file {subject} stopped after {done} of {total} changes: {reason}",
    done=int,
    total=int,
    reason=str,
)
