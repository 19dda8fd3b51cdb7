"""Opens the lab: every server of it, in seconds, and closes all of them again.

Name servers and resolvers are processes; everything else lives in the caller's event loop, so whoever shares the loop
must not block it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from lab import dns, rdap
from lab.certificates import CertificateAuthority
from lab.folder import own_folder
from lab.hosters import write_networks
from lab.isps.andes import Andes
from lab.isps.enforcement import Enforcement, UnboundControl
from lab.isps.norte import Norte
from lab.isps.sur import Sur
from lab.mail import Mailbox, MailServer
from lab.names import (
    ABUSE_DESK,
    ANDES_ADDRESS,
    BIND_ADDRESS,
    CONTROL,
    CONTROL_ADDRESS,
    HOSTS,
    NORTE_KEY,
    RDAP_ADDRESS,
    RPZ_ZONE,
    SECOND_CONTROL,
    SECOND_CONTROL_ADDRESS,
    SENDER,
    SUR_ADDRESS,
    TIMESTAMP_ADDRESS,
    UPDATER_KEY,
)
from lab.ports import PortBook
from lab.processes import Children, daemon
from lab.registry import CANARY, Reach, write_registry
from lab.resolvers import Answer, Resolver, ZoneServer, control_socket, write_rpz_resolver, write_unbound
from lab.sites import Sites
from lab.timestamps import AUTHORITIES, Clock, TimestampAuthority
from lab.web import Handler, WebServer

_HTTPS, _HTTP, _DNS = 443, 80, 53


@dataclass(frozen=True)
class Lab:
    """An open lab.

    Attributes:
        folder: Everything it writes is in here.
        ca: Certificate authority of its sites and interfaces (PEM).
        ports: The real port to the lab's: where the sites of all addresses are.
        root: Port of the name server that is authoritative for everything here.
        registry: The registry that the product reads.
        rdap: Folder with the bootstrap files that lead to the registries of domains and addresses.
        networks: Folder with the copy of whose networks addresses are in.
        primary: Hidden primary of the policy zone, which takes dynamic updates.
        updater_secret: TSIG secret of the key that may update it (base64).
        norte: The ISP that takes the zone.
        sur: The ISP that reads mail.
        andes: The ISP with an interface.
        mail: Where sur's mail server is.
        mailbox: What it took.
        control: A resolver under no policy.
        second_control: Another one, which is asked beside it.
        timestamps: The time-stamp authorities by name; their roots are not the sites'.
        pids: Process id of each daemon; the other servers are in the process that opened the lab.
    """

    folder: Path
    ca: Path
    ports: dict[int, int]
    root: int
    registry: Path
    rdap: Path
    networks: Path
    primary: Resolver
    updater_secret: str
    norte: Norte
    sur: Sur
    andes: Andes
    mail: Resolver
    mailbox: Mailbox
    control: Resolver
    second_control: Resolver
    timestamps: dict[str, Clock]
    pids: dict[str, int]

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that turn the product to this lab."""
        return {
            "PRECINTO_LAB": "true",
            "PRECINTO_LAB_PORTS": json.dumps({**self.ports, _DNS: self.root}),
            "PRECINTO_LAB_CA": str(self.ca),
            "PRECINTO_NETWORKS": str(self.networks),
            "PRECINTO_RDAP": str(self.rdap),
            "PRECINTO_REGISTRY": str(self.registry),
        }

    @property
    def resolvers(self) -> dict[str, Resolver]:
        """Resolver of each ISP by id, and the two controls."""
        return {
            "norte": self.norte.resolver,
            "sur": self.sur.resolver,
            "andes": self.andes.resolver,
            CONTROL: self.control,
            SECOND_CONTROL: self.second_control,
        }

    async def resolve(self, where: str, name: str) -> Answer:
        """What a customer of an ISP (its id, or ``CONTROL``) gets for a name."""
        return await self.resolvers[where].ask(name)


@asynccontextmanager
async def open_lab(folder: Path, app: Path | None = None) -> AsyncGenerator[Lab]:
    """Open a lab in a folder of its own; it is closed, and every process gone, when the context ends.

    Args:
        folder: Where everything it writes goes.
        app: The file that its download page offers; None for a page without one.

    Raises:
        FolderTaken: The folder is not free for a lab.
        MissingProgram: A program is not installed; says which.
        DaemonFailed: A daemon did not start; with the end of its log.
    """
    async with AsyncExitStack() as stack:
        yield await _Opening(stack.enter_context(own_folder(folder)), stack, app).open()


class _Opening:
    """The steps in which a lab comes up; whatever has started is on the stack, to be stopped in reverse."""

    def __init__(self, folder: Path, stack: AsyncExitStack, app: Path | None) -> None:
        self._folder = folder
        self._app = app
        self._stack = stack
        self._book = PortBook()
        stack.callback(self._book.release)
        self._children = Children()
        stack.push_async_callback(self._children.stop)
        self._root_port = self._book.take(BIND_ADDRESS)
        self._primary = Resolver(BIND_ADDRESS, self._book.take(BIND_ADDRESS))
        self._norte = Resolver(BIND_ADDRESS, self._book.take(BIND_ADDRESS))
        self._sur = Resolver(SUR_ADDRESS, self._book.take(SUR_ADDRESS))
        self._andes = Resolver(ANDES_ADDRESS, self._book.take(ANDES_ADDRESS))
        self._control = Resolver(CONTROL_ADDRESS, self._book.take(CONTROL_ADDRESS))
        self._second_control = Resolver(SECOND_CONTROL_ADDRESS, self._book.take(SECOND_CONTROL_ADDRESS))

    async def open(self) -> Lab:
        # Resolvers remember a root that does not answer for seconds: the root comes first.
        keys = {name: base64.b64encode(secrets.token_bytes(32)).decode() for name in (UPDATER_KEY, NORTE_KEY)}
        await _together(self._start_root(), self._start_primary(keys))
        sur, mailbox, mail = await self._open_sur()
        andes, ca, ports = await self._open_web()
        registries = await self._open_registries(ca)
        timestamps = await self._open_timestamps()
        await _together(
            self._start_norte(keys[NORTE_KEY]),
            self._start_unbound("sur", self._sur),
            self._start_unbound("andes", self._andes),
            self._start_unbound(CONTROL, self._control),
            self._start_unbound(SECOND_CONTROL, self._second_control),
        )
        reach = Reach(
            controls=(self._control, self._second_control), norte=self._norte, primary=self._primary, sur=self._sur,
            mail=mail, andes=andes, updater_secret=keys[UPDATER_KEY], timestamps=timestamps,
        )  # fmt: skip
        return Lab(
            folder=self._folder, ca=ca.pem, ports=ports, root=self._root_port,
            registry=write_registry(self._folder, ca.pem, reach),
            rdap=registries, networks=write_networks(self._below("networks")),
            primary=self._primary, updater_secret=keys[UPDATER_KEY], norte=Norte(self._norte), sur=sur, andes=andes,
            mail=mail, mailbox=mailbox, control=self._control, second_control=self._second_control,
            timestamps=timestamps, pids=self._children.pids,
        )  # fmt: skip

    def _below(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    async def _start_named(self, name: str, configuration: Path, answers: Callable[[], Awaitable[bool]]) -> None:
        program = daemon("named", self._folder / "programs")
        child = await self._children.start(name, dns.named_arguments(program, configuration), configuration.parent)
        await self._children.ready(child, answers)

    async def _start_root(self) -> None:
        configuration = dns.write_authoritative(self._below("root"), self._root_port)
        await self._start_named("root", configuration, lambda: ZoneServer(BIND_ADDRESS, self._root_port).holds("."))

    async def _start_primary(self, keys: dict[str, str]) -> None:
        port = self._primary.port
        configuration = dns.write_rpz_primary(self._below("primary"), port, self._norte.port, keys)
        await self._start_named("primary", configuration, lambda: ZoneServer(BIND_ADDRESS, port).holds(RPZ_ZONE))

    async def _start_norte(self, secret: str) -> None:
        port = self._norte.port
        folder = self._below("norte")
        configuration = write_rpz_resolver(folder, port, self._root_port, self._primary.port, secret)

        async def ready() -> bool:
            return await ZoneServer(BIND_ADDRESS, port).holds(RPZ_ZONE) and await self._norte.answers(CANARY)

        await self._start_named("norte", configuration, ready)

    async def _start_unbound(self, name: str, resolver: Resolver) -> None:
        folder = self._below(name)
        configuration = write_unbound(folder, resolver, self._root_port)
        program = daemon("unbound", self._folder / "programs")
        child = await self._children.start(name, [program, "-d", "-c", str(configuration)], folder)
        await self._children.ready(child, lambda: resolver.answers(CANARY))

    def _enforcement(self, isp: str) -> Enforcement:
        return Enforcement(UnboundControl(control_socket(self._below(isp))))

    async def _open_sur(self) -> tuple[Sur, Mailbox, Resolver]:
        sur = Sur(self._below("sur"), self._sur, self._enforcement("sur"))
        self._stack.push_async_callback(sur.stop)
        mailbox = Mailbox(self._below("sur/mail"), ABUSE_DESK, frozenset({SENDER}), sur.receive)
        server = MailServer(mailbox, "mail.sur.test")
        at = Resolver(SUR_ADDRESS, self._book.take(SUR_ADDRESS))
        await server.listen(at.address, at.port)
        self._stack.push_async_callback(server.stop)
        return sur, mailbox, at

    async def _open_web(self) -> tuple[Andes, CertificateAuthority, dict[int, int]]:
        ca = CertificateAuthority(self._folder)
        addresses = sorted({host.address for host in HOSTS})
        sites = self._serve(Sites(self._app).answer)
        ports = {_HTTPS: self._book.take(*addresses), _HTTP: self._book.take(*addresses)}
        names = [(host.name, f"www.{host.name}") for host in HOSTS]
        await sites.listen(addresses, ports[_HTTPS], ca.by_name(names, otherwise="sinkhole.test"))
        await sites.listen(addresses, ports[_HTTP])
        port = self._book.take(ANDES_ADDRESS)
        url = f"https://{ANDES_ADDRESS}:{port}"
        andes = Andes(self._below("andes"), self._andes, self._enforcement("andes"), url)
        await self._serve(andes.answer).listen([ANDES_ADDRESS], port, ca.server(ANDES_ADDRESS))
        return andes, ca, ports

    async def _open_registries(self, ca: CertificateAuthority) -> Path:
        port = self._book.take(RDAP_ADDRESS)
        await self._serve(rdap.answer).listen([RDAP_ADDRESS], port, ca.server(RDAP_ADDRESS))
        return rdap.write_bootstrap(self._below("rdap"), f"https://{RDAP_ADDRESS}:{port}/")

    async def _open_timestamps(self) -> dict[str, Clock]:
        opened: dict[str, Clock] = {}
        for name in AUTHORITIES:
            authority = TimestampAuthority(self._below(f"timestamps/{name}"), name)
            port = self._book.take(TIMESTAMP_ADDRESS)
            await self._serve(authority.answer).listen([TIMESTAMP_ADDRESS], port)
            opened[name] = Clock(f"http://{TIMESTAMP_ADDRESS}:{port}/", authority.ca)
        return opened

    def _serve(self, handler: Handler) -> WebServer:
        server = WebServer(handler)
        self._stack.push_async_callback(server.stop)
        return server


async def _together(*steps: Coroutine[None, None, None]) -> None:
    """Do the steps at once; when one fails, the others are given up and its error is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for step in steps:
                group.create_task(step)
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
