"""Time stamps over HTTP (RFC 3161, 3.4)."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from pathlib import Path

import httpx
from rfc3161_client import HashAlgorithm, PKIStatus, TimestampRequestBuilder, decode_timestamp_response

from precinto.bundle.timestamp import LARGEST, check_response
from precinto.bundle.trust import read_certificates
from precinto.domain.errors import BadInput, Refused, Unavailable
from precinto.ports import Stamp

DEADLINE_SECONDS = 20.0
"""Longest time for one stamp, all in all."""


class Rfc3161Timestamper:
    """Port ``Timestamper``. The authority need not be reached by TLS: its answers prove themselves."""

    def __init__(self, name: str, url: str, roots: Path, deadline_seconds: float = DEADLINE_SECONDS) -> None:
        """Stamp at an authority.

        Args:
            name: Short id of the authority; becomes the token's file name in a bundle.
            url: Its address.
            roots: Its root, PEM, with those between where its tokens lack them. Read for each stamp.
            deadline_seconds: Longest time for one stamp, all in all.
        """
        self._name = name
        self._url = url
        self._roots = roots
        self._deadline = deadline_seconds

    @property
    def name(self) -> str:
        """Short id of the authority."""
        return self._name

    async def stamp(self, content: bytes) -> Stamp:
        """A token over the SHA-256 of these bytes, checked against the authority's own root.

        Raises:
            BadInput: There is nothing to stamp.
            Unavailable: The authority does not answer in time, answers with an HTTP error or a rejection, or its root
                cannot be read.
            Refused: ``bad_timestamp``: what it answered is no token for this query.
        """
        if not content:
            raise BadInput("there is nothing to stamp")
        try:
            roots = read_certificates(self._roots)
        except BadInput as error:
            raise Unavailable(f"{self._name}: {error}") from error
        query = TimestampRequestBuilder(data=content, hash_algorithm=HashAlgorithm.SHA256).build()
        response = await self._ask(query.as_bytes())
        token = self._token(response)
        stamped = check_response(response, content, roots, query.nonce)
        return Stamp(authority=self._name, token=token, at=stamped.at)

    async def _ask(self, query: bytes) -> bytes:
        try:
            # A deadline for all of it: the library's time limits start anew with every byte that arrives.
            async with asyncio.timeout(self._deadline):
                return await self._post(query)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise Unavailable(f"{self._where}: no whole answer within {self._deadline:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise Unavailable(f"{self._where}: {type(error).__name__}: {error}") from error

    async def _post(self, query: bytes) -> bytes:
        headers = {"Accept-Encoding": "identity", "Content-Type": "application/timestamp-query"}
        async with httpx.AsyncClient(
            trust_env=False, follow_redirects=False, timeout=self._deadline
        ) as client, client.stream("POST", self._url, headers=headers, content=query) as response:  # fmt: skip
            if response.status_code != HTTPStatus.OK:
                raise Unavailable(f"{self._where} answered {response.status_code}")
            body = bytearray()
            async for part in response.aiter_raw():
                body += part
                if len(body) > LARGEST:
                    raise Refused("bad_timestamp", f"{self._where} answered with more than {LARGEST} bytes")
            return bytes(body)

    def _token(self, response: bytes) -> bytes:
        try:
            answer = decode_timestamp_response(response)
        except ValueError as error:
            raise Refused("bad_timestamp", f"{self._where} answered with no time-stamp response: {error}") from error
        if answer.status not in {PKIStatus.GRANTED, PKIStatus.GRANTED_WITH_MODS}:
            # No lie about the time: the authority may be in trouble now, and stamp later.
            said = ", ".join(answer.status_string)[:200]
            raise Unavailable(f"{self._where} rejected the query, status {answer.status}: {said!a}")
        return answer.time_stamp_token()

    @property
    def _where(self) -> str:
        return f"{self._name}: {self._url}"
