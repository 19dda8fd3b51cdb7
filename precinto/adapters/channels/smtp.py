"""Orders by e-mail, for ISPs that have a desk and no interface.

The server's 250 says that the mail was delivered, and no more: it acknowledges nothing. A mail that may have been
sent twice (the connection broke before the answer) carries the same Message-ID and the same notice.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import aiosmtplib
from pydantic import Field

from precinto.adapters.channels.credentials import printable, trust
from precinto.adapters.channels.mail import MailAddress, compose, message_id
from precinto.domain.errors import Refused, Unavailable
from precinto.domain.model import Value
from precinto.domain.notification import Delivery, Notice
from precinto.endpoints import HostPort, endpoint
from precinto.plugins import ExistingFile

_FAREWELL_SECONDS = 1.0


class SmtpChannel:
    """Port ``Channel`` to the mailbox of an ISP's desk."""

    class Options(Value):
        """``[isps.options]`` of the registry.

        Attributes:
            server: Mail server that takes the authority's mail, ``host:port``.
            sender: Address of the authority; bounces go there.
            recipient: Address of the ISP's desk.
            contact: Where the ISP may ask or object; the sender's address where none is given.
            starttls: Whether the connection must be encrypted, to a server that proves who it is.
            ca_file: Whom to trust for that; the system's authorities where none is given.
            deadline_seconds: Longest time for one mail, all in all.
        """

        server: HostPort
        sender: MailAddress
        recipient: MailAddress
        contact: str | None = Field(None, min_length=1)
        starttls: bool = False
        ca_file: ExistingFile | None = None
        deadline_seconds: float = Field(30.0, gt=0)

    def __init__(self, isp: str, options: Options, folder: Path) -> None:
        self._isp = isp
        self._options = options
        self._ca_file = folder / options.ca_file if options.ca_file else None
        self._trusted: ssl.SSLContext | None = None

    async def deliver(self, notice: Notice) -> Delivery:
        """Hand the mail to the server.

        Raises:
            Refused: ``smtp_NNN``, the server's answer of the 500s; ``smtp_no_starttls``.
            Unavailable: The server does not answer now, answers with one of the 400s, or cannot prove who it is.
        """
        options = self._options
        contact = options.contact or options.sender
        mail = compose(notice, options.sender, options.recipient, contact, datetime.now(UTC))
        host, port = endpoint(options.server)
        # Without a name of its own the library would ask a resolver for this machine's.
        own_name = options.sender.rpartition("@")[2]
        server = aiosmtplib.SMTP(
            hostname=host, port=port, local_hostname=own_name, timeout=options.deadline_seconds, start_tls=False
        )
        try:
            async with asyncio.timeout(options.deadline_seconds):
                answer = await self._send(server, notice, mail.as_bytes())
            with suppress(aiosmtplib.SMTPException, OSError):  # the mail is theirs: a failed farewell changes nothing
                await server.quit(timeout=_FAREWELL_SECONDS)
        except aiosmtplib.SMTPResponseException as error:
            raise self._refusal(error) from error
        except TimeoutError as error:
            raise Unavailable(f"{self._where}: no answer within {options.deadline_seconds:g} s") from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise Unavailable(f"{self._where}: {type(error).__name__}: {printable(str(error))}") from error
        finally:
            server.close()
        return Delivery(receipt=f"{message_id(notice.id, options.sender)} {answer.code} {printable(answer.message)}")

    @property
    def _where(self) -> str:
        return f"{self._isp}: mail server {self._options.server}"

    async def _send(self, server: aiosmtplib.SMTP, notice: Notice, mail: bytes) -> aiosmtplib.SMTPResponse:
        await server.connect()
        await server.ehlo()
        if self._options.starttls:
            if not server.supports_extension("starttls"):
                # Sent in the clear instead, it would be read by whoever took the offer out of the answer.
                raise Refused("smtp_no_starttls", f"{self._where} offers no STARTTLS, which the registry asks for")
            self._trusted = self._trusted or trust(self._ca_file)
            await server.starttls(tls_context=self._trusted)
            await server.ehlo()
        # RFC 3461: the bounce, if there is one, names the notice. An UUID needs no xtext encoding.
        dsn = [f"ENVID={notice.id}", "RET=HDRS"] if server.supports_extension("dsn") else []
        await server.mail(self._options.sender, options=dsn)
        await server.rcpt(self._options.recipient)
        return await server.data(mail)

    def _refusal(self, error: aiosmtplib.SMTPResponseException) -> Refused | Unavailable:
        said = f"{self._where} answered {error.code} {printable(error.message)}"
        return Refused(f"smtp_{error.code}", said) if 500 <= error.code < 600 else Unavailable(said)
