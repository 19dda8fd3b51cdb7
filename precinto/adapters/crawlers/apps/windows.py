"""What a Windows program says: its headers, sections, version resource and the signature that it carries."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pefile

from precinto.adapters.crawlers.apps.signatures import Signature
from precinto.adapters.crawlers.apps.words import plain
from precinto.domain.apps import LIST, Certificate, Part, Problem, Program, Reading

_READER = "program"
_PKCS = 2  # WIN_CERT_TYPE_PKCS_SIGNED_DATA
_SIGNATURES = 10
_SECTIONS = 96  # what Windows itself loads
_STRINGS = 100
_DIGESTS = re.compile(r"(Current|Calculated) message digest *: *([0-9A-F]+)")
_SECONDS = 20


def program(path: Path) -> Reading:
    """A PE file.

    Raises:
        pefile.PEFormatError: It is none.
    """
    content = path.read_bytes()
    pe: Any = pefile.PE(data=content)
    security: Any = pe.OPTIONAL_HEADER.DATA_DIRECTORY[pefile.DIRECTORY_ENTRY["IMAGE_DIRECTORY_ENTRY_SECURITY"]]
    table = content[security.VirtualAddress :][: security.Size]
    problems: list[str] = list(pe.get_warnings())
    certificates = tuple(_certificates(table, problems))
    tools = {"pefile": version("pefile")}
    end = pe.get_overlay_data_start_offset()
    header = pe.FILE_HEADER
    return Reading(
        program=Program(
            machine=plain(pefile.MACHINE_TYPE.get(header.Machine, hex(header.Machine))),  # pyright: ignore
            linked_at=datetime.fromtimestamp(header.TimeDateStamp, UTC) if header.TimeDateStamp else None,
            imphash=pe.get_imphash(),
            version=_version(pe),
            authenticode=bool(table),
            intact=_intact(path, tools, problems) if table else None,
            overlay=0 if end is None else max(0, len(content) - end - len(table)),
        ),
        certificates=certificates,
        parts=tuple(_sections(pe)),
        problems=tuple(Problem(reader=_READER, reason=plain(reason)) for reason in problems[:LIST]),
        tools=tools,
    )


def _sections(pe: Any) -> Iterable[Part]:
    for section in pe.sections[:_SECTIONS]:
        data = section.get_data()
        yield Part(name=plain(section.Name.rstrip(b"\0")), size=len(data), sha256=section.get_hash_sha256())


def _version(pe: Any) -> dict[str, str]:
    tables = (
        table for info in getattr(pe, "FileInfo", []) for one in info for table in getattr(one, "StringTable", [])
    )
    entries = [(key, value) for table in tables for key, value in table.entries.items() if value]
    return {plain(key): plain(value) for key, value in entries[:_STRINGS]}


def _certificates(table: bytes, problems: list[str]) -> Iterable[Certificate]:
    """The certificates of each entry of the attribute certificate table (PE format, "Certificate Data")."""
    at = 0
    for _ in range(_SIGNATURES):
        if at + 8 > len(table):
            return
        length, _, kind = struct.unpack_from("<IHH", table, at)
        if length < 8:
            problems.append("an entry of the certificate table has no length")
            return
        if kind == _PKCS:
            try:
                yield from Signature(table[at + 8 : at + length]).certificates("authenticode")
            except (ValueError, TypeError) as error:
                problems.append(f"the embedded signature: {error}")
        at += (length + 7) & ~7
    problems.append(f"more than {_SIGNATURES} embedded signatures")


def _intact(path: Path, tools: dict[str, str], problems: list[str]) -> bool | None:
    """Whether the digest that was signed is the file's; who signed is not looked at, and nothing is fetched."""
    if (checker := shutil.which("osslsigncode")) is None:
        return None
    told = subprocess.run([checker, "--version"], capture_output=True, text=True, timeout=_SECONDS, check=False)  # noqa: S603
    tools["osslsigncode"] = plain(told.stdout.partition(",")[0])
    command = [checker, "verify", "-ignore-crl", "-in", str(path)]
    checked = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)  # noqa: S603
    digests = _DIGESTS.findall(checked.stdout.decode(errors="replace"))
    pairs = dict(digests[:2])  # the first signature's
    if set(pairs) != {"Current", "Calculated"}:
        problems.append("osslsigncode gives no digest")
        return None
    return pairs["Current"] == pairs["Calculated"]
