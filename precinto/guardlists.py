"""Guard lists as files: one TOML file for each list, which holds its entries or names the file that does.

A folder of lists is read whole and checked when a process starts: an entry that is no name would protect nothing, and
would be missed only on the day it mattered. Large lists lie beside their TOML file as ``.txt.gz``, an entry a line,
under a SHA-256; a rank stands before its entry, as the publishers of top lists write it (``17,example.org``).
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import tempfile
import tomllib
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from ipaddress import ip_network
from pathlib import Path
from typing import Any, NamedTuple

import idna
from pydantic import Field, ValidationError

from precinto.domain.errors import BadInput
from precinto.domain.guards import Entry, Form, GuardList, GuardLists, ListId, ListKind
from precinto.domain.intake import registrable_domain, shared_platform
from precinto.domain.model import Digest, Value, first_wrong
from precinto.shipped import own_or_shipped

MAX_BYTES = 64 * 1024 * 1024
"""Text of one list, in bytes; the million names of a top list take a third of it."""

_NAME = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NETWORK = re.compile(r"AS[1-9][0-9]{0,9}")
_HEADER = re.compile(r"[a-z0-9-]{1,64}")
_RANKED = re.compile(r"([1-9][0-9]{0,8}),(.*)", re.DOTALL)


class _File(Value):
    id: ListId
    title: str
    kind: ListKind
    form: Form
    source: str
    licence: str
    dated: date
    stale_after_days: int
    hold_within: int | None = None
    verify: bool = False
    entries: tuple[str, ...] | None = None
    data: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9.-]*\.txt\.gz$")
    sha256: Digest | None = None


def read_guardlists(folder: Path) -> GuardLists:
    """Read and check every list of a folder, or of the shipped one of its name.

    Raises:
        BadInput: There is no list, or something in one is wrong; names file and line, or file and key.
    """
    folder = own_or_shipped(folder)
    files = sorted(folder.glob("*.toml"))
    if not files:
        raise BadInput(f"{folder}: no guard lists (*.toml) are here")
    return GuardLists(_read(path) for path in files)


def _read(path: Path) -> tuple[GuardList, list[Entry]]:
    try:
        file = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise BadInput(f"{path.name}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path.name}: not TOML: {error}") from error
    except ValidationError as error:
        raise _wrong(path.name, error) from error
    if file.id != path.stem:
        raise BadInput(f"{path.name}: id: {file.id!r} must be the file's own name")
    lines, sha256 = _lines(path, file)
    where = file.data or f"{path.name}: entries"
    entries = [_checked(f"{where}:{n}", line, file) for n, line in enumerate(lines, 1)]
    fields = file.model_dump(exclude={"entries", "data", "sha256"})
    try:
        return GuardList(**fields, sha256=sha256, entries=len(entries)), entries
    except ValidationError as error:
        raise _wrong(path.name, error) from error


def _lines(path: Path, file: _File) -> tuple[Sequence[str], str]:
    """The entries as they are written, and the digest of their text."""
    if (file.entries is None) == (file.data is None):
        raise BadInput(f"{path.name}: either entries or data is needed")
    if file.entries is not None:
        return file.entries, hashlib.sha256(_text(file.entries)).hexdigest()
    if file.sha256 is None:
        raise BadInput(f"{path.name}: sha256: needed where data names a file")
    data = path.parent / str(file.data)
    text = _unpacked(data)
    sha256 = hashlib.sha256(text).hexdigest()
    if sha256 != file.sha256:
        raise BadInput(f"{data.name}: its text has SHA-256 {sha256}, {path.name} says {file.sha256}")
    return text.decode("ascii", "replace").splitlines(), sha256


def _unpacked(path: Path) -> bytes:
    try:
        with gzip.open(path) as packed:
            text = packed.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"{path.name}: cannot be read: {error}") from error
    if len(text) > MAX_BYTES:
        raise BadInput(f"{path.name}: more than {MAX_BYTES} bytes of text")
    return text


def _checked(where: str, line: str, file: _File) -> Entry:
    ranked = _RANKED.fullmatch(line)
    rank, text = (int(ranked[1]), ranked[2]) if ranked else (None, line)
    match file.form:
        case Form.NAMES:
            # A top-level domain would protect half the internet; only a government has whole ones.
            good = _NAME.fullmatch(text) and ("." in text or file.kind is ListKind.GOVERNMENT)
        case Form.RANGES:
            good = _is_range(text)
        case Form.NETWORKS:
            good = _NETWORK.fullmatch(text)
        case Form.HEADERS:
            good = _HEADER.fullmatch(text)
    if not good:
        raise BadInput(f"{where}: {text[:100]!r} is not in the normal form of {file.form.value}")
    return text, rank


def _is_range(text: str) -> bool:
    try:
        return str(ip_network(text)) == text
    except ValueError:
        return False


class LeftOut(NamedTuple):
    """A line that did not become an entry: its number, its text, and why."""

    line: int
    text: str
    reason: str


def normal_entries(lines: Iterable[str], kind: ListKind, form: Form) -> tuple[list[Entry], list[LeftOut]]:
    """Bring entries as publishers write them to their normal form, sorted, each once with its best rank.

    Empty lines and ``#`` comments are passed over. Names in Unicode become A-labels; ``.name`` and ``*.name`` become
    ``name``. A public suffix is no entry, but for governments: everybody lives below ``com``.

    Returns:
        The entries, and every line that is none.
    """
    best: dict[str, int | None] = {}
    left_out: list[LeftOut] = []
    for number, raw in enumerate(lines, 1):
        line = raw.partition("#")[0].strip()
        if not line:
            continue
        ranked = _RANKED.fullmatch(line)
        rank, text = (int(ranked[1]), ranked[2].strip()) if ranked else (None, line)
        try:
            normal = _normal(text, form)
        except ValueError:
            left_out.append(LeftOut(number, text[:100], f"no entry of the form {form.value}"))
            continue
        if form is Form.NAMES and kind is not ListKind.GOVERNMENT and _public_suffix(normal):
            left_out.append(LeftOut(number, normal, "a public suffix: everybody lives below it"))
            continue
        known = best.get(normal)
        best[normal] = rank if known is None else min(known, rank or known)
    return sorted(best.items()), left_out


def _normal(text: str, form: Form) -> str:
    match form:
        case Form.NAMES:
            bare = text.strip(".").removeprefix("*.").lower()
            name = bare if bare.isascii() else idna.encode(bare, uts46=True).decode("ascii")
            if not _NAME.fullmatch(name):
                raise ValueError(text)
            return name
        case Form.RANGES:
            return str(ip_network(text, strict=False))
        case Form.NETWORKS:
            number = text.upper().removeprefix("AS")
            return f"AS{int(number)}"
        case Form.HEADERS:
            if not _HEADER.fullmatch(text.lower()):
                raise ValueError(text)
            return text.lower()


def _public_suffix(name: str) -> bool:
    return registrable_domain(name) is None and shared_platform(name) is None


def import_guardlist(folder: Path, file: Path, known: Mapping[str, Any]) -> tuple[GuardList, list[LeftOut]]:
    """Check a list as its publisher gives it, and put it in place.

    Args:
        folder: Where the lists are.
        file: Text, an entry a line.
        known: The fields of ``GuardList`` but digest and number of entries.

    Raises:
        BadInput: The file cannot be read, is too large or holds no entry; a field is wrong; the list that is there has
            a later date; or the folder is not there, so that its one list would shut out those that are shipped.
    """
    if (read := own_or_shipped(folder)) != folder:
        raise BadInput(f"{folder}: no such folder; copy the lists that are shipped there first, from {read}")
    try:
        with file.open("rb") as opened:
            text = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadInput(f"{file}: cannot be read: {error.strerror}") from error
    if len(text) > MAX_BYTES:
        raise BadInput(f"{file.name}: more than {MAX_BYTES} bytes of text")
    try:
        described = GuardList(**known, sha256="0" * 64, entries=0)
    except ValidationError as error:
        raise _wrong(file.name, error) from error
    lines = text.decode("utf-8", "replace").splitlines()
    entries, left_out = normal_entries(lines, described.kind, described.form)
    if not entries:
        raise BadInput(f"{file.name}: no line of it is an entry of the form {described.form.value}")
    return write_guardlist(folder, described, entries), left_out


def write_guardlist(folder: Path, known: GuardList, entries: Sequence[Entry]) -> GuardList:
    """Write a list with its data file and digest, and put it in the place of an older one of the same id.

    Args:
        folder: Where the lists are.
        known: What is known of it; digest and number of entries are filled in here.
        entries: In normal form.

    Raises:
        BadInput: The list that is there has a later date.
    """
    place = folder / f"{known.id}.toml"
    before = _read(place)[0] if place.exists() else None
    if before is not None and before.dated > known.dated:
        raise BadInput(f"{place.name}: the list that is there is of {before.dated}, later than {known.dated}")
    text = _text(line if rank is None else f"{rank},{line}" for line, rank in entries)
    sha256 = hashlib.sha256(text).hexdigest()
    # The data's name carries its digest: until the new TOML file is in place, the old list stays whole.
    data = f"{known.id}.{sha256[:12]}.txt.gz"
    written = known.model_copy(update={"sha256": sha256, "entries": len(entries)})
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / data, gzip.compress(text, mtime=0))
    _replace(place, "".join(_toml(written, data)).encode())
    for old in folder.glob(f"{known.id}.*.txt.gz"):
        if old.name != data:
            old.unlink()
    return written


def _toml(known: GuardList, data: str) -> Iterator[str]:
    fields: dict[str, Any] = known.model_dump(mode="json", exclude={"entries"}, exclude_none=True)
    for key, value in {**fields, "data": data}.items():
        # A JSON string, number or truth value is a TOML one too; a date stands bare.
        yield f"{key} = {value if key == 'dated' else json.dumps(value)}\n"


def _text(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _replace(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "wb") as file:
        os.fchmod(handle, 0o644)
        file.write(content)
        file.flush()
        os.fsync(handle)
    os.replace(name, path)


def _wrong(where: str, error: ValidationError) -> BadInput:
    return BadInput(f"{where}: {': '.join(first_wrong(error))}")
