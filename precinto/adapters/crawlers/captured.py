"""Files of a capture, from whoever makes one of what it found out."""

from __future__ import annotations

from pathlib import Path

from precinto.ports import CapturedFile


def written(folder: Path, name: str, media_type: str, content: bytes) -> CapturedFile:
    """Keep a file of the capture.

    Raises:
        OSError: It cannot be written.
    """
    path = folder / name
    path.write_bytes(content)
    return CapturedFile(name=name, media_type=media_type, path=path)
