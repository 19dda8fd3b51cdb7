"""ISP andes: a REST interface that takes notices as JSON over HTTPS, and answers for each measure.

``PUT /notices/{id}`` with ``Authorization: Bearer`` and ``Idempotency-Key`` (the notice's id): 201 the first time, 200
for a repetition, 409 for another order under a known id. It can be told to misbehave, see ``Behaviour``.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
from http import HTTPStatus
from pathlib import Path

from lab.errors import Malformed
from lab.isps.behaviour import Behaviour
from lab.isps.enforcement import Enforcement
from lab.isps.journal import Journal
from lab.isps.orders import Order, read_order
from lab.resolvers import Resolver
from lab.web import Gesture, Request, Response

_PREFIX = "/notices/"


class Andes:
    """The ISP behind its interface; ``answer`` is the handler of its web server."""

    def __init__(self, folder: Path, resolver: Resolver, enforcement: Enforcement, url: str) -> None:
        self.resolver = resolver
        self.enforcement = enforcement
        self.url = url
        self.token = secrets.token_urlsafe(32)
        self.behaviour = Behaviour()
        self.journal = Journal(folder)
        self._known: dict[str, str] = {}
        self._taking = asyncio.Lock()

    async def answer(self, request: Request) -> Response | Gesture:
        """Answer one request of the interface."""
        if not request.path.startswith(_PREFIX):
            return _error(HTTPStatus.NOT_FOUND, "there are only /notices/{id}")
        if request.method != "PUT":
            return _error(HTTPStatus.METHOD_NOT_ALLOWED, "notices are PUT", ("Allow", "PUT"))
        if not hmac.compare_digest(request.headers.get("authorization", "").encode(), f"Bearer {self.token}".encode()):
            return _error(HTTPStatus.UNAUTHORIZED, "the token is missing or wrong", ("WWW-Authenticate", "Bearer"))
        try:
            order = _read(request)
        except Malformed as error:
            return _error(HTTPStatus.BAD_REQUEST, str(error))
        return await self._take(order)

    async def _take(self, order: Order) -> Response | Gesture:
        behaviour = self.behaviour
        if behaviour.does("silent"):
            self.journal.note(order, "none", taken=False)
            return Gesture.SILENCE
        if behaviour.does("fail"):
            self.journal.note(order, "503", taken=False)
            wait = ("Retry-After", str(behaviour.retry_after))
            return _error(HTTPStatus.SERVICE_UNAVAILABLE, "not now", wait)
        if behaviour.slow:
            await asyncio.sleep(behaviour.slow)
        async with self._taking:
            known = self._known.get(order.notice)
            if known not in (None, order.digest):
                self.journal.note(order, "409", taken=False)
                return _error(HTTPStatus.CONFLICT, "this id came before with another content")
            if known is None and not behaviour.lies_about(order):
                await self.enforcement.apply(order)
            self._known[order.notice] = order.digest
        status = HTTPStatus.CREATED if known is None else HTTPStatus.OK
        lost = behaviour.does("lose_answer")
        self.journal.note(order, "none" if lost else str(status.value), repeated=known is not None)
        return Gesture.HANG_UP if lost else _json(status, _claims(order))


def _read(request: Request) -> Order:
    """The notice of a request, whose id must be the same in path, header and body."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Malformed("content-type: a notice is application/json")
    order = read_order(request.body, "andes")
    if request.path != f"{_PREFIX}{order.notice}":
        raise Malformed("notice: not the id of the path")
    if request.headers.get("idempotency-key") != order.notice:
        raise Malformed("idempotency-key: not the id of the notice")
    return order


def _claims(order: Order) -> dict[str, object]:
    items = [{"measure": item.measure, "claim": "enforced"} for item in order.items]
    return {"notice": order.notice, "items": items}


def _json(status: HTTPStatus, content: dict[str, object], *headers: tuple[str, str]) -> Response:
    return Response(status, json.dumps(content).encode(), "application/json", headers)


def _error(status: HTTPStatus, reason: str, *headers: tuple[str, str]) -> Response:
    return _json(status, {"error": reason}, *headers)
