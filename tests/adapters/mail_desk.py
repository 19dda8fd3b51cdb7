"""A real SMTP server that answers as a test tells it: an ISP's mail server on a bad day."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import ssl
from collections import defaultdict, deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

HANG = "hang"
DROP = "drop"
LOSE = "lose"
"""The mail is taken, and the connection breaks before the answer."""


class MailDesk:
    """The desk behind the server.

    Attributes:
        script: By command (``MAIL``, ``RCPT``, ``DATA``), what the next ones are answered: an SMTP answer, ``HANG``,
            ``DROP`` or ``LOSE``. After that the mail is taken.
        mails: Every mail that was taken, in order.
        parameters: The parameters of each MAIL command.
        names: What each client called itself.
    """

    def __init__(self) -> None:
        self.address = ""
        self.script: defaultdict[str, deque[str]] = defaultdict(deque)
        self.mails: list[EmailMessage] = []
        self.parameters: list[str] = []
        self.names: list[str] = []
        self.encrypted: list[bool] = []

    def notices(self) -> list[dict[str, Any]]:
        """The notices attached to the mails, oldest first, each id once."""
        found = [json.loads(attachment_of(mail)) for mail in self.mails]
        return list({notice["notice"]: notice for notice in found}.values())

    async def play(self, command: str, server: SMTP) -> str | None:
        """What the script has for a command; None lets it pass."""
        if not self.script[command]:
            return None
        answer = self.script[command].popleft()
        if answer == HANG:
            await asyncio.Event().wait()
        if answer in {DROP, LOSE}:
            server.transport.abort()
        return answer

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self.names.append(hostname)
        return [*responses[:-1], "250-DSN", responses[-1]] if isinstance(server, _WithDsn) else responses

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if scripted := await self.play("MAIL", server):
            return scripted
        envelope.mail_from = address
        return "250 sender ok"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if scripted := await self.play("RCPT", server):
            return scripted
        envelope.rcpt_tos.append(address)
        return "250 recipient ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        scripted = await self.play("DATA", server)
        if scripted and scripted != LOSE:
            return scripted
        assert isinstance(envelope.content, bytes)
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        self.encrypted.append(session.ssl is not None)
        # What a server says is a stranger's word: a bell and a colour in it must not reach a log.
        return f"250 2.0.0 queued as \x07\x1b[31m{len(self.mails)}"


class _WithDsn(SMTP):
    """Offers RFC 3461; ``aiosmtpd`` itself refuses its parameters."""

    async def smtp_MAIL(self, arg: str | None) -> None:
        command, _, parameters = (arg or "").partition(" ENVID=")
        if parameters:
            self.event_handler.parameters.append(f"ENVID={parameters}")
        await super().smtp_MAIL(command)


@asynccontextmanager
async def mail_desk(*, dsn: bool = True, tls: ssl.SSLContext | None = None) -> AsyncGenerator[MailDesk]:
    """Open a desk; with ``tls`` its server offers STARTTLS."""
    desk, kind = MailDesk(), _WithDsn if dsn else SMTP
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: kind(desk, hostname="mx.isp.test", tls_context=tls, loop=loop), "127.0.0.1", 0
    )
    async with server:
        desk.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield desk


def attachment_of(mail: EmailMessage) -> bytes:
    """The bytes of the one attached notice."""
    (attached,) = [part for part in mail.iter_attachments() if part.get_filename() == "notice.json"]
    assert attached.get_content_type() == "application/json"
    content = attached.get_content()
    assert isinstance(content, bytes)
    return content
