"""A site that has everything a capture must not miss, and that remembers what it served.

Served by a full web server over HTTP/2, HTTP/1.1 and without TLS. The same bytes each time, and a journal of every
request that arrived, so that a record of a visit can be held against what really happened.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import socket
import ssl
import struct
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, cast

import brotli
from hypercorn.asyncio import serve  # pyright: ignore[reportUnknownVariableType]
from hypercorn.config import Config

from lab import media
from lab.certificates import CertificateAuthority
from precinto.domain.intake import Service
from precinto.domain.recipes import Download, Open, Recipe, Wait

H2_PORT, H1_PORT, PLAIN_PORT = 443, 8443, 80
"""The ports as a visitor knows them: HTTP/2 and 1.1 over TLS, HTTP/1.1 alone over TLS, and no TLS."""

LARGE_BYTES = 5 * 2**20

RECIPE = Recipe(
    id="showcase",
    services=(Service.OTHER,),
    description="Waits until the page has done all that it does, and takes the file that it offers.",
    steps=(
        Open(do="open"),
        Wait(do="wait", selectors=("#done:not(:empty)",), seconds=60),
        Download(do="download", selectors=("#download",)),
        Wait(do="wait", idle=True, optional=True),
    ),
)
"""What a capture does there."""

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_TEXT = "Esta página existe para que nada de ella se pierda. " * 400
_GRACE_SECONDS = 0.2
_PATIENCE_SECONDS = 600.0
"""How long a connection stays without a request: longer than any visit, however slow the machine.

A request that comes just as the site hangs up is sent anew, and a record has it twice; the journal has it once.
"""


@dataclass(frozen=True)
class File:
    """What is served under a path: media type, the bytes as they go out, and further header fields."""

    media_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    status: int = 200


@dataclass(frozen=True)
class Hit:
    """A request that arrived, and what it got.

    Attributes:
        protocol: ``2``, ``1.1`` or ``1.0``.
        sha256: Digest of the body as it was sent; of a WebSocket, of nothing.
    """

    host: str
    path: str
    method: str
    protocol: str
    status: int
    sha256: str


@dataclass(frozen=True)
class Showcase:
    """The running site.

    Attributes:
        address: Where it listens.
        ports: Ports as a visitor knows them, to the real ones.
        files: Path to what is served there, on every host and port.
        journal: What arrived, in its order.
    """

    address: str
    ports: Mapping[int, int]
    files: Mapping[str, File]
    journal: list[Hit] = field(default_factory=list[Hit])


@asynccontextmanager
async def open_showcase(
    ca: CertificateAuthority, names: Sequence[str], address: str = "127.0.0.1"
) -> AsyncGenerator[Showcase]:
    """Serve the site until the block ends.

    Args:
        ca: Issues the certificate, which holds all the names.
        names: The host of the page, then that of its frame.
        address: Address to listen on.
    """
    sockets = {port: socket.create_server((address, 0)) for port in (H2_PORT, H1_PORT, PLAIN_PORT)}
    ports = {port: listening.getsockname()[1] for port, listening in sockets.items()}
    site = Showcase(address, MappingProxyType(ports), MappingProxyType(_files(names)))
    contexts = {port: _context(ca, names, protocols) for port, protocols in _PROTOCOLS.items()}
    stop = asyncio.Event()
    servers = [
        asyncio.create_task(serve(cast("Any", _App(site)), _Settings(listening, contexts.get(port)),
                                  shutdown_trigger=cast("Any", stop.wait)))
        for port, listening in sockets.items()
    ]  # fmt: skip
    try:
        yield site
    finally:
        stop.set()
        await asyncio.gather(*servers)


_PROTOCOLS = MappingProxyType({H2_PORT: ["h2", "http/1.1"], H1_PORT: ["http/1.1"]})


def _context(ca: CertificateAuthority, names: Sequence[str], protocols: list[str]) -> ssl.SSLContext:
    context = ca.server(*names)
    context.set_alpn_protocols(protocols)
    return context


class _Settings(Config):
    """Serves on a socket that listens already, with a certificate that lies in no file."""

    def __init__(self, listening: socket.socket, tls: ssl.SSLContext | None) -> None:
        super().__init__()
        self.bind = [f"fd://{listening.detach()}"]
        self.errorlog = None
        self.graceful_timeout = _GRACE_SECONDS
        self.keep_alive_timeout = _PATIENCE_SECONDS
        self._tls = tls

    @property
    def ssl_enabled(self) -> bool:
        return self._tls is not None

    def create_ssl_context(self) -> ssl.SSLContext | None:
        return self._tls


class _App:
    """The site itself (ASGI)."""

    def __init__(self, site: Showcase) -> None:
        self._site = site

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await self._answer(scope, receive, send)
            case "websocket":
                self._note(scope, "GET", 101, b"")
                await _echo(receive, send)
            case _:
                await _lifespan(receive, send)

    async def _answer(self, scope: Message, receive: Receive, send: Send) -> None:
        sent = await _body(receive)
        file = self._site.files.get(scope["path"], File("text/plain", b"not here\n", status=404))
        if scope["path"] == "/form":
            file = File("application/json", b'{"bytes":%d}' % len(sent))
        body = b"" if scope["method"] == "HEAD" else file.body
        self._note(scope, scope["method"], file.status, body)
        fields = (("content-type", file.media_type), ("content-length", str(len(file.body))),
                  ("access-control-allow-origin", "*"), *file.headers)  # fmt: skip
        headers = [(name.encode(), value.encode()) for name, value in fields]
        await send({"type": "http.response.start", "status": file.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _note(self, scope: Message, method: str, status: int, body: bytes) -> None:
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1").partition(":")[0]
        digest = hashlib.sha256(body).hexdigest()
        self._site.journal.append(Hit(host, scope["path"], method, scope["http_version"], status, digest))


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def _echo(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})


async def _lifespan(receive: Receive, send: Send) -> None:
    for _ in range(2):
        message = await receive()
        await send({"type": f"{message['type']}.complete"})


def _files(names: Sequence[str]) -> dict[str, File]:
    page, frame = names[0], names[1]
    javascript, html = "text/javascript; charset=utf-8", "text/html; charset=utf-8"
    compressed = gzip.compress(_TEXT.encode(), mtime=0)
    stream = {f"/live/segment-{number}.ts": File("video/mp2t", media.segment(number)) for number in range(4)}
    playlists = {"/live/master.m3u8": media.master_playlist(), "/live/live.m3u8": media.playlist(0)}
    return {
        "/": File(html, _PAGE.replace("FRAME", f"https://{frame}/frame").encode()),
        "/frame": File(html, b"<!doctype html><title>Frame</title><p>A frame of another host."),
        "/page.js": File(javascript, _PAGE_JS.replace("H1", f"{page}:{H1_PORT}").encode()),
        "/worker.js": File(javascript, _WORKER_JS.encode()),
        "/data.json": File("application/json", b'{"from":"a worker"}'),
        "/picture.png": File("image/png", _picture()),
        "/text.gz": File("text/plain; charset=utf-8", compressed, (("content-encoding", "gzip"),)),
        "/text.br": File("text/plain; charset=utf-8", _brotli(_TEXT.encode()), (("content-encoding", "br"),)),
        "/old": File("text/plain", b"", (("location", "/new"),), status=302),
        "/new": File("text/plain", b"moved here\n"),
        "/large.bin": File("application/octet-stream", _large(), (_ATTACHMENT,)),
        "/favicon.ico": File("image/png", _picture()),
        **{path: File("application/vnd.apple.mpegurl", body) for path, body in playlists.items()},
        **stream,
    }


def _brotli(text: bytes) -> bytes:
    return cast("Any", brotli).compress(text)


def _large() -> bytes:
    """Bytes that do not compress, the same each time."""
    return hashlib.shake_256(b"showcase").digest(LARGE_BYTES)


def _picture() -> bytes:
    """A PNG of 64 x 64 points."""
    rows = b"".join(b"\0" + bytes(v for x in range(64) for v in (4 * x, 4 * y, 128)) for y in range(64))
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


_ATTACHMENT = ("content-disposition", 'attachment; filename="large.bin"')

_PAGE = """<!doctype html>
<html lang="es"><meta charset="utf-8"><title>Showcase</title>
<h1>Showcase</h1>
<img src="/picture.png" alt="" width="64" height="64">
<iframe src="FRAME"></iframe>
<p><a id="download" href="/large.bin">large.bin</a></p>
<pre id="done"></pre>
<script src="/page.js"></script>
</html>
"""

_PAGE_JS = """"use strict";
const read = async (url, options) => (await (await fetch(url, options)).arrayBuffer()).byteLength;

const worker = () => new Promise((done) => {
  new Worker("/worker.js").onmessage = (message) => done(message.data);
});

const socket = (host) => new Promise((done, fail) => {
  const open = new WebSocket(`wss://${host}/socket`);
  open.onopen = () => open.send("hola ".repeat(100));
  open.onmessage = () => open.close(1000, "adiós");
  open.onclose = () => done("closed");
  open.onerror = fail;
});

const stream = async () => {
  await read("/live/master.m3u8");
  const playlist = await (await fetch("/live/live.m3u8")).text();
  for (const line of playlist.split("\\n")) {
    if (line && !line.startsWith("#")) await read(`/live/${line}`);
  }
};

const all = async () => {
  await worker();
  await read("/text.gz");
  await read("/text.br");
  await read("/old");
  await read("/form", { method: "POST", body: "a=1&b=2" });
  await stream();
  await socket(location.host);
  await socket("H1");
  await read("https://H1/data.json");
  await read("https://H1/large.bin");
  document.getElementById("done").textContent = "all done";
};

all().catch((error) => { document.getElementById("done").textContent = `failed: ${error}`; });
"""

_WORKER_JS = """"use strict";
fetch("/data.json").then((answer) => answer.json()).then((data) => postMessage(data.from));
"""
