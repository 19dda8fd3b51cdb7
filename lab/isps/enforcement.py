"""Enforcement on Unbound: which name is blocked under which orders, and the control socket that makes it so."""

from __future__ import annotations

import asyncio
from pathlib import Path

from lab.errors import ControlRefused
from lab.isps.orders import Order
from precinto.domain.notification import Action

_CONTROL_SECONDS = 5.0


class UnboundControl:
    """The control socket of an Unbound (protocol ``UBCT1`` of ``unbound-control``, without TLS)."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def command(self, *words: str) -> None:
        """Give one command, for example ``flush_zone``, ``example.org``.

        Raises:
            ControlRefused: Unbound answered with an error.
        """
        line = " ".join(words)
        async with asyncio.timeout(_CONTROL_SECONDS):
            reader, writer = await asyncio.open_unix_connection(self._socket)
            try:
                writer.write(f"UBCT1 {line}\n".encode())
                await writer.drain()
                reply = (await reader.read()).decode(errors="replace").strip()
            finally:
                writer.close()
        if reply.partition(" ")[0] != "ok":  # some commands say more: "ok removed 4 rrsets"
            raise ControlRefused(f"{line}: {reply or 'no answer'}")


class Enforcement:
    """What an ISP blocks. A name stays blocked as long as one order stands that asks for it."""

    def __init__(self, control: UnboundControl) -> None:
        self._control = control
        self._orders: dict[str, set[str]] = {}
        self._changing = asyncio.Lock()

    @property
    def blocked(self) -> frozenset[str]:
        """The names that are blocked now, each with everything below it."""
        return frozenset(self._orders)

    async def apply(self, order: Order) -> None:
        """Do what an order says; doing it again changes nothing.

        Raises:
            ControlRefused: The resolver would not.
        """
        async with self._changing:
            for name in order.targets:
                if order.action is Action.BLOCK:
                    await self._block(name, order.order)
                else:
                    await self._release(name, order.order)

    async def lift_all(self) -> frozenset[str]:
        """Lift every block whatever orders stand, as no ISP may: for who tidies up; returns what was blocked."""
        async with self._changing:
            left = self.blocked
            for name in left:
                await self._lift(name)
        return left

    async def _block(self, name: str, order: str) -> None:
        if name not in self._orders:
            await self._control.command("local_zone", name, "always_nxdomain")
        self._orders.setdefault(name, set()).add(order)

    async def _release(self, name: str, order: str) -> None:
        under = self._orders.get(name, set())
        if under == {order}:
            await self._lift(name)
        under.discard(order)

    async def _lift(self, name: str) -> None:
        await self._control.command("local_zone_remove", name)
        await self._control.command("flush_zone", name)
        del self._orders[name]
