"""TLS as it passed, opened with the keys that the browser gave out: RFC 8446 (1.3) and RFC 5246 (1.2).

Nothing is broken open and nobody stood in between: the browser talked to the site itself. Each record is
authenticated by its key, so what is opened here is what was sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from cryptography.exceptions import InvalidTag

from precinto.wire.keys import KeyLog, Keys12
from precinto.wire.limits import Meter, Undecodable
from precinto.wire.session import NO_KEY, Session

_CHANGE_CIPHER_SPEC, _ALERT, _HANDSHAKE, _DATA = 20, 21, 22, 23
_HEAD_BYTES = 5
_RECORD_BYTES = 2**14 + 2048
_EARLY_BYTES = 2**20
_ALERTS = {
    10: "unexpected_message", 20: "bad_record_mac", 22: "record_overflow", 40: "handshake_failure",
    42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired",
    46: "certificate_unknown", 47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error",
    51: "decrypt_error", 70: "protocol_version", 71: "insufficient_security", 80: "internal_error",
    86: "inappropriate_fallback", 109: "missing_extension", 110: "unsupported_extension", 112: "unrecognized_name",
    113: "bad_certificate_status_response", 116: "certificate_required", 120: "no_application_protocol",
    121: "ech_required",
}  # fmt: skip
_ORDERLY = {0, 90}  # close_notify, user_canceled

Record = tuple[bytes, bytes]
"""Head and body."""


def begins_tls(data: bytes) -> bool:
    """Whether a connection that begins with these bytes is one of TLS."""
    return data[:1] == b"\x16"


class TlsStream:
    """One connection.

    Attributes:
        session: What its handshake has settled.
        early_data: Whether the browser sent data along with its hello (0-RTT).
    """

    def __init__(self, key_log: KeyLog, meter: Meter) -> None:
        self.session = Session(key_log, meter.limits)
        self.early_data = False
        self._meter = meter
        self._buffers = {True: bytearray(), False: bytearray()}
        self._messages = {True: bytearray(), False: bytearray()}
        self._early: deque[Record] = deque()
        self._early_bytes = 0
        self._skipped = 0

    def feed(self, sent: bool, data: bytes) -> Iterator[tuple[bool, bytes]]:
        """Open what passed; yields what each side said (``True``: the browser).

        Raises:
            Undecodable: The rest cannot be opened: no key, an unknown cipher suite, damage.
        """
        self._buffers[sent] += data
        while record := self._record(sent):
            self._meter.piece()
            if sent and record[0][0] == _DATA and not self.session.settled:
                self._hold(record)
                continue
            yield from self._open(sent, record)
            while self._early and self.session.settled:
                yield from self._open(True, self._early.popleft())

    @property
    def problems(self) -> tuple[str, ...]:
        """What is to be told of the connection beside what ended its decoding."""
        lost = self._skipped and True not in self.session.finished
        return (*self.session.problems, *(["what the browser sent cannot be opened"] if lost else []))

    def _record(self, sent: bool) -> Record | None:
        buffer = self._buffers[sent]
        if len(buffer) < _HEAD_BYTES:
            return None
        head = bytes(buffer[:_HEAD_BYTES])
        size = int.from_bytes(head[3:], "big")
        if not _CHANGE_CIPHER_SPEC <= head[0] <= _DATA or head[1] != 3 or size > _RECORD_BYTES:
            raise Undecodable(f"what the {_who(sent)} sent is no TLS record")
        if len(buffer) < _HEAD_BYTES + size:
            return None
        body = bytes(buffer[_HEAD_BYTES : _HEAD_BYTES + size])
        del buffer[: _HEAD_BYTES + size]
        return head, body

    def _hold(self, record: Record) -> None:
        """Keep data that came before the site's answer until it is known whether the site takes it."""
        if not self.session.early_offered:
            raise Undecodable("the browser sent data before the handshake")
        self.early_data = True
        self._early_bytes += len(record[1])
        if self._early_bytes > _EARLY_BYTES:
            raise Undecodable(f"limit: more than {_EARLY_BYTES} bytes of early data")
        self._early.append(record)

    def _open(self, sent: bool, record: Record) -> Iterator[tuple[bool, bytes]]:
        head, content = record
        kind, keys = head[0], self.session.keys[sent]
        if kind == _CHANGE_CIPHER_SPEC:
            self.session.change(sent)
            return
        if keys is not None and (kind == _DATA or isinstance(keys, Keys12)):
            try:
                kind, content = keys.open(head, content)
            except InvalidTag as error:
                if sent and self.early_data and not self.session.finished - {False}:
                    self._skipped += 1  # early data that the site does not take, and gets again after the handshake
                    return
                where = f"record {keys.opened + 1} of the {_who(sent)} under its key"
                raise Undecodable(f"{where} cannot be opened: damaged, or the key is another") from error
        elif kind == _DATA:
            answered = self.session.version is not None
            raise Undecodable(NO_KEY if answered else f"the {_who(sent)} sent data before the handshake")
        if kind == _DATA:
            yield sent, content
        elif kind == _HANDSHAKE:
            self._handshake(sent, content)
        elif kind == _ALERT and len(content) == 2 and content[1] not in _ORDERLY:
            self.session.problems.append(f"alert by the {_who(sent)}: {_ALERTS.get(content[1], content[1])}")

    def _handshake(self, sent: bool, content: bytes) -> None:
        messages = self._messages[sent]
        messages += content
        while len(messages) >= 4:
            size = 4 + int.from_bytes(messages[1:4], "big")
            if size > self._meter.limits.handshake_bytes:
                raise Undecodable(f"limit: a handshake message of {size} bytes")
            if len(messages) < size:
                return
            self._meter.piece()
            message = bytes(messages[:size])
            del messages[:size]
            self.session.message(sent, message)


def _who(sent: bool) -> str:
    return "browser" if sent else "site"
