"""Time stamps over HTTP, from a real authority and from servers that behave badly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

from lab.ports import PortBook
from lab.timestamps import Clock
from lab.web import Request, Response, WebServer
from precinto.adapters.timestamps.rfc3161 import Rfc3161Timestamper
from precinto.bundle.timestamp import LARGEST, check_token
from precinto.bundle.trust import read_certificates
from precinto.domain.errors import BadInput, Refused, Unavailable
from precinto.ports import Timestamper
from tests.bundle.sealing import LOOPBACK, stamping

CONTENT = b"signature"
Answer = Callable[[Request], Awaitable[Response]]


@pytest.fixture(scope="module")
async def clocks(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[dict[str, Clock]]:
    """Two real authorities."""
    async with stamping(tmp_path_factory.mktemp("clocks")) as opened:
        yield opened


@asynccontextmanager
async def serving(answer: Answer) -> AsyncGenerator[str]:
    """A server that answers so; its address."""
    book, server = PortBook(), WebServer(answer)
    port = book.take(LOOPBACK)
    await server.listen([LOOPBACK], port)
    try:
        yield f"http://{LOOPBACK}:{port}/"
    finally:
        await server.stop()
        book.release()


def always(status: HTTPStatus, body: bytes, *headers: tuple[str, str]) -> Answer:
    """The same answer to everything."""

    async def answer(_: Request) -> Response:
        return Response(status, body, "application/timestamp-reply", headers)

    return answer


async def test_a_stamp_states_the_time_and_verifies(clocks: dict[str, Clock]) -> None:
    uno: Timestamper = Rfc3161Timestamper("uno", clocks["uno"].url, clocks["uno"].ca)
    stamp = await uno.stamp(CONTENT)
    assert (uno.name, stamp.authority) == ("uno", "uno")
    assert abs(stamp.at - datetime.now(UTC)) < timedelta(seconds=5)
    assert check_token(stamp.token, CONTENT, read_certificates(clocks["uno"].ca)).at == stamp.at


async def test_an_authority_that_another_root_stands_for_is_refused(clocks: dict[str, Clock]) -> None:
    with pytest.raises(Refused, match="unable to get local issuer") as refused:
        await Rfc3161Timestamper("uno", clocks["uno"].url, clocks["dos"].ca).stamp(CONTENT)
    assert refused.value.code == "bad_timestamp"


async def test_an_old_answer_is_none(clocks: dict[str, Clock]) -> None:
    """The nonce is another each time: who sits between cannot hand out a stamp of earlier."""
    kept: list[Response] = []

    async def replayed(request: Request) -> Response:
        if not kept:
            kept.append(await forward(request))
        return kept[0]

    async def forward(request: Request) -> Response:
        async with httpx.AsyncClient(trust_env=False) as client:
            headers = {"Content-Type": request.headers["content-type"]}
            answer = await client.post(clocks["uno"].url, content=request.body, headers=headers)
        return Response(HTTPStatus.OK, answer.content, "application/timestamp-reply")

    async with serving(replayed) as url:
        between = Rfc3161Timestamper("uno", url, clocks["uno"].ca)
        assert await between.stamp(CONTENT)
        with pytest.raises(Refused, match="Nonce mismatch"):
            await between.stamp(CONTENT)


@pytest.mark.parametrize("body", [b"", b"<html>log in first</html>", b"\x30\x03\x02\x01\x00", bytes(LARGEST + 1)])
async def test_what_is_no_token_is_refused(clocks: dict[str, Clock], body: bytes) -> None:
    async with serving(always(HTTPStatus.OK, body)) as url:
        with pytest.raises(Refused) as refused:
            await Rfc3161Timestamper("uno", url, clocks["uno"].ca).stamp(CONTENT)
    assert refused.value.code == "bad_timestamp"


async def test_a_rejection_is_tried_again(clocks: dict[str, Clock]) -> None:
    rejection = bytes.fromhex("3018 3016 020102 300d 0c0b 6f7574206f662074696d65 0302 0005".replace(" ", ""))
    async with serving(always(HTTPStatus.OK, rejection)) as url:
        with pytest.raises(Unavailable, match=r"rejected the query, status 2: 'out of time'"):
            await Rfc3161Timestamper("uno", url, clocks["uno"].ca).stamp(CONTENT)


@pytest.mark.parametrize("status", [HTTPStatus.FOUND, HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE])
async def test_an_error_is_tried_again_and_no_redirect_followed(clocks: dict[str, Clock], status: HTTPStatus) -> None:
    async with serving(always(status, b"", ("Location", clocks["uno"].url))) as url:
        with pytest.raises(Unavailable, match=f"answered {status.value}"):
            await Rfc3161Timestamper("uno", url, clocks["uno"].ca).stamp(CONTENT)


async def test_one_that_does_not_answer_in_time(clocks: dict[str, Clock]) -> None:
    async def slow(_: Request) -> Response:
        await asyncio.sleep(30)
        raise AssertionError

    async with serving(slow) as url:
        with pytest.raises(Unavailable, match=r"no whole answer within 0\.2 s"):
            await Rfc3161Timestamper("uno", url, clocks["uno"].ca, deadline_seconds=0.2).stamp(CONTENT)


async def test_one_that_is_not_there(clocks: dict[str, Clock]) -> None:
    async with serving(always(HTTPStatus.OK, b"")) as url:
        pass
    with pytest.raises(Unavailable, match="ConnectError"):
        await Rfc3161Timestamper("uno", url, clocks["uno"].ca).stamp(CONTENT)
    with pytest.raises(Unavailable, match="UnsupportedProtocol"):
        await Rfc3161Timestamper("uno", "nowhere", clocks["uno"].ca).stamp(CONTENT)


async def test_a_root_that_cannot_be_read(clocks: dict[str, Clock], tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be read"):
        await Rfc3161Timestamper("uno", clocks["uno"].url, tmp_path / "none.pem").stamp(CONTENT)


async def test_there_is_no_stamp_over_nothing(clocks: dict[str, Clock]) -> None:
    with pytest.raises(BadInput, match="nothing to stamp"):
        await Rfc3161Timestamper("uno", clocks["uno"].url, clocks["uno"].ca).stamp(b"")
