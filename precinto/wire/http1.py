"""HTTP/1.1 (RFC 9112) as it passed: each request paired with its answer, by h11.

h11 is made to take part in a connection. Here it listens, so each message gets a parser of its own, that of an answer
being told beforehand what was asked, since that decides where the answer ends.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import NoReturn

import h11

from precinto.wire.bodies import Spool
from precinto.wire.draft import Draft, Fields, field
from precinto.wire.limits import Meter, Undecodable

_SWITCHING = 101


class Http1:
    """The exchanges of one connection.

    Attributes:
        exchanges: In the order in which they were asked.
    """

    def __init__(self, scheme: str, authority: str, spool: Spool, meter: Meter) -> None:
        self.exchanges: list[Draft] = []
        self._scheme = scheme
        self._authority = authority
        self._spool = spool
        self._meter = meter
        self._waiting: deque[Draft] = deque()
        self._request = self._parser(h11.SERVER)
        self._answer: h11.Connection | None = None
        self._unread = bytearray()  # of the site, while no request waits for it
        self._held = False  # a request proposes another protocol: what follows it is HTTP or not, the answer tells
        self._switched: Draft | None = None

    def feed(self, sent: bool, data: bytes, at: datetime) -> None:
        """Read what passed.

        Raises:
            Undecodable: It is not HTTP/1.1, or a limit is passed.
        """
        if self._switched is not None:
            self._switched.socket_data(sent, data, at)
        elif sent:
            self._read_requests(data, at)
            self._read_answers(b"", at)
        else:
            self._read_answers(data, at)

    def end(self, reason: str, at: datetime | None, *, orderly: bool) -> None:
        """Nothing more comes; ``orderly``: the connection was not cut, which ends an answer without a length."""
        if orderly and self._answer is not None and at is not None:
            try:
                self._answer.receive_data(b"")
                self._read_answers(b"", at)
            except Undecodable:
                pass  # it has a length, and is shorter: cut, as below
        for draft in self.exchanges:
            draft.cut(reason, at)

    @property
    def unasked(self) -> int:
        """Bytes that the site sent without being asked."""
        return len(self._unread)

    def _read_requests(self, data: bytes, at: datetime) -> None:
        if data:  # none would be the end
            self._request.receive_data(data)
        while True:
            event = self._next(self._request, "the browser's request")
            match event:
                case h11.Request():
                    self._begin(event, at)
                case h11.Data():
                    self.exchanges[-1].request_body.write(bytes(event.data))
                case h11.EndOfMessage():
                    self.exchanges[-1].request_ended = True
                    self._held = self._request.their_state not in (h11.DONE, h11.MUST_CLOSE)
                    if self._held:
                        return
                    self._next_request()
                case h11.PAUSED:
                    return self._bounded(len(self._request.trailing_data[0]))
                case _:
                    return

    def _begin(self, request: h11.Request, at: datetime) -> None:
        self._meter.exchange()
        fields = _fields(request)
        draft = Draft(
            stream=None,
            method=request.method.decode("ascii"),
            url=self._url(request.target.decode("latin-1"), fields),
            request_headers=fields,
            request_body=self._spool.body(),
            response_body=self._spool.body(),
            started_at=at,
        )
        self.exchanges.append(draft)
        self._waiting.append(draft)
        self._meter.headers(fields)

    def _url(self, target: str, fields: Fields) -> str:
        if target.startswith(("http://", "https://")):
            return target
        host = field(fields, b"host").decode("latin-1") or self._authority
        scheme = self._scheme
        if field(fields, b"upgrade").lower() == b"websocket":
            scheme = {"http": "ws", "https": "wss"}[scheme]
        return f"{scheme}://{host}{target if target.startswith('/') else '/' + target}"

    def _next_request(self) -> None:
        left, _ = self._request.trailing_data
        self._held = False
        self._request = self._parser(h11.SERVER)
        if left:
            self._request.receive_data(left)

    def _read_answers(self, data: bytes, at: datetime) -> None:
        self._unread += data
        while self._waiting:
            draft = self._waiting[0]
            if self._answer is None:
                if not self._unread:
                    return
                self._answer = self._listener(draft)
            if self._unread:
                self._answer.receive_data(bytes(self._unread))
                self._unread.clear()
            if not self._read_answer(self._answer, draft, at):
                return
            left, _ = self._answer.trailing_data
            self._unread += left
            self._answer = None
            self._waiting.popleft()
            if self._held and not self._waiting:
                self._next_request()  # the site did not switch
                self._read_requests(b"", at)
        self._bounded(len(self._unread))

    def _read_answer(self, answer: h11.Connection, draft: Draft, at: datetime) -> bool:
        """Read as much of an answer as there is; True at its end."""
        while True:
            event = self._next(answer, "the site's answer")
            match event:
                case h11.InformationalResponse(status_code=101):
                    self._head(draft, event)
                    self._switch(draft, answer, at)
                    return False
                case h11.InformationalResponse():
                    pass
                case h11.Response():
                    self._head(draft, event)
                case h11.Data():
                    draft.response_body.write(bytes(event.data))
                case h11.EndOfMessage():
                    draft.response_trailers = tuple(event.headers.raw_items())  # pyright: ignore[reportUnknownMemberType]
                    draft.finish(at)
                    return True
                case h11.PAUSED:
                    raise Undecodable("a tunnel inside the connection, which is not decoded")
                case _:
                    return False

    def _head(self, draft: Draft, response: h11.Response | h11.InformationalResponse) -> None:
        draft.status, draft.reason, draft.response_headers = response.status_code, response.reason, _fields(response)
        self._meter.headers(draft.response_headers)

    def _switch(self, draft: Draft, answer: h11.Connection, at: datetime) -> None:
        """From here on, both sides speak another protocol."""
        protocol = field(draft.response_headers, b"upgrade").decode("latin-1")
        if protocol.lower() != "websocket":
            raise Undecodable(f"both sides switched to {protocol[:100]!r}, which is not decoded")
        self._switched = draft
        draft.switch(self._meter)
        for sent, parser in ((True, self._request), (False, answer)):
            left, _ = parser.trailing_data
            draft.socket_data(sent, left, at)

    def _listener(self, draft: Draft) -> h11.Connection:
        """A parser for the answer to this request."""
        parser = self._parser(h11.CLIENT)
        asked: list[tuple[bytes, bytes]] = [(b"Host", b"h")]
        if upgrade := field(draft.request_headers, b"upgrade"):
            asked += [(b"Connection", b"upgrade"), (b"Upgrade", upgrade)]
        parser.send(h11.Request(method=draft.method, target="/", headers=asked))
        parser.send(h11.EndOfMessage())
        return parser

    def _parser(self, role: type[h11.CLIENT] | type[h11.SERVER]) -> h11.Connection:
        return h11.Connection(role, self._meter.limits.header_bytes)

    def _next(self, parser: h11.Connection, whose: str) -> object:
        self._meter.piece()
        try:
            return parser.next_event()
        except h11.RemoteProtocolError as error:
            _refuse(whose, error)

    def _bounded(self, size: int) -> None:
        if size > self._meter.limits.header_bytes:
            raise Undecodable(f"limit: {size} bytes that belong to no message")


def _refuse(whose: str, error: h11.RemoteProtocolError) -> NoReturn:
    raise Undecodable(f"{whose} is not HTTP/1.1: {str(error)[:200]}") from error


def _fields(head: h11.Request | h11.Response | h11.InformationalResponse) -> Fields:
    return tuple(head.headers.raw_items())  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
