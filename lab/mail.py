"""A mail server (SMTP, RFC 5321) that takes mail for one mailbox and keeps every message as a file."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

_MESSAGE_BYTES = 5 * 1024 * 1024
_IDLE_SECONDS = 60.0


@dataclass(frozen=True)
class Mail:
    """A message that was accepted: the file it is kept in, who sent it, and its bytes as they came."""

    path: Path
    sender: str
    content: bytes


class Mailbox:
    """One mailbox and who may write to it; aiosmtpd calls the ``handle_`` methods."""

    def __init__(self, folder: Path, recipient: str, senders: frozenset[str], arrived: Callable[[Mail], None]) -> None:
        self.folder = folder
        self.messages: list[Mail] = []
        self._recipient = recipient
        self._senders = senders
        self._arrived = arrived
        self._greylisted = 0

    def greylist(self, times: int = 1) -> None:
        """Put the next messages off with 451, as a mail server does with senders that it does not know yet."""
        self._greylisted = times

    async def handle_MAIL(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Who writes?"""
        if address.lower() not in self._senders:
            return "550 5.7.1 this desk takes orders of the authority only"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """For whom?"""
        if address.lower() != self._recipient:
            return "550 5.1.1 no such mailbox"
        if self._greylisted > 0:
            self._greylisted -= 1
            return "451 4.7.1 greylisted, come back later"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        """The message: it is on disk before it is acknowledged."""
        content = envelope.original_content or b""
        path = self.folder / f"{len(self.messages) + 1:06}.eml"
        path.write_bytes(content)
        mail = Mail(path, envelope.mail_from or "", content)
        self.messages.append(mail)
        self._arrived(mail)
        return f"250 2.0.0 taken as {path.stem}"


class MailServer:
    """The server in front of a mailbox, in the caller's event loop."""

    def __init__(self, mailbox: Mailbox, hostname: str) -> None:
        self._mailbox = mailbox
        self._hostname = hostname
        self._sessions: weakref.WeakSet[SMTP] = weakref.WeakSet()
        self._server: asyncio.Server | None = None

    async def listen(self, address: str, port: int) -> None:
        """Start to listen."""
        self._server = await asyncio.get_running_loop().create_server(self._session, address, port)

    async def stop(self) -> None:
        """Stop to listen and end every session."""
        if self._server is not None:
            self._server.close()
        for session in self._sessions:
            transport: Any = session.transport
            if transport is not None:
                transport.abort()

    def _session(self) -> SMTP:
        session = SMTP(
            self._mailbox, data_size_limit=_MESSAGE_BYTES, hostname=self._hostname, ident="lab", timeout=_IDLE_SECONDS
        )
        self._sessions.add(session)
        return session
