"""Orders to an ISP's own interface over HTTPS: ``PUT {url}/notices/{id}`` (docs/reference/notice.md).

The id in the address and in ``Idempotency-Key`` makes a repetition the same act. An answer of the 200s means that
the ISP has the order, whatever else it says: an answer that cannot be read must not send it again.
"""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Annotated, NamedTuple
from urllib.parse import quote, urlsplit

import httpx
import structlog
from pydantic import AfterValidator, Field

from precinto.adapters.channels.acknowledgements import read_acknowledgements
from precinto.adapters.channels.credentials import printable, read_secret, trust
from precinto.domain.errors import Refused, Throttled, Unavailable
from precinto.domain.model import Value, canonical_json
from precinto.domain.notification import Delivery, Notice
from precinto.plugins import ExistingFile

MAX_ANSWER = 64 * 1024
"""Bytes of an answer that are read."""

LONGEST_WAIT = timedelta(hours=1)
"""An ISP that asks for more is asked again after this long: its word must not park an order."""

_SHORTEST_WAIT = timedelta(seconds=1)
_COME_BACK = frozenset({408, 425, 429})

log = structlog.get_logger(__name__)


def _https_url(text: str) -> str:
    try:
        parts, port = urlsplit(text), httpx.URL(text).port
    except httpx.InvalidURL as error:
        raise ValueError(f"{text!r} is not an address: {error}") from error
    bare = not (parts.username or parts.query or parts.fragment)
    if parts.scheme != "https" or not parts.hostname or not bare or not 0 < (port or 443) < 65_536:
        raise ValueError(f"{text!r} is not a bare https address, such as https://api.example/orders")
    return text.rstrip("/")


class _Answer(NamedTuple):
    status: int
    headers: httpx.Headers
    body: bytes
    whole: bool


class RestChannel:
    """Port ``Channel`` to an ISP's interface."""

    class Options(Value):
        """``[isps.options]`` of the registry.

        Attributes:
            url: Base address, https; notices go to ``{url}/notices/{id}``.
            token_file: File with the bearer token.
            ca_file: Whom to trust as the server; the system's authorities where none is given.
            deadline_seconds: Longest time for one notice, all in all.
        """

        url: Annotated[str, AfterValidator(_https_url)]
        token_file: ExistingFile
        ca_file: ExistingFile | None = None
        deadline_seconds: float = Field(30.0, gt=0)

    def __init__(self, isp: str, options: Options, folder: Path) -> None:
        self._isp = isp
        self._options = options
        self._token_file = folder / options.token_file
        self._ca_file = folder / options.ca_file if options.ca_file else None
        self._trusted: ssl.SSLContext | None = None

    async def deliver(self, notice: Notice) -> Delivery:
        """Put the notice to the ISP, and take what it acknowledges at once.

        Raises:
            Refused: ``http_NNN``, an answer of the 400s, or of the 300s: redirects are not followed, for the order
                and its token are for this server only.
            Throttled: The ISP said when to come back.
            Unavailable: It does not answer in time, cannot prove who it is, or answers 408, 425, 429 or 5xx.
        """
        token = read_secret(self._token_file)
        self._trusted = self._trusted or trust(self._ca_file)
        deadline = self._options.deadline_seconds
        try:
            # A deadline for all of it: the library's time limits start anew with every byte that arrives.
            async with asyncio.timeout(deadline):
                answer = await self._put(notice, token, self._trusted)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise Unavailable(f"{self._where}: no whole answer within {deadline:g} s") from error
        except (httpx.HTTPError, OSError) as error:
            raise Unavailable(f"{self._where}: {type(error).__name__}: {printable(str(error))}") from error
        return self._read(notice, answer)

    @property
    def _where(self) -> str:
        return f"{self._isp}: {self._options.url}"

    async def _put(self, notice: Notice, token: str, trusted: ssl.SSLContext) -> _Answer:
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",  # what is counted is what arrives, not what it unpacks to
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Idempotency-Key": notice.id,
        }
        url = f"{self._options.url}/notices/{quote(notice.id, safe='')}"
        signed = {"signed_order": notice.letter.jws} if notice.letter else {}
        content = canonical_json(notice.document() | signed)
        # trust_env: neither a proxy nor a .netrc of this machine may get the order or replace the token.
        async with httpx.AsyncClient(
            verify=trusted, trust_env=False, follow_redirects=False, timeout=self._options.deadline_seconds
        ) as client, client.stream("PUT", url, headers=headers, content=content) as response:  # fmt: skip
            body = bytearray()
            async for part in response.aiter_raw():
                body += part
                if len(body) > MAX_ANSWER:
                    return _Answer(response.status_code, response.headers, bytes(body[:MAX_ANSWER]), whole=False)
            return _Answer(response.status_code, response.headers, bytes(body), whole=True)

    def _read(self, notice: Notice, answer: _Answer) -> Delivery:
        status = answer.status
        if 200 <= status < 300:
            return self._delivered(notice, answer)
        said = f"{self._where} answered {status} {printable(answer.body.decode('utf-8', 'replace'))}".rstrip()
        if status in _COME_BACK or status >= 500:
            wait = retry_after(answer.headers.get("Retry-After"), datetime.now(UTC))
            raise Unavailable(said) if wait is None else Throttled(said, wait)
        raise Refused(f"http_{status}", said)

    def _delivered(self, notice: Notice, answer: _Answer) -> Delivery:
        receipt = f"http {answer.status} {notice.id}"
        try:
            if not answer.whole:
                raise ValueError(f"more than {MAX_ANSWER} bytes")
            read = read_acknowledgements(answer.body, notice)
        except ValueError as error:
            reason = printable(str(error), 120)
            log.warning("answer_unreadable", isp=self._isp, notice=notice.id, reason=reason)
            return Delivery(receipt=f"{receipt}; nothing acknowledged: {reason}")
        if read.ignored:
            log.warning("acknowledgements_ignored", isp=self._isp, notice=notice.id, items=read.ignored)
        return Delivery(receipt=receipt, acknowledgements=read.taken)


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """The wait that a ``Retry-After`` header asks for (RFC 9110, 10.2.3), within bounds.

    Returns:
        One second to one hour; None where there is no header, or none that can be read.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        wait = timedelta(seconds=int(text[:9]))
    else:
        try:
            at = parsedate_to_datetime(text)
        except ValueError:
            return None
        wait = (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
    return min(max(wait, _SHORTEST_WAIT), LONGEST_WAIT)
