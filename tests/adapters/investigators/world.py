"""The part of the lab's internet that investigations ask: zones (BIND), a resolver, the sites, the registries.

It is made of the lab's own parts, with its own ports, and opens in half the time of the whole lab.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.certificates import CertificateAuthority
from lab.dns import named_arguments, write_authoritative
from lab.hosters import write_networks
from lab.names import BIND_ADDRESS, CONTROL_ADDRESS, HOSTS
from lab.ports import PortBook
from lab.processes import Children, daemon
from lab.rdap import answer, write_bootstrap
from lab.resolvers import Resolver, ZoneServer, write_unbound
from lab.sites import Sites
from lab.web import Handler, WebServer
from precinto.adapters.investigators.investigator import TargetInvestigator


@dataclass(frozen=True)
class World:
    """The servers.

    Attributes:
        resolver: A resolver under no order.
        ports: The real port to the port here: of the sites, and of the name server of every zone.
        ca: The authority of all certificates here (PEM).
        bootstrap: Folder with the bootstrap files that lead to the registries.
        networks: Folder with the copy of whose networks the addresses are in.
    """

    resolver: Resolver
    ports: dict[int, int]
    ca: Path
    bootstrap: Path
    networks: Path

    def investigator(self, *resolvers: str, seconds: float = 10.0) -> TargetInvestigator:
        """An investigator that asks here; by the world's resolver unless told otherwise."""
        asked = resolvers or (str(self.resolver), str(self.resolver))
        return TargetInvestigator(asked, self.ports, self.networks, self.bootstrap, self.ca, seconds)


@asynccontextmanager
async def open_world(folder: Path) -> AsyncGenerator[World]:
    """Start the servers; stop them, whatever happens."""
    async with AsyncExitStack() as stack:
        book, children = PortBook(), Children()
        stack.callback(book.release)
        stack.push_async_callback(children.stop)
        folders = {name: folder / name for name in ("root", "resolver", "bootstrap", "networks")}
        for each in folders.values():
            each.mkdir()
        root = ZoneServer(BIND_ADDRESS, book.take(BIND_ADDRESS))
        named = named_arguments(daemon("named", folder / "bin"), write_authoritative(folders["root"], root.port))
        started = await children.start("root", named, folders["root"])
        await children.ready(started, lambda: root.holds("."))
        resolver = Resolver(CONTROL_ADDRESS, book.take(CONTROL_ADDRESS))
        unbound = [daemon("unbound", folder / "bin"), "-d", "-p", "-c"]
        unbound.append(str(write_unbound(folders["resolver"], resolver, root.port)))
        started = await children.start("resolver", unbound, folders["resolver"])
        await children.ready(started, lambda: resolver.answers("ejemplo.test"))

        def serve(handler: Handler) -> WebServer:
            server = WebServer(handler)
            stack.push_async_callback(server.stop)
            return server

        ca = CertificateAuthority(folder)
        addresses = sorted({host.address for host in HOSTS})
        ports = {443: book.take(*addresses), 80: book.take(*addresses), 53: root.port}
        sites = serve(Sites().answer)
        tls = ca.by_name([(host.name, f"www.{host.name}") for host in HOSTS], otherwise="sinkhole.test")
        await sites.listen(addresses, ports[443], tls)
        await sites.listen(addresses, ports[80])
        registries = book.take("127.0.0.1")
        await serve(answer).listen(["127.0.0.1"], registries, ca.server("127.0.0.1"))
        bootstrap = write_bootstrap(folders["bootstrap"], f"https://127.0.0.1:{registries}/")
        yield World(resolver, ports, ca.pem, bootstrap, write_networks(folders["networks"]))
