"""A visitor of the lab's sites: a browser's view of names and ports, without the browser."""

from __future__ import annotations

import ssl
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx

from lab.lab import Lab

_PORTS = {"https": 443, "http": 80}


class Visitor:
    """Finds names through the control resolver, maps ports as the lab says, trusts its CA alone, keeps connections."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._client = httpx.AsyncClient(verify=ssl.create_default_context(cafile=str(lab.ca)), trust_env=False)

    async def __aenter__(self) -> Visitor:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def get(self, url: str, **options: Any) -> httpx.Response:
        return await self.request("GET", url, **options)

    async def post(self, url: str, **fields: str) -> httpx.Response:
        return await self.request("POST", url, data=fields)

    async def request(
        self, method: str, url: str, *, address: str = "", headers: dict[str, str] | None = None, **options: Any
    ) -> httpx.Response:
        """One request, redirects not followed; ``address`` visits another one than the name's own."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        if not address:
            (address,) = (await self._lab.control.ask(host)).addresses
        where = f"{parts.scheme}://{address}:{self._lab.ports[_PORTS[parts.scheme]]}{parts.path or '/'}"
        return await self._client.request(
            method,
            where + (f"?{parts.query}" if parts.query else ""),
            headers={"Host": host} | (headers or {}),
            extensions={"sni_hostname": host},
            **options,
        )
