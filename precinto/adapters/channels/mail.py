"""The e-mail that carries an order: a text and the letter that a person reads, and the same for a machine."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import cache
from typing import Annotated

from jinja2 import Environment, PackageLoader, StrictUndefined, Template, select_autoescape
from pydantic import AfterValidator

from precinto.domain.model import canonical_json
from precinto.domain.notification import Action, Notice

ATTACHMENT = "notice.json"

_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
"""What web forms take for one (the HTML standard's ``input type=email``), with a dot in the domain."""

_TITLES = {Action.BLOCK: "Orden de bloqueo", Action.RELEASE: "Levantamiento de bloqueo"}


def _addr_spec(text: str) -> str:
    # Not the standard library's parser: it takes comments and quoted names, and fails on an empty string.
    if not _ADDRESS.fullmatch(text):
        raise ValueError(f"{text!r} is not a mail address, such as orders@example.org")
    return text


MailAddress = Annotated[str, AfterValidator(_addr_spec)]
"""One address without a name, ASCII, in an options model."""


def message_id(notice: str, sender: str) -> str:
    """The Message-ID of a notice: whoever gets the mail twice sees that it is one."""
    return f"<{notice}@{sender.rpartition('@')[2]}>"


def compose(notice: Notice, sender: str, recipient: str, contact: str, now: datetime) -> EmailMessage:
    """The mail of a notice, with the order's letter and its signed form; written again, it differs in its date only.

    Args:
        notice: What is ordered.
        sender: Address of the authority.
        recipient: Address of the ISP's desk.
        contact: Where the ISP may ask, or object to the order.
        now: Date of the mail.
    """
    title = _TITLES[notice.action]
    mail = EmailMessage(policy=SMTP)
    prefix = f"Recordatorio {notice.reminder}: " if notice.reminder else ""
    mail["Subject"] = f"{prefix}{title} {notice.order}"
    mail["From"] = sender
    mail["To"] = recipient
    mail["Date"] = format_datetime(now.astimezone(UTC))
    mail["Message-ID"] = message_id(notice.id, sender)
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: an absence notice is not an answer
    if notice.reminds_of is not None:
        mail["References"] = message_id(notice.reminds_of, sender)
    text = _template().render(notice=notice, title=title, blocks=notice.action is Action.BLOCK, contact=contact)
    mail.set_content(text, cte="quoted-printable")
    mail.add_attachment(canonical_json(notice.document()), maintype="application", subtype="json", filename=ATTACHMENT)
    if notice.letter is not None:
        name = f"order-{notice.order}-v{notice.version}"
        mail.add_attachment(notice.letter.pdf, maintype="application", subtype="pdf", filename=f"{name}.pdf")
        signed = notice.letter.jws.encode("ascii")
        mail.add_attachment(signed, maintype="application", subtype="jose", filename=f"{name}.jws")
    return mail


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("precinto.adapters.channels"),
        autoescape=select_autoescape(),  # plain text is left as it is
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["utc"] = _utc
    return environment.get_template("order.es.txt")


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
