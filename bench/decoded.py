"""The process that decodes a record and does no more: ``python -m bench.decoded <record>``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

from precinto.wire.exchanges import decode


def main() -> int:
    """Decode, and print each whole answer: path, and SHA-256 of the body."""
    with decode(Path(sys.argv[1])) as said:
        whole = [one for one in said.exchanges if one.incomplete is None]
        print(json.dumps([[urlsplit(one.url).path, one.response_body.sha256] for one in whole]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
