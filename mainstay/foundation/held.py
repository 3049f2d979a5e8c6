"""Rows that are about to be changed: what was read before the transaction may have been changed or removed since."""

from typing import Any, TypeVar, cast

from django.db.models import Model

from mainstay.foundation.refusal import Gone, need_unmanaged

M = TypeVar("M", bound=Model)


def held(row: M, what: str, by_file: str = "", *, leaving: bool = False) -> M:
    """Return the row as it is now, kept from others until the transaction ends. A copy: `row` stays as it was.

    To save a row that was only read would bring back one that is gone, and take it from the file that has it now.

    Args:
        what: what refusals call it, such as "The channel ops".
        by_file: the file that is being applied.
        leaving: it is to be removed, so nothing may begin to refer to it.

    Raises:
        Gone: somebody removed it.
        Managed: it belongs to another file.
    """
    kept = type(row)._default_manager.select_for_update(of=("self",), no_key=not leaving)
    found = kept.filter(pk=row.pk).first()
    if found is None:
        raise Gone(what)
    need_unmanaged(what, cast(Any, found).managed_by, by_file)
    return found
