"""The app that the lab's download page offers: whatever file the lab was opened with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

from lab.web import Response

_MEDIA_TYPES = {".apk": "application/vnd.android.package-archive", ".msi": "application/x-msi"}


@dataclass(frozen=True)
class Offer:
    """A file and the name it is offered under."""

    name: str
    content: bytes

    @classmethod
    def of(cls, path: Path) -> Offer:
        """What lies there now."""
        return cls(path.name, path.read_bytes())

    @property
    def address(self) -> str:
        """Path on the site."""
        return f"/files/{quote(self.name)}"

    @property
    def megabytes(self) -> str:
        """Its size as the page tells it."""
        return f"{len(self.content) / 1e6:.1f} MB"

    @cached_property
    def digest(self) -> str:
        """Its SHA-256."""
        return sha256(self.content).hexdigest()

    def response(self) -> Response:
        """The file as a download."""
        media_type = _MEDIA_TYPES.get(Path(self.name).suffix, "application/octet-stream")
        disposition = f"attachment; filename*=UTF-8''{quote(self.name)}"
        return Response(HTTPStatus.OK, self.content, media_type, (("Content-Disposition", disposition),))
