"""The letter: headers, plain text and HTML.

Nothing in it comes from another host, so opening it tells nobody that it was opened, and it is complete offline.
"""

import hashlib
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape

from mainstay.respond.delivery.kinds import wording
from mainstay.respond.delivery.message import AlertPart, Link, Message

SUBJECT_LIMIT = 200
TEXT_LIMIT = 20_000
VALUE_LIMIT = 1000
URL_LIMIT = 2000

# Every line in ASCII: a server without 8BITMIME (RFC 6152) must be able to take it.
_POLICY = SMTP.clone(cte_type="7bit", raise_on_defect=False)

_COLOURS = {
    "critical": "#c62828", "major": "#b75100", "minor": "#8a6100",
    "acknowledged": "#1565c0", "resolved": "#2e7d32", "test": "#607d8b",
}  # fmt: skip

# Mail clients drop <style> (some), external sheets (all) and scripts (all): what matters is inline, and the
# sheet only adds the dark colours for those that honour prefers-color-scheme.
_STYLE = """
:root { color-scheme: light dark; supported-color-schemes: light dark; }
@media (prefers-color-scheme: dark) {
  .page { background: #16191d !important; color: #e4e7eb !important; }
  .card { background: #1f242a !important; border-color: #343b44 !important; }
  .quiet { color: #a3adb8 !important; }
  .cell { border-color: #343b44 !important; }
  .plain { color: #8ab4f8 !important; border-color: #8ab4f8 !important; }
}
"""


def write(message: Message, *, sender: Address, to: list[str], idempotency_key: str, at: datetime) -> EmailMessage:
    """The letter as sent at `at` (aware).

    The same idempotency key gives the same Message-ID, so a letter sent twice is shown once by most mailboxes.
    All letters about one thing refer to one id made from its thread, so clients show them as one conversation
    (RFC 5322 §3.6.4), even though no letter has that id itself.
    """
    letter = EmailMessage(policy=_POLICY)
    letter["From"] = sender
    letter["To"] = [Address(addr_spec=address) for address in to]
    letter["Subject"] = wording.shorten(wording.headline(message), SUBJECT_LIMIT)
    letter["Date"] = format_datetime(at)
    letter["Message-ID"] = message_id("message", idempotency_key, sender.domain)
    thread = message_id(message.kind, message.thread, sender.domain)
    letter["In-Reply-To"] = thread
    letter["References"] = thread
    # RFC 3834 §5: no vacation notices back, please. The second is what Exchange reads.
    letter["Auto-Submitted"] = "auto-generated"
    letter["X-Auto-Response-Suppress"] = "All"
    letter["X-Mainstay-Event"] = message.event
    if wording.is_loud(message):
        letter["Importance"] = "high"
    letter.set_content(plain_text(message), cte="quoted-printable")
    letter.add_alternative(html(message), subtype="html", cte="quoted-printable")
    return letter


def message_id(kind: str, key: str, domain: str) -> str:
    """A message id (RFC 5322 §3.6.4) that depends on `key` alone and shows nothing of it."""
    digest = hashlib.sha256(f"{kind}:{key}".encode()).hexdigest()[:32]
    return f"<{kind}.{digest}@{domain}>"


def plain_text(message: Message) -> str:
    """The letter for those who read text: state first, then the facts, then the links on lines of their own."""
    lines = [wording.headline(message), ""]
    if text := _text(message):
        lines += [*_lines(text), ""]
    named = [(name, wording.shorten(value, VALUE_LIMIT)) for name, value in wording.facts(message)]
    width = max((len(name) for name, _ in named), default=0) + 2
    lines += [f"{name + ':':<{width}}{value}" for name, value in named]
    if group := _group(message):
        lines += ["", *(_alert_line(alert) for alert in group.alerts)]
        if group.more:
            lines.append(f"and {group.more:,} more")
    if labels := wording.label_lines(message):
        lines += ["", "Labels:", *(f"  {name} = {value}" for name, value in labels)]
    lines.append("")
    for link in wording.links(message, URL_LIMIT):
        lines += [f"{link.text}:", f"  {link.url}"]
    if reason := wording.one_line(message.reason):
        lines += ["", f"Why you get this: {wording.shorten(reason, VALUE_LIMIT)}"]
    return "\n".join(lines) + "\n"


def html(message: Message) -> str:
    """The letter for everybody else. Every value is escaped; nothing but http(s) links becomes a link."""
    text = "".join(f"{escape(line)}<br>" for line in _lines(_text(message)))
    rows = [(name, wording.shorten(value, VALUE_LIMIT)) for name, value in wording.facts(message)]
    links = [_link(link) for link in wording.links(message, URL_LIMIT)]
    labels, group = wording.label_lines(message), _group(message)
    reason = wording.shorten(wording.one_line(message.reason) or "no reason given", VALUE_LIMIT)
    colour, stands = _COLOURS[wording.tone(message)], wording.state(message)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        '<meta name="color-scheme" content="light dark"><meta name="supported-color-schemes" content="light dark">'
        f"<title>{escape(wording.headline(message))}</title><style>{_STYLE}</style></head>\n"
        '<body class="page" style="margin:0;padding:16px;background:#f5f6f8;color:#1c2127;'
        'font:15px/1.5 system-ui,-apple-system,Segoe UI,Roboto,sans-serif">\n'
        '<div class="card" style="max-width:600px;margin:0 auto;background:#ffffff;border:1px solid #dde1e6;'
        f'border-top:4px solid {colour};border-radius:6px;padding:20px 24px">\n'
        + (f'<p class="quiet" style="margin:0;font-weight:600;color:#55606b">{escape(stands)}</p>\n' if stands else "")
        + f'<h1 style="margin:2px 0 12px;font-size:20px;line-height:1.3">{escape(wording.title(message))}</h1>\n'
        + (f'<p style="margin:0 0 16px">{text}</p>\n' if text else "")
        + (f'<p style="margin:0 0 16px">{"&nbsp; ".join(links)}</p>\n' if links else "")
        + (_table(rows) if rows else "")
        + (_note("Labels", margin="16px 0 4px") + _table(labels) if labels else "")
        + (_note("Alerts", margin="16px 0 4px") + _alerts(group) if group else "")
        + _note(f"Why you get this: {escape(reason)}", margin="16px 0 0")
        + "</div></body></html>\n"
    )


def _table(rows: list[tuple[str, str]]) -> str:
    cell = (
        "padding:4px 12px 4px 0;border-top:1px solid #eceff2;text-align:left;vertical-align:top;word-break:break-word"
    )
    body = "".join(
        f'<tr><th class="cell quiet" scope="row" style="{cell};font-weight:400;color:#55606b">{escape(name)}</th>'
        f'<td class="cell" style="{cell}">{escape(value)}</td></tr>\n'
        for name, value in rows
    )
    return f'<table style="width:100%;border-collapse:collapse;font-size:14px">\n{body}</table>\n'


def _group(message: Message) -> AlertPart | None:
    return message.alert if message.alert is not None and message.alert.alerts else None


def _alerts(group: AlertPart) -> str:
    rows = [(wording.state(alert), wording.shorten(wording.title(alert), VALUE_LIMIT)) for alert in group.alerts]
    return _table([*rows, *([("", f"and {group.more:,} more")] if group.more else [])])


def _alert_line(alert: Message) -> str:
    return wording.shorten(f"{wording.state(alert)}: {wording.title(alert)}", VALUE_LIMIT)


def _note(text: str, *, margin: str) -> str:
    return f'<p class="quiet" style="margin:{margin};font-size:13px;color:#55606b">{text}</p>\n'


def _link(link: Link) -> str:
    look = "background:#1a56b0;color:#ffffff" if link.main else "color:#1a56b0"
    kind = "" if link.main else ' class="plain"'
    text = escape(link.text)
    return (
        f'<a{kind} href="{escape(link.url)}" style="display:inline-block;padding:8px 16px;border:1px solid #1a56b0;'
        f'border-radius:4px;text-decoration:none;font-weight:600;{look}">{text}</a>'
    )


def _text(message: Message) -> str:
    """The text; of a group only its figures, since a letter has room for a table of its alerts."""
    text = message.text.strip()
    return text.partition("\n")[0] if _group(message) else text


def _lines(text: str) -> list[str]:
    if not text:
        return []
    return [wording.one_line(line) for line in wording.shorten(text, TEXT_LIMIT).splitlines()]
