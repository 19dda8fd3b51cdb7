"""ISP sur: an abuse desk that reads orders from its mail and works them off, one after the other, after a while.

The desk is scripted; the mail, the mailbox and the resolver it works on are real.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import logging
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

from lab.errors import Malformed
from lab.isps.behaviour import Behaviour
from lab.isps.enforcement import Enforcement
from lab.isps.journal import Journal
from lab.isps.orders import Order, read_order
from lab.mail import Mail
from lab.resolvers import Resolver

_ATTACHMENT = "notice.json"
_DELAY_SECONDS = 1.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unread:
    """A message that the desk could make nothing of, and why; the message itself is kept."""

    path: Path
    reason: str


class Sur:
    """The ISP's desk; ``receive`` takes each message that its mail server accepts.

    Attributes:
        delay: Seconds between a message's arrival and the desk's work on it.
        behaviour: Of its switches the desk knows ``lie`` and ``slow``.
        unread: Messages without a notice that it understands.
    """

    def __init__(self, folder: Path, resolver: Resolver, enforcement: Enforcement) -> None:
        self.resolver = resolver
        self.enforcement = enforcement
        self.delay = _DELAY_SECONDS
        self.behaviour = Behaviour()
        self.journal = Journal(folder)
        self.unread: list[Unread] = []
        self._known: set[str] = set()
        self._pile: asyncio.Queue[tuple[float, Order]] = asyncio.Queue()
        self._desk = asyncio.create_task(self._work())

    def receive(self, mail: Mail) -> None:
        """Put an order on the pile, unless it lies there or was done already."""
        try:
            order = read_order(_notice(mail.content), "sur")
        except Malformed as error:
            _log.warning("sur cannot read %s: %s", mail.path.name, error)
            self.unread.append(Unread(mail.path, str(error)))
            return
        repeated = order.notice in self._known
        self.journal.note(order, "250", repeated=repeated)
        if not repeated:
            self._known.add(order.notice)
            self._pile.put_nowait((asyncio.get_running_loop().time() + self.delay, order))

    async def idle(self) -> None:
        """Wait until everything that came in is worked off.

        Raises:
            ControlRefused: The resolver would not do what an order says; the desk stopped there.
        """
        worked_off = asyncio.create_task(self._pile.join())
        await asyncio.wait({worked_off, self._desk}, return_when=asyncio.FIRST_COMPLETED)
        worked_off.cancel()
        if self._desk.done():
            self._desk.result()

    async def stop(self) -> None:
        """Leave the rest of the pile.

        Raises:
            ControlRefused: The desk had stopped by itself because the resolver would not.
        """
        self._desk.cancel()
        await asyncio.wait({self._desk})
        if not self._desk.cancelled():
            self._desk.result()

    async def _work(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            due, order = await self._pile.get()
            await asyncio.sleep(max(0.0, due - clock()) + self.behaviour.slow)
            if not self.behaviour.lies_about(order):
                await self.enforcement.apply(order)
            self._pile.task_done()


def _notice(content: bytes) -> bytes:
    """The attachment that holds the notice.

    Raises:
        Malformed: There is none, or more than one.
    """
    message = email.message_from_bytes(content, _class=EmailMessage, policy=email.policy.default)
    found = [part for part in message.walk() if part.get_filename() == _ATTACHMENT]
    if len(found) != 1:
        raise Malformed(f"{len(found)} attachments are called {_ATTACHMENT}")
    if found[0].get_content_type() != "application/json":
        raise Malformed(f"{_ATTACHMENT} is {found[0].get_content_type()}")
    payload = found[0].get_payload(decode=True)
    if not isinstance(payload, bytes):
        raise Malformed(f"{_ATTACHMENT} has no content")
    return payload
