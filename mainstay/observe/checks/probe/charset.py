"""In which encoding a body is written, as browsers decide: so that what it says can be compared with text."""

import codecs
import re
from functools import lru_cache

_MARKS = (  # the longer first: UTF-32's begins like UTF-16's
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_ANY_MARK = tuple(mark for mark, _ in _MARKS)
_CHARSET = re.compile(r""";\s*charset\s*=\s*(?:"([^"]*)"|([^\s;"]+))""", re.IGNORECASE)
_IN_MARKUP = re.compile(
    rb"""<meta\s[^>]*?charset\s*=\s*["']?\s*([A-Za-z0-9_:.-]+)|<\?xml\s[^>]*?encoding\s*=\s*["']([A-Za-z0-9_:.-]+)""",
    re.IGNORECASE,
)
_LOOKED_THROUGH = 1024  # bytes, as HTML asks browsers to
_WESTERN = "cp1252"
_UTF8 = frozenset({"utf-8", "utf8"})
_READ_AS_WESTERN = frozenset({"iso8859-1", "ascii", "cp1252"})  # https://encoding.spec.whatwg.org, section 4.2


def as_utf8(body: bytes, content_type: str = "") -> bytes:
    """Return the body in UTF-8 without byte order mark; what cannot be decoded becomes U+FFFD.

    The mark counts first, then the charset of the Content-Type, then what the markup says of itself. JSON shows its
    encoding by its zeros. What says nothing is UTF-8, and where it is not, Windows-1252.
    """
    if body.startswith(_ANY_MARK):
        mark, encoding = next(each for each in _MARKS if body.startswith(each[0]))
        return _decoded(body[len(mark) :], encoding)
    declared = _declared(content_type) or _of_zeros(body)
    if not declared and (found := _IN_MARKUP.search(body, 0, _LOOKED_THROUGH)):
        declared = _codec((found[1] or found[2]).decode("ascii"))
        if declared.startswith(("utf-16", "utf-32")):  # then the words that say so could not have been read
            declared = ""
    if declared:
        return _decoded(body, _WESTERN if declared in _READ_AS_WESTERN else declared)
    return body if _is_utf8(body) else _decoded(body, _WESTERN)


@lru_cache(maxsize=256)
def _declared(content_type: str) -> str:
    found = _CHARSET.search(content_type)
    return _codec((found[1] or found[2] or "").strip()) if found else ""


def _codec(name: str) -> str:
    """Python's name of a character encoding; "" for what is none that is known."""
    try:
        found = codecs.lookup(name.removeprefix("x-")) if name else None
        "".encode(found.name if found else "ascii")  # refuses what is no encoding of text, such as zip
    except (LookupError, ValueError, UnicodeError):
        return ""
    return found.name if found else ""


def _of_zeros(body: bytes) -> str:
    """UTF-16 or UTF-32 of a text that begins with ASCII, as JSON does (RFC 4627, section 3)."""
    if 0 not in body[:4]:
        return ""
    zeros = tuple(byte == 0 for byte in body[:4])
    match zeros:
        case (True, True, True, False):
            return "utf-32-be"
        case (False, True, True, True):
            return "utf-32-le"
        case (True, False, True, False) | (True, False):
            return "utf-16-be"
        case (False, True, False, True) | (False, True):
            return "utf-16-le"
    return ""


def _is_utf8(body: bytes) -> bool:
    if body.isascii():
        return True
    try:
        # The last character may have been cut off with the rest of a long body.
        codecs.getincrementaldecoder("utf-8")().decode(body, final=False)
    except UnicodeDecodeError:
        return False
    return True


def _decoded(body: bytes, encoding: str) -> bytes:
    if encoding in _UTF8:
        return body
    return body.decode(encoding, "replace").encode("utf-8", "replace")
