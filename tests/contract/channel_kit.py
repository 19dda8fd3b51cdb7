"""What any channel must do, whoever wrote it. Subclass it in a test module and give it the fixture ``desk``.

The desk is the ISP's side, seen from outside: a real server of the kind that the channel speaks to.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

import pytest

from precinto.domain.errors import PrecintoError, Unavailable
from precinto.domain.notification import Action
from precinto.ports import Channel
from tests.contract.notices import new_target, notice

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Desk(Protocol):
    """An ISP's side, and the channel to it."""

    channel: Channel

    async def blocked(self) -> set[str]:
        """What the ISP would block by all that has reached it."""
        ...

    async def acts(self) -> int:
        """How many different acts the ISP's side has counted; a repetition of one is no other."""
        ...

    def channel_at(self, address: str) -> Channel:
        """A channel of the same kind to another ``address:port``, with a deadline of less than a second."""
        ...


class ChannelContract:
    """The contract of port ``Channel``."""

    async def test_a_block_reaches_the_isp(self, desk: Desk) -> None:
        first, second = new_target(), new_target()
        delivery = await desk.channel.deliver(notice(Action.BLOCK, first, second))
        assert delivery.receipt
        assert {first, second} <= await desk.blocked()

    async def test_the_same_notice_twice_is_one_act(self, desk: Desk) -> None:
        target, before = new_target(), await desk.acts()
        for _ in range(2):
            await desk.channel.deliver(notice(Action.BLOCK, target))
        assert await desk.acts() - before == 1
        assert target in await desk.blocked()

    async def test_a_release_undoes_a_block_and_nothing_else(self, desk: Desk) -> None:
        ended, kept = new_target(), new_target()
        await desk.channel.deliver(notice(Action.BLOCK, ended))
        await desk.channel.deliver(notice(Action.BLOCK, kept))
        await desk.channel.deliver(notice(Action.RELEASE, ended))
        blocked = await desk.blocked()
        assert kept in blocked
        assert ended not in blocked

    async def test_only_what_was_asked_is_acknowledged(self, desk: Desk) -> None:
        sent = notice(Action.BLOCK, new_target())
        delivery = await desk.channel.deliver(sent)
        assert {a.measure for a in delivery.acknowledgements} <= {m.id for m in sent.items}

    @pytest.mark.parametrize("turns", [0, 1, 3, 8, 20, 60, 200])
    async def test_a_delivery_cut_off_at_any_moment_can_be_repeated(self, desk: Desk, turns: int) -> None:
        target, before = new_target(), await desk.acts()
        cut = asyncio.create_task(desk.channel.deliver(notice(Action.BLOCK, target)))
        for _ in range(turns):
            await asyncio.sleep(0)
        cut.cancel()
        await asyncio.wait([cut])
        await desk.channel.deliver(notice(Action.BLOCK, target))
        assert await desk.acts() - before == 1
        assert target in await desk.blocked()

    async def test_many_notices_at_once_are_as_many_acts(self, desk: Desk) -> None:
        targets, before = [new_target() for _ in range(10)], await desk.acts()
        await asyncio.gather(*(desk.channel.deliver(notice(Action.BLOCK, target)) for target in targets))
        assert await desk.acts() - before == 10
        assert set(targets) <= await desk.blocked()

    async def test_where_nothing_listens_the_isp_is_unavailable(self, desk: Desk) -> None:
        with socket.socket() as held:  # bound, not listening: nobody else can take the port meanwhile
            held.bind(("127.0.0.1", 0))
            with pytest.raises(Unavailable):
                await desk.channel_at(f"127.0.0.1:{held.getsockname()[1]}").deliver(notice(Action.BLOCK, "a.test"))

    async def test_a_server_that_is_silent_is_unavailable(self, desk: Desk) -> None:
        async with _server(_silence) as address:
            with pytest.raises(Unavailable):
                await desk.channel_at(address).deliver(notice(Action.BLOCK, "a.test"))

    async def test_a_server_that_hangs_up_is_unavailable(self, desk: Desk) -> None:
        async with _server(_hang_up) as address:
            with pytest.raises(Unavailable):
                await desk.channel_at(address).deliver(notice(Action.BLOCK, "a.test"))

    @pytest.mark.parametrize("noise", [b"\0" * 4096, b"\xff\xfe\r\n" * 500, b"250 OK\r\n" * 20], ids=repr)
    async def test_what_no_server_of_its_kind_says_is_an_error_of_ours(self, desk: Desk, noise: bytes) -> None:
        async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(noise)
            await writer.drain()

        async with _server(talk) as address:
            with pytest.raises(PrecintoError):
                await desk.channel_at(address).deliver(notice(Action.BLOCK, "a.test"))


@asynccontextmanager
async def _server(talk: Talk) -> AsyncGenerator[str]:
    """A server that takes a connection, talks as it is told, and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}"


async def _silence(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()  # until the other side gives up


async def _hang_up(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    return
