"""The sites of the lab's internet: converters, a sports page, lawful neighbours, a sinkhole; told apart by name.

As on the real web, one server holds many names: the certificate is chosen by SNI, the content by the Host header.
A name that is asked for at an address where it does not live gets 421 (RFC 9110), except at the sinkhole, which
answers for every name.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import jinja2

from lab import media
from lab.brands import BRANDS
from lab.downloads import Offer
from lab.names import SINKHOLE_ADDRESS, Host, Kind, host_of
from lab.web import Request, Response

_CONVERT_SECONDS = 0.6
_JOBS = 500
_MAX_LINK = 500

_SVG = "image/svg+xml"
_TRANSPORT_STREAM = "video/mp2t"
_PLAYLIST = "application/vnd.apple.mpegurl"

_SEGMENT = re.compile(r"/live/segment-([0-9]{1,9})\.ts")
_JOB = re.compile(r"/(progress|download)/([0-9a-f]{16})(\.json|\.wav|)")

_CHART = (
    ("Huayno de la mañana (video oficial)", "12,480"),
    ("Cumbia del río - en vivo", "9,213"),
    ("Vals criollo, disco completo", "7,045"),
    ("Salsa de barrio (letra)", "5,998"),
    ("Marinera norteña 2026", "4,410"),
)
_AGENDA = (
    ("15:30", "Atlético Lima - Deportivo Cusco", "Canal 1"),
    ("18:00", "Unión Arequipa - Sport Piura", "Canal 2"),
    ("20:30", "Alianza Tacna - Real Iquitos", "Canal 3"),
)


@dataclass(frozen=True)
class Job:
    """One conversion that a visitor asked for; ``started`` on the monotonic clock."""

    id: str
    link: str
    started: float = field(default_factory=time.monotonic)

    @property
    def percent(self) -> int:
        """How far it is."""
        return min(100, int(100 * (time.monotonic() - self.started) / _CONVERT_SECONDS))

    @property
    def sound(self) -> bytes:
        """What the link turned into: a tone whose height depends on the link."""
        return media.tone(220 + 20 * (sum(self.link.encode()) % 30))


class Sites:
    """Every site; ``answer`` is the handler of their web server."""

    def __init__(self, app: Path | None = None) -> None:
        """Begin; ``app`` is the file that the download page offers."""
        self._offer = Offer.of(app) if app else None
        loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
        self._templates = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._began = time.monotonic()

    async def answer(self, request: Request) -> Response:
        """Answer for whichever site is meant."""
        if request.address == SINKHOLE_ADDRESS:
            return self._sinkhole(request)
        host = host_of(request.host)
        if host is None or host.address != request.address:
            return _text(HTTPStatus.MISDIRECTED_REQUEST, "this name does not live here")
        if request.method not in ("GET", "HEAD", "POST"):
            return _text(HTTPStatus.METHOD_NOT_ALLOWED, "no such method here", ("Allow", "GET, HEAD, POST"))
        if not request.secure and host.kind is not Kind.PAGE:
            return _redirect(HTTPStatus.MOVED_PERMANENTLY, f"https://{request.host}{_printable(request)}")
        if request.method == "POST":
            return self._post(host, request)
        if host.kind is Kind.SPORTS and request.path.startswith("/live/"):
            return await self._live(request.path)
        return self._asset(host, request) or self._page(host, request)

    def _page(self, host: Host, request: Request) -> Response:
        if host.kind is Kind.RIPPER and (found := _JOB.fullmatch(request.path)):
            return self._job(host, found.group(1) + found.group(3), found.group(2))
        if host.kind is Kind.DOWNLOADS and self._offer and request.path == unquote(self._offer.address):
            return self._offer.response()
        if request.path != "/":
            return _text(HTTPStatus.NOT_FOUND, "no such page")
        return self._render(host, f"{host.kind}.html", consent="consent=" in request.headers.get("cookie", ""))

    def _asset(self, host: Host, request: Request) -> Response | None:
        match request.path:
            case "/style.css":
                return self._render(host, "style.css", "text/css; charset=utf-8")
            case "/logo.svg" | "/poster.svg":
                return self._render(host, request.path[1:], _SVG)
            case "/player.js" if host.kind is Kind.SPORTS:
                return self._render(host, "player.js", "text/javascript; charset=utf-8")
            case "/favicon.ico":
                return _redirect(HTTPStatus.FOUND, "/logo.svg")
            case "/robots.txt":
                return _text(HTTPStatus.OK, "User-agent: *\nDisallow: /download/")
            case _:
                return None

    def _post(self, host: Host, request: Request) -> Response:
        form = request.form()
        if request.path == "/consent":
            choice = "accept" if form.get("choice") == "accept" else "reject"
            return _redirect(HTTPStatus.SEE_OTHER, "/", ("Set-Cookie", f"consent={choice}; Path=/; Max-Age=31536000"))
        if request.path != "/convert" or host.kind is not Kind.RIPPER:
            return _text(HTTPStatus.NOT_FOUND, "no such form")
        link = form.get("link", "").strip()
        if not _is_link(link):
            error = "This is not the link of a video."
            return self._render(host, "ripper.html", status=HTTPStatus.BAD_REQUEST, error=error)
        job = Job(secrets.token_hex(8), link)
        self._jobs[job.id] = job
        if len(self._jobs) > _JOBS:
            self._jobs.popitem(last=False)
        return _redirect(HTTPStatus.SEE_OTHER, f"/progress/{job.id}")

    def _job(self, host: Host, what: str, number: str) -> Response:
        job = self._jobs.get(number)
        if job is None:
            return _text(HTTPStatus.NOT_FOUND, "no such conversion")
        percent = job.percent
        match what:
            case "progress":
                return self._render(host, "progress.html", job=job, percent=percent, done=percent == 100)
            case "progress.json":
                download = f"/download/{job.id}.wav" if percent == 100 else None
                content = json.dumps({"percent": percent, "download": download}).encode()
                return Response(HTTPStatus.OK, content, "application/json", (("Cache-Control", "no-store"),))
            case "download.wav" if percent == 100:
                name = ("Content-Disposition", f'attachment; filename="{BRANDS[host.brand].name}-{job.id}.wav"')
                return Response(HTTPStatus.OK, job.sound, "audio/wav", (name,))
            case _:
                return _text(HTTPStatus.NOT_FOUND, "not there, or not yet")

    async def _live(self, path: str) -> Response:
        if found := _SEGMENT.fullmatch(path):
            content = await asyncio.to_thread(media.segment, int(found.group(1)))  # drawing it takes a while
            return Response(HTTPStatus.OK, content, _TRANSPORT_STREAM)
        if path == "/live/master.m3u8":
            return Response(HTTPStatus.OK, media.master_playlist(), _PLAYLIST)
        if path == "/live/live.m3u8":
            elapsed = time.monotonic() - self._began
            return Response(HTTPStatus.OK, media.playlist(elapsed), _PLAYLIST, (("Cache-Control", "no-store"),))
        return _text(HTTPStatus.NOT_FOUND, "no such stream")

    def _sinkhole(self, request: Request) -> Response:
        """RFC 7725: 451, with a link to whoever implements the block."""
        body = self._templates.get_template("sinkhole.html").render(host=request.host).encode()
        headers = (("Link", '<https://sinkhole.test/>; rel="blocked-by"'), ("Cache-Control", "no-store"))
        return Response(HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS, body, headers=headers)

    def _render(
        self,
        host: Host,
        template: str,
        media_type: str = "text/html; charset=utf-8",
        status: HTTPStatus = HTTPStatus.OK,
        **values: object,
    ) -> Response:
        page = {"kind": host.kind, "brand": BRANDS[host.brand], "chart": _CHART, "agenda": _AGENDA}
        defaults: dict[str, object] = {"consent": False, "error": None, "offer": self._offer}
        text = self._templates.get_template(template).render(page | defaults | values)
        return Response(status, text.encode(), media_type)


def _is_link(text: str) -> bool:
    if len(text) > _MAX_LINK or not text.isprintable():
        return False
    try:
        parts = urlsplit(text)
    except ValueError:  # such as an unclosed bracket
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _printable(request: Request) -> str:
    """Path of a request for a Location header: percent-encoded again, so that no line break gets into the header."""
    query = f"?{request.query}" if request.query else ""
    return quote(request.path) + query


def _text(status: HTTPStatus, text: str, *headers: tuple[str, str]) -> Response:
    return Response(status, f"{text}\n".encode(), "text/plain; charset=utf-8", headers)


def _redirect(status: HTTPStatus, location: str, *headers: tuple[str, str]) -> Response:
    return Response(status, headers=(("Location", location), *headers))
