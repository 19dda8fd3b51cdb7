"""One reader in a process of its own: ``python -I -m precinto.adapters.crawlers.apps.reader <name> <file>``.

It writes a ``Reading`` as JSON, whatever comes: what a reader could not do is a problem in it. Its process has its
limits from ``isolation``, and may be ended at any moment.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from precinto.adapters.crawlers.apps.words import plain
from precinto.domain.apps import Problem, Reading

READERS = {
    "kind": ("kinds", "recognised"),
    "structure": ("apk", "structure"),
    "declarations": ("android", "declarations"),
    "ipa": ("ipa", "ipa"),
    "program": ("windows", "program"),
    "installer": ("installer", "installer"),
    "mentions": ("mentions", "mentions"),
}
"""Name of a reader to module and function; imported only in the process that needs it."""


def read(name: str, path: Path) -> Reading:
    """What one reader finds in a file; every error is a problem of that reading."""
    module, function = READERS[name]
    try:
        reader: Callable[[Path], Reading] = getattr(import_module(f"{__package__}.{module}"), function)
        return reader(path)
    except MemoryError:
        reason = "it needs more memory than a reader may take"
    except Exception as error:  # whatever a parser does with a hostile file
        reason = f"{type(error).__name__}: {error}"
    return Reading(problems=(Problem(reader=name, reason=plain(reason)),))


def main() -> None:
    """Read, and answer on what was standard output: parsers may print whatever they like."""
    answer = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    found = read(sys.argv[1], Path(sys.argv[2]))
    with os.fdopen(answer, "wb") as out:
        out.write(found.model_dump_json(exclude_defaults=True).encode())


if __name__ == "__main__":
    main()
