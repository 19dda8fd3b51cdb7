"""Secrets and trust of a channel: read from files when they are used, so that a changed file needs no restart.

A file that cannot be used is ``Unavailable``, not the ISP's refusal: the order waits until a person has put it right.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from precinto.domain.errors import Unavailable


def read_secret(path: Path) -> str:
    """The one line of a secret file. Neither it nor any part of it ever stands in an error.

    Raises:
        Unavailable: The file cannot be read, or holds anything but one line of printable ASCII.
    """
    try:
        secret = path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise Unavailable(f"the secret file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        secret = ""
    if not secret or not secret.isprintable() or " " in secret:
        raise Unavailable(f"the secret file {path} does not hold one word of printable ASCII") from None
    return secret


def trust(ca_file: Path | None) -> ssl.SSLContext:
    """What is trusted as a server: certificates under ``ca_file`` alone, or under the system's authorities.

    Costs some 30 ms with the system's, so callers keep it.

    Raises:
        Unavailable: ``ca_file`` cannot be read or holds no certificate.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise Unavailable(f"the file of trusted authorities {ca_file} cannot be used: {error}") from error


def printable(text: str, limit: int = 300) -> str:
    """What a stranger's server said, fit for a log and a database: no control characters, not too long."""
    return "".join(c if c.isprintable() else " " for c in text[: limit * 2]).strip()[:limit]
