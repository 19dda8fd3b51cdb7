"""HTTP/2 (RFC 9113) as it passed: frames by hyperframe, header fields by hpack, put together stream by stream.

Also pushed answers, and WebSockets inside a stream (RFC 8441). An error in the compression of header fields ends
the decoding of a connection, as it ends the connection: nothing after it can be read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from hpack import Decoder, HPACKError, OversizedHeaderListError
from hyperframe.exceptions import HyperframeError
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
)

from precinto.wire.bodies import Spool
from precinto.wire.draft import Draft, Fields
from precinto.wire.limits import Meter, Undecodable

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

_HEAD_BYTES = 9
_TABLE_BYTES = 2**20
_ERRORS = (
    "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
    "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
)  # fmt: skip


@dataclass
class _Block:
    """A header block that is still coming: whose it is, and what it ends."""

    stream: int
    data: bytearray
    ends_stream: bool
    promised_by: int = 0


@dataclass
class _Side:
    """What one side sends."""

    fields: Decoder
    buffer: bytearray = field(default_factory=bytearray)
    block: _Block | None = None


class Http2:
    """The exchanges of one connection.

    Attributes:
        exchanges: In the order in which they were asked or promised.
    """

    def __init__(self, scheme: str, authority: str, spool: Spool, meter: Meter) -> None:
        self.exchanges: list[Draft] = []
        self._scheme = scheme
        self._authority = authority
        self._spool = spool
        self._meter = meter
        self._streams: dict[int, Draft] = {}
        self._sides = {sent: _Side(Decoder(meter.limits.header_bytes)) for sent in (True, False)}
        self._preface = len(PREFACE)
        self._gone: tuple[int, str] | None = None

    def feed(self, sent: bool, data: bytes, at: datetime) -> None:
        """Read what passed.

        Raises:
            Undecodable: It is not HTTP/2, or a limit is passed.
        """
        side = self._sides[sent]
        side.buffer += data
        if sent and self._preface:
            if len(side.buffer) < self._preface:
                return
            if not side.buffer.startswith(PREFACE):
                raise Undecodable("the browser does not begin as HTTP/2 begins")
            del side.buffer[: self._preface]
            self._preface = 0
        while (frame := self._frame(side)) is not None:
            self._meter.piece()
            self._read(sent, side, frame, at)

    def end(self, reason: str, at: datetime | None, *, orderly: bool) -> None:
        """Nothing more comes; that it ends in order makes no stream whole."""
        for number, draft in self._streams.items():
            if self._gone and number > self._gone[0]:
                draft.cut(f"not taken by the site ({self._gone[1]})")
            draft.cut(reason, at)

    @property
    def unasked(self) -> int:
        """Bytes that the site sent without being asked: none, for each has its stream."""
        return 0

    def _frame(self, side: _Side) -> Frame | None:
        if len(side.buffer) < _HEAD_BYTES:
            return None
        size = _HEAD_BYTES + int.from_bytes(side.buffer[:3], "big")
        if len(side.buffer) < size:
            return None
        raw = memoryview(bytes(side.buffer[:size]))
        del side.buffer[:size]
        try:
            frame, _ = Frame.parse_frame_header(raw[:_HEAD_BYTES])
            frame.parse_body(raw[_HEAD_BYTES:])
        except HyperframeError as error:
            raise Undecodable(f"not a frame of HTTP/2: {str(error)[:200]}") from error
        return frame

    def _read(self, sent: bool, side: _Side, frame: Frame, at: datetime) -> None:
        if (side.block is not None) != isinstance(frame, ContinuationFrame):
            raise Undecodable("a header block is broken off by another frame")
        match frame:
            case HeadersFrame():
                side.block = _Block(frame.stream_id, bytearray(frame.data), "END_STREAM" in frame.flags)
                self._block(sent, side, side.block, frame, at)
            case PushPromiseFrame():
                side.block = _Block(frame.promised_stream_id, bytearray(frame.data), False, frame.stream_id)
                self._block(sent, side, side.block, frame, at)
            case ContinuationFrame():
                if side.block is None or side.block.stream != frame.stream_id != side.block.promised_by:
                    raise Undecodable("a header block goes on in another stream")
                side.block.data += frame.data
                self._block(sent, side, side.block, frame, at)
            case DataFrame():
                self._data(sent, frame, at)
            case RstStreamFrame():
                if draft := self._streams.get(frame.stream_id):
                    self._reset(draft, sent, _error(frame.error_code), at)
            case GoAwayFrame() if not sent:
                self._gone = frame.last_stream_id, f"GOAWAY {_error(frame.error_code)}"
            case SettingsFrame() if SettingsFrame.HEADER_TABLE_SIZE in frame.settings:
                # Only ever raised: a side may go on with the old size until it has read of the new one.
                allowed = min(frame.settings[SettingsFrame.HEADER_TABLE_SIZE], _TABLE_BYTES)
                other = self._sides[not sent].fields
                other.max_allowed_table_size = max(other.max_allowed_table_size, allowed)
            case _:
                pass

    def _block(self, sent: bool, side: _Side, block: _Block, frame: Frame, at: datetime) -> None:
        """A piece of a header block has come; read it if it was the last."""
        if len(block.data) > self._meter.limits.header_bytes:
            raise Undecodable(f"limit: more than {self._meter.limits.header_bytes} bytes of header fields")
        if "END_HEADERS" not in frame.flags:
            return
        side.block = None
        try:
            fields = tuple(
                (bytes(name), bytes(value)) for name, value in side.fields.decode(bytes(block.data), raw=True)
            )
        except OversizedHeaderListError as error:
            raise Undecodable(f"limit: {error}") from error
        except HPACKError as error:
            raise Undecodable(f"the header fields cannot be read: {str(error)[:200]}") from error
        self._meter.headers(fields)
        if sent or block.promised_by:
            self._request(block, fields, at)
        elif draft := self._streams.get(block.stream):
            self._answer(draft, fields, at)
            if block.ends_stream:
                self._ended(draft, False, at)

    def _request(self, block: _Block, fields: Fields, at: datetime) -> None:
        draft = self._streams.get(block.stream)
        if draft is None:
            self._meter.exchange()
            draft = self._streams[block.stream] = self._begin(block.stream, fields, at)
            self.exchanges.append(draft)
            if block.promised_by:
                draft.request_ended = True
        if block.ends_stream:
            self._ended(draft, True, at)

    def _begin(self, stream: int, fields: Fields, at: datetime) -> Draft:
        said = {name: value.decode("latin-1") for name, value in fields if name.startswith(b":")}
        scheme = said.get(b":scheme", self._scheme)
        if said.get(b":protocol") == "websocket":
            scheme = {"http": "ws", "https": "wss"}.get(scheme, scheme)
        return Draft(
            stream=stream,
            method=said.get(b":method", ""),
            url=f"{scheme}://{said.get(b':authority', self._authority)}{said.get(b':path', '/')}",
            request_headers=_regular(fields),
            request_body=self._spool.body(),
            response_body=self._spool.body(),
            started_at=at,
        )

    def _answer(self, draft: Draft, fields: Fields, at: datetime) -> None:
        if draft.status is not None:
            draft.response_trailers = _regular(fields)
            return
        status = dict(fields).get(b":status", b"")
        if not status.isdigit() or len(status) != 3:
            draft.cut("the site's answer has no status")
        elif not status.startswith(b"1"):  # an interim answer says nothing of its own
            draft.status, draft.response_headers = int(status), _regular(fields)
            if draft.method == "CONNECT" and draft.url.startswith("ws") and draft.status == 200:
                draft.switch(self._meter)

    def _data(self, sent: bool, frame: DataFrame, at: datetime) -> None:
        draft = self._streams.get(frame.stream_id)
        if draft is None:
            return
        if draft.socket is not None:
            draft.socket_data(sent, frame.data, at)
        elif sent:
            draft.request_body.write(frame.data)
        else:
            draft.response_body.write(frame.data)
        if "END_STREAM" in frame.flags:
            self._ended(draft, sent, at)

    def _reset(self, draft: Draft, sent: bool, error: str, at: datetime) -> None:
        """A stream was broken off. Browsers do so with a redirect: they follow it, and do not wait for its end."""
        if sent and draft.all_there:
            draft.finish(at)
        else:
            draft.cut(f"reset by the {'browser' if sent else 'site'} ({error})", at)

    def _ended(self, draft: Draft, sent: bool, at: datetime) -> None:
        if sent:
            draft.request_ended = True
        elif draft.status is None:
            draft.cut("the site ended the stream without an answer")
        else:
            draft.finish(at)


def _regular(fields: Fields) -> Fields:
    return tuple((name, value) for name, value in fields if not name.startswith(b":"))


def _error(code: int) -> str:
    return _ERRORS[code] if code < len(_ERRORS) else f"{code:#x}"
