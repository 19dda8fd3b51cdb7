"""What the registries say of a domain and of addresses: RDAP (RFC 9082 for the question, RFC 9083 for the answer).

Answers are kept as they came and are not read: what they are worth is for people. A server may send on to another
one (RFC 9082, 5.2), which may be anybody's; so each is reached at an address that was checked, and nothing is sent
that a stranger may not see.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import httpx

from precinto.adapters.investigators.bootstrap import Bootstrap
from precinto.adapters.investigators.reach import Reach
from precinto.domain.errors import BadInput, Refused, Unavailable

FILE = "rdap.json"

MAX_ANSWER = 512 * 1024
"""Bytes of an answer; registries stay below a tenth of this."""

REDIRECTS = 3

_TEXT = 300
_ONE_REQUEST_EACH = httpx.Limits(max_keepalive_connections=0)


class _Failed(Exception):
    """This question gets no answer, for the reason that it carries."""


@dataclass
class Record:
    """What came of one question.

    Attributes:
        subject: The domain or the address.
        file: Name of the file for the answer.
        bootstrap: The day of the bootstrap files that named the server; None where they cannot be used.
        hops: Each server that was asked: where, when, and what it said.
        body: The answer, an object of JSON; None where there is none.
        problem: Why there is none.
    """

    subject: str
    file: str
    bootstrap: date | None = None
    hops: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    body: bytes | None = None
    problem: str | None = None


class Registrations:
    """Asks the registries.

    Args:
        bootstrap: Folder with a copy of IANA's bootstrap files; read when it is first needed.
        reach: Which servers may be spoken to.
        ca: Whom to trust as a server; the system's authorities where none is given.
    """

    def __init__(self, bootstrap: Path, reach: Reach, ca: Path | None = None) -> None:
        self._folder = bootstrap
        self._reach = reach
        self._ca = ca
        self._bootstrap: Bootstrap | None = None
        self._trusted: ssl.SSLContext | None = None

    async def domain(self, name: str, deadline: float) -> Record:
        """What the registry of a registrable domain says of it, had until ``deadline`` (the loop's clock)."""
        record = Record(name, "rdap-domain.json")
        await self._fill(record, f"domain/{quote(name)}", lambda known: known.for_domain(name), deadline)
        return record

    async def address(self, address: IPv4Address | IPv6Address, deadline: float) -> Record:
        """What the regional registry says of the network that an address is in."""
        record = Record(str(address), f"rdap-{str(address).replace(':', '-')}.json")
        await self._fill(record, f"ip/{address}", lambda known: known.for_address(address), deadline)
        return record

    async def _fill(
        self, record: Record, path: str, servers: Callable[[Bootstrap], Sequence[str]], deadline: float
    ) -> None:
        try:
            self._bootstrap = self._bootstrap or Bootstrap(self._folder)
            record.bootstrap = self._bootstrap.dated
            bases = servers(self._bootstrap)
            if not bases:
                raise _Failed(f"no server is known for {record.subject}, by the bootstrap files of {record.bootstrap}")
            async with asyncio.timeout_at(deadline):
                record.body = await self._follow(f"{bases[0]}{path}", record.hops)
        except (_Failed, BadInput, Refused, Unavailable) as error:
            record.problem = str(error)
        except TimeoutError:
            record.problem = "no whole answer in time"
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            record.problem = _printable(f"{type(error).__name__}: {error}")

    async def _follow(self, url: str, hops: list[dict[str, Any]]) -> bytes:
        self._trusted = self._trusted or ssl.create_default_context(cafile=self._ca)
        # trust_env: no proxy of this machine stands between us and the address that was checked.
        async with httpx.AsyncClient(
            verify=self._trusted,
            trust_env=False,
            timeout=None,  # noqa: S113 - the deadline is the caller's, for all requests together
            limits=_ONE_REQUEST_EACH,
        ) as client:
            for _ in range(1 + REDIRECTS):
                status, location, body = await self._get(client, url, hops)
                if status == 200:
                    return _json_object(body)
                if not (300 <= status < 400 and location):
                    raise _Failed("the registry does not know it" if status == 404 else f"answered {status}")
                url = urljoin(url, location)
        raise _Failed(f"sent on more than {REDIRECTS} times")

    async def _get(
        self, client: httpx.AsyncClient, url: str, hops: list[dict[str, Any]]
    ) -> tuple[int, str | None, bytes]:
        where = httpx.URL(url)
        if where.scheme not in {"http", "https"} or not where.host or where.userinfo:
            raise _Failed(f"sent on to what is no plain web address: {_printable(url)}")
        hop: dict[str, Any] = {"url": _printable(url), "asked_at": datetime.now(UTC).isoformat()}
        hops.append(hop)
        address = await self._reach.address(where.host)
        hop["address"] = address
        began, body = time.monotonic(), bytearray()
        headers = {
            "Accept": "application/rdap+json, application/json",
            "Accept-Encoding": "identity",  # what is counted is what arrives, not what it unpacks to
            "Host": where.netloc.decode("ascii"),
            "User-Agent": "precinto",
        }
        at = where.copy_with(host=address, port=self._reach.port(where.port or _PORTS[where.scheme]))
        # The certificate must be of the name; the connection goes to the address.
        async with client.stream("GET", at, headers=headers, extensions={"sni_hostname": where.host}) as response:
            hop["status"] = response.status_code
            hop["type"] = _printable(response.headers.get("Content-Type", ""))
            async for part in response.aiter_raw():
                body += part
                if len(body) > MAX_ANSWER:
                    raise _Failed(f"answered more than {MAX_ANSWER} bytes")
        hop["size"], hop["took_us"] = len(body), int((time.monotonic() - began) * 1_000_000)
        return response.status_code, response.headers.get("Location"), bytes(body)


_PORTS = {"http": 80, "https": 443}


def document(records: Iterable[Record]) -> dict[str, Any]:
    """Content of ``rdap.json``: who was asked what, and which file holds the answer."""
    lines = [
        {
            "of": one.subject,
            "bootstrap": one.bootstrap.isoformat() if one.bootstrap else None,
            "servers": one.hops,
            "file": one.file if one.body is not None else None,
            "problem": one.problem,
        }
        for one in records
    ]
    return {"questions": lines}


def _json_object(body: bytes) -> bytes:
    try:
        content: object = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _Failed(f"answered what is no JSON: {_printable(str(error))}") from error
    if not isinstance(content, dict):
        raise _Failed("answered JSON that is no object")
    return body


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text[:_TEXT]).strip()
