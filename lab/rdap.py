"""The lab's registries: an RDAP server (RFC 9082, RFC 9083) for its domains and its hosters' addresses.

It speaks for every registry at once, and writes the bootstrap files (RFC 9224) that lead to it.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

from lab.hosters import DATED, Hoster, hoster_of
from lab.names import HOSTS, NAME_SERVER
from lab.web import Request, Response
from precinto.adapters.investigators.snapshot import write_snapshot

MEDIA_TYPE = "application/rdap+json"

_REGISTRAR = "Registrador de Prueba"
_CONFORMANCE = ["rdap_level_0"]
_REGISTERED_AT = "2024-05-02T10:00:00Z"


async def answer(request: Request) -> Response:
    """Answer for a domain or an address; for anything else, the error that the protocol asks for."""
    if request.method not in ("GET", "HEAD"):
        return _error(HTTPStatus.METHOD_NOT_ALLOWED, "only questions are answered")
    match request.path.strip("/").split("/"):
        case ["domain", name]:
            found = _domain(name.lower().rstrip("."))
        case ["ip", address]:
            found = _network(address)
        case _:
            return _error(HTTPStatus.BAD_REQUEST, "ask for /domain/ or /ip/")
    return _json(HTTPStatus.OK, found) if found else _error(HTTPStatus.NOT_FOUND, "not registered here")


def write_bootstrap(folder: Path, url: str) -> Path:
    """Write the bootstrap files that name this server, at its base address, for all of the lab; returns the folder."""
    suffixes = sorted({host.name.rpartition(".")[2] for host in HOSTS})
    entries = {"dns.json": suffixes, "ipv4.json": ["127.0.0.0/8"], "ipv6.json": ["::1/128"]}
    for name, served in entries.items():
        registry = {"version": "1.0", "publication": f"{DATED}T00:00:00Z", "services": [[served, [url]]]}
        (folder / name).write_text(json.dumps(registry))
    write_snapshot(folder, "bootstrap files of the lab", "written by the lab", "none needed", DATED, entries)
    return folder


def _domain(name: str) -> dict[str, Any] | None:
    if not any(host.name == name for host in HOSTS):
        return None
    return {
        "rdapConformance": _CONFORMANCE,
        "objectClassName": "domain",
        "ldhName": name,
        "handle": f"{name.upper()}-LAB",
        "status": ["active"],
        "events": [{"eventAction": "registration", "eventDate": _REGISTERED_AT}],
        "nameservers": [{"objectClassName": "nameserver", "ldhName": NAME_SERVER}],
        "entities": [_entity("registrar", _REGISTRAR, f"abuse@{_REGISTRAR.split(maxsplit=1)[0].lower()}.test")],
    }


def _network(address: str) -> dict[str, Any] | None:
    try:
        hoster = hoster_of(address)
    except ValueError:  # no address, or none of IPv4
        return None
    return _block(hoster) if hoster else None


def _block(hoster: Hoster) -> dict[str, Any]:
    return {
        "rdapConformance": _CONFORMANCE,
        "objectClassName": "ip network",
        "handle": hoster.handle,
        "name": hoster.handle,
        "startAddress": hoster.first,
        "endAddress": hoster.last,
        "ipVersion": "v4",
        "country": hoster.country,
        "entities": [_entity("registrant", hoster.name, f"abuse@{hoster.handle.lower()}.test")],
    }


def _entity(role: str, name: str, mail: str) -> dict[str, Any]:
    """An entity with its card (jCard, RFC 7095)."""
    card: list[list[Any]] = [["version", {}, "text", "4.0"], ["fn", {}, "text", name], ["email", {}, "text", mail]]
    return {"objectClassName": "entity", "roles": [role], "vcardArray": ["vcard", card]}


def _error(status: HTTPStatus, title: str) -> Response:
    return _json(status, {"rdapConformance": _CONFORMANCE, "errorCode": int(status), "title": title})


def _json(status: HTTPStatus, content: dict[str, Any]) -> Response:
    return Response(status, json.dumps(content, ensure_ascii=False).encode(), MEDIA_TYPE)
