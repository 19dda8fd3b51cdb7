"""The index of a WARC (CDXJ): where the answer to a request lies, found by a key that players make of the request.

The key is the URL with its host turned round, in lower case and with its query sorted ("SURT"); for a request that is
no GET, its method and body are part of the query. The rules are those of pywb, so that the index serves it as it is;
players in a browser look up the ``url``, ``method`` and ``requestBody`` of a line instead. Left out, so that such
answers are in the WARC but not found by every player: multipart bodies, and session ids in a query.

Our own, because the library for it resolves hosts that look like numbers while it makes keys, and its licence would
bind all of Precinto.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import SplitResult, quote_from_bytes, unquote_plus, unquote_to_bytes, urlencode, urlsplit

from warcio.archiveiterator import ArchiveIterator

BODY_BYTES = 2**20
"""How much of a request's body is read for its key."""

QUERY_CHARACTERS = 4_096
"""How much of a body is part of the key; pywb's limit."""

_UNESCAPES = 8  # rounds of decoding a path that was encoded again and again; each takes time, and a site may nest them
_MIME_CHARACTERS = 100
_WWW = re.compile(r"www\d*\.")
_SAFE = "!\"$&'()*+,-./:;<=>?@[\\]^_`{|}~"
_DEFAULT_PORTS = {"http": 80, "https": 443}


def index(warc: Path, filename: str) -> bytes:
    """The index of a WARC whose records are gzip members, as lines sorted by their bytes.

    Interim answers and upgrades (1xx) are left out: there is nothing to show for them.

    Args:
        warc: The file.
        filename: What the index calls it.
    """
    entries: dict[str, dict[str, str]] = {}
    dates: dict[str, str] = {}
    with warc.open("rb") as file:
        archive: Any = ArchiveIterator(file)
        for record in archive:
            head = record.rec_headers.get_header
            entry = entries.get(head("WARC-Concurrent-To"))
            if record.rec_type == "request" and entry:
                entry.update(_asked(record))
            elif record.rec_type in {"response", "resource"}:
                about = _answered(record)
                if about.get("status", "200") < "200":
                    continue
                about["offset"] = str(archive.get_record_offset())
                about["length"] = str(archive.get_record_length())
                about["filename"] = filename
                entries[head("WARC-Record-ID")] = about
                dates[head("WARC-Record-ID")] = re.sub(r"\D", "", head("WARC-Date"))[:14]
    lines = [
        f"{search_key(entry['url'], entry.get('method', 'GET'), entry.get('requestBody', ''))} "
        f"{dates[record]} {json.dumps(entry)}\n".encode()
        for record, entry in entries.items()
    ]
    return b"".join(sorted(lines))


def search_key(url: str, method: str = "GET", query: str = "") -> str:
    """What a request is looked up by; ``query`` is what ``body_query`` made of its body."""
    if method != "GET":
        url += f"{'&' if '?' in url else '?'}__wb_method={method}{'&' if query else ''}{query}"
    try:
        parts = urlsplit(url)
        host = _host(parts)
    except ValueError:  # no URL, though some client asked for it: it is then its own key
        return _escaped(url)
    if not host:
        return _escaped(url)
    path = _path(_escaped(parts.path))
    words = sorted(word.split("=", 1) for word in _escaped(parts.query).split("&"))
    query = "&".join("=".join(word) for word in words)
    return f"{host}){path}{'?' if query else ''}{query}".lower()


def body_query(media_type: str, body: bytes) -> str:
    """The body of a request in the form of a query."""
    kind = media_type.partition(";")[0].strip().lower()
    try:
        if kind == "application/x-www-form-urlencoded":
            return unquote_plus(body.decode())[:QUERY_CHARACTERS]
        if kind in {"application/json", "text/plain"}:
            return urlencode(_flat(json.loads(body)))[:QUERY_CHARACTERS]
    except (ValueError, RecursionError):  # not what it says it is, or nested without end
        if kind == "application/json":
            return ""
    return f"__wb_post_data={base64.b64encode(body).decode()}"[:QUERY_CHARACTERS] if body else ""


def _answered(record: Any) -> dict[str, str]:
    """What a line says of a response or resource, but for where it lies."""
    http = record.http_headers
    about: dict[str, str] = {"url": record.rec_headers.get_header("WARC-Target-URI")}
    kind = http.get_header("Content-Type") if http else record.content_type
    if mime := re.split(r"[;\s]", (kind or "").strip(), maxsplit=1)[0][:_MIME_CHARACTERS]:
        about["mime"] = mime
    if http:
        about["status"] = http.get_statuscode()
    about["digest"] = record.rec_headers.get_header("WARC-Payload-Digest")
    return about


def _asked(record: Any) -> dict[str, str]:
    """What a line says of a request that is no GET."""
    http = record.http_headers
    if http is None or http.protocol == "GET":
        return {}
    asked: dict[str, str] = {"method": http.protocol}
    if asked["method"] in {"POST", "PUT"}:
        body: bytes = record.raw_stream.read(BODY_BYTES)
        if query := body_query(http.get_header("Content-Type") or "", body):
            asked["requestBody"] = query
    return asked


def _host(parts: SplitResult) -> str:
    host = _WWW.sub("", _escaped(parts.hostname or "").strip("."), count=1)
    port = "" if parts.port in {None, _DEFAULT_PORTS.get(parts.scheme)} else f":{parts.port}"
    return ",".join(reversed(host.split("."))) + port


def _path(path: str) -> str:
    """A path without dot segments, doubled slashes and a last slash."""
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            kept = kept[:-1]
        elif part not in {"", "."}:
            kept.append(part)
    return "/" + "/".join(kept)


def _escaped(text: str) -> str:
    """Text with each byte in one form: decoded until it changes no more, then encoded once."""
    raw = text.encode(errors="replace")
    for _ in range(_UNESCAPES):
        decoded = unquote_to_bytes(raw)
        if decoded == raw:
            break
        raw = decoded
    return quote_from_bytes(raw, _SAFE)


def _flat(value: Any) -> dict[str, str]:
    """JSON as pairs: the innermost name of each value; a name that comes again is numbered."""
    pairs: dict[str, str] = {}
    seen: dict[str, int] = {}
    for name, text in _leaves(value, ""):
        key = name
        if key in pairs:
            seen[name] = seen.get(name, 1) + 1
            key = f"{name}.{seen[name]}_"
        pairs[key] = text
    return pairs


def _leaves(value: Any, name: str) -> Iterator[tuple[str, str]]:
    match value:
        case dict():
            for key, part in cast("dict[str, Any]", value).items():
                yield from _leaves(part, key)
        case list():
            for part in cast("list[Any]", value):
                yield from _leaves(part, name)
        case _ if name:
            whole = isinstance(value, float) and value.is_integer()
            yield name, value if isinstance(value, str) else json.dumps(int(value) if whole else value)
        case _:
            return
