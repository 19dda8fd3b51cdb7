"""Decompression in small steps, so that whoever asks can stop: 100 KB of brotli can hold a gigabyte of zeros."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import brotli
import zstandard

from precinto.wire.limits import Undecodable

STEP_BYTES = 2**16
"""About as much as comes in one step."""

_WINDOW_BYTES = 2**23  # the most that a decoder of zstd must hold (RFC 9659)
_SLICE_BYTES = 2**8
_GZIP = 16 + zlib.MAX_WBITS
_GZIP_MAGIC = b"\x1f\x8b"


def inflate(coding: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """What was compressed with ``gzip``, ``deflate``, ``br`` or ``zstd`` (RFC 9110, 8.4.1; RFC 7932; RFC 8878).

    Raises:
        Undecodable: The coding is not known; or, after what there is of it, the data are broken or cut.
    """
    decoder = _DECODERS.get(coding)
    if decoder is None:
        raise Undecodable(f"coding {coding[:50]!r} is not known")
    return decoder(chunks)


def _gzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    decoder = zlib.decompressobj(_GZIP)
    for chunk in chunks:
        left = chunk
        while left:
            if decoder.eof and not left.startswith(_GZIP_MAGIC):
                break  # no further member: browsers pass over what follows
            if decoder.eof:
                decoder = zlib.decompressobj(_GZIP)
            yield from _steps(decoder, left)
            left = decoder.unused_data
    _ended(decoder.eof)


def _deflate(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """With the zlib head that the standard asks for, or without, as some servers send it and browsers take it."""
    decoder = None
    for chunk in chunks:
        if decoder is None and chunk:
            headed = chunk[0] & 0x0F == zlib.DEFLATED and int.from_bytes(chunk[:2], "big") % 31 == 0
            decoder = zlib.decompressobj(zlib.MAX_WBITS if headed else -zlib.MAX_WBITS)
        if decoder is not None and not decoder.eof:
            yield from _steps(decoder, chunk)
    _ended(decoder is not None and decoder.eof)


def _steps(decoder: Any, data: bytes) -> Iterator[bytes]:
    while True:
        try:
            made = decoder.decompress(data, STEP_BYTES)
        except zlib.error as error:
            raise Undecodable(f"broken: {error}") from error
        if made:
            yield made
        data = decoder.unconsumed_tail
        if not data and len(made) < STEP_BYTES:
            return


def _brotli(chunks: Iterable[bytes]) -> Iterator[bytes]:
    decoder = cast("Any", brotli).Decompressor()
    try:
        for chunk in chunks:
            if decoder.is_finished():
                break
            made = decoder.process(chunk, output_buffer_limit=STEP_BYTES)
            while made or not decoder.can_accept_more_data():
                yield made
                made = decoder.process(b"", output_buffer_limit=STEP_BYTES)
    except cast("Any", brotli).error as error:
        raise Undecodable(f"broken: {error}") from error
    _ended(decoder.is_finished())


def _zstd(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Frame after frame, in slices: this decoder cannot be told how much to give, but a block holds 128 KB at most."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES)
    decoder = decompressor.decompressobj()
    try:
        for chunk in chunks:
            for start in range(0, len(chunk), _SLICE_BYTES):
                left = chunk[start : start + _SLICE_BYTES]
                while left:
                    if decoder.eof:
                        decoder = decompressor.decompressobj()
                    yield decoder.decompress(left)
                    left = decoder.unused_data
    except zstandard.ZstdError as error:
        raise Undecodable(f"broken: {error}") from error
    _ended(decoder.eof)


def _ended(whole: bool) -> None:
    if not whole:
        raise Undecodable("cut: the data end too early")


_DECODERS: dict[str, Callable[[Iterable[bytes]], Iterator[bytes]]] = {
    "br": _brotli,
    "deflate": _deflate,
    "gzip": _gzip,
    "x-gzip": _gzip,
    "zstd": _zstd,
}
