"""`ETag`, `If-Match` and `If-None-Match` (RFC 9110 §13.1): a change that holds only for what its caller has seen. Pure.

An ETag stands for what people wrote, secrets included, and not for how it stands now: nothing is to be cached by it.
"""

import re
from collections.abc import Mapping

from mainstay.foundation.api.problems import Problem

IF_MATCH, IF_NONE_MATCH = "If-Match", "If-None-Match"
_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_LIST = re.compile(rf"[\s,]*{_TAG.pattern}(?:\s*,[\s,]*{_TAG.pattern})*[\s,]*")


def asked(headers: Mapping[str, str]) -> bool:
    """Tell whether a request has a precondition."""
    return IF_MATCH in headers or IF_NONE_MATCH in headers


def need_met(headers: Mapping[str, str], etag: str | None) -> None:
    """Refuse a change whose precondition does not hold for what is there; `etag` is None when that has none.

    Raises:
        Problem: 412; 422 for a header that cannot be read.
    """
    if IF_MATCH in headers:
        tags = _tags(headers, IF_MATCH)
        if tags is not None and (False, etag) not in tags:  # a weak one never matches here (§8.8.3.2)
            raise _failed("was changed since; read it again and send the change with the ETag that it has now", etag)
    if IF_NONE_MATCH in headers:
        tags = _tags(headers, IF_NONE_MATCH)
        if tags is None or etag in {tag for _, tag in tags}:
            raise _failed("is there already", etag)


def _tags(headers: Mapping[str, str], name: str) -> set[tuple[bool, str | None]] | None:
    """Return each ETag and whether it is weak, or None for `*`: any."""
    text = headers[name]
    if text.strip() == "*":
        return None
    if not _LIST.fullmatch(text):
        detail = "give * or ETags as they were answered, in double quotes, separated by commas"
        raise Problem(422, f"{name}: {detail}.", [{"parameter": name, "detail": detail}])
    return {(bool(weak), tag) for weak, tag in _TAG.findall(text)}


def _failed(detail: str, etag: str | None) -> Problem:
    return Problem(412, f"Nothing was changed: it {detail}.", headers={"ETag": etag} if etag else None)
