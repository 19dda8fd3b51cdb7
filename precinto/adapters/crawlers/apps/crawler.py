"""A crawler for mobile and desktop apps: the page where the app is offered, then the file that the page gives.

The page is captured like any site, by a crawler that follows the recipe ``app-download``; so who offered the file, in
which words, and over which connection it came are evidence of the same bundle. Then the file is read, and must be the
app that was referred: otherwise the capture fails, and is kept.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

from precinto.adapters.crawlers.apps.analysis import analyse, check_tools
from precinto.adapters.crawlers.apps.isolation import Limits
from precinto.adapters.crawlers.captured import written
from precinto.adapters.crawlers.under_way import UnderWay
from precinto.domain.apps import mismatch
from precinto.domain.errors import BadInput, BadTarget
from precinto.domain.evidence import Missing
from precinto.domain.intake import TargetKind, normalise
from precinto.domain.model import canonical_json
from precinto.ports import Capture, Crawler, Subject

FACTS = "app.json"
"""Name of the facts in a capture."""

_DOWNLOAD = re.compile(r"download-1\.[a-z0-9]+")
_NO_FILE = "the page gave no file: see the steps of the recipe, and what else is missing"


class AppCrawler:
    """Port ``Crawler`` for mobile and desktop apps."""

    def __init__(self, pages: Crawler, limits: Limits | None = None) -> None:
        """Create a crawler; nothing is started before the first capture.

        Args:
            pages: Captures a web page by a recipe that downloads what it offers.
            limits: For each program that reads the file.
        """
        self._pages = pages
        self._limits = limits or Limits()
        self._under_way = UnderWay()

    async def capture(self, subject: Subject, folder: Path) -> Capture:
        """Visit the page, and read the file that it gives.

        No file is no failure: a store may hand it to telephones alone. A file that is another app than the target is
        one, whatever its page says.

        Raises:
            Unavailable: As the crawler of pages raises it.
            CannotHere: The parsers of apps, the programs that keep them within limits, or a browser are missing.
            BadInput: The target is no app.
        """
        if subject.target.kind not in (TargetKind.MOBILE_APP, TargetKind.DESKTOP_APP):
            raise BadInput(f"a target of kind {subject.target.kind} is no app")
        check_tools()
        if subject.page is None:
            return _failed("the referral's field page is missing: the page where the app is offered")
        try:
            page = normalise(TargetKind.URL, subject.page)
        except BadTarget as error:
            return _failed(f"the referral's field page: {error}")
        with self._under_way.one():
            visit = subject.model_copy(update={"target": page, "page": None})
            return await self._with_facts(subject, await self._pages.capture(visit, folder), folder)

    async def close(self) -> None:
        """Break off the captures that are still under way, and wait until their browsers and readers are gone."""
        await self._under_way.stop()

    async def _with_facts(self, subject: Subject, capture: Capture, folder: Path) -> Capture:
        download = next((file for file in capture.files if _DOWNLOAD.fullmatch(file.name)), None)
        if download is None:
            missing = (*capture.missing, Missing(what=FACTS, reason=_NO_FILE))
            return capture.model_copy(update={"missing": missing})
        facts = await analyse(download.path, self._limits)
        content = canonical_json(facts.model_dump(mode="json"))
        file = await asyncio.to_thread(written, folder, FACTS, "application/json", content)
        changed: dict[str, Any] = {
            "files": (*capture.files, file),
            "tools": capture.tools | facts.tools,
            "missing": (
                *capture.missing,
                *(Missing(what=f"{FACTS}: {p.reader}", reason=p.reason or "no reason") for p in facts.problems),
            ),
            "failure": "; ".join(filter(None, (capture.failure, mismatch(subject.target, facts)))) or None,
        }
        return capture.model_copy(update=changed)


def _failed(reason: str) -> Capture:
    """A capture that could not begin; there is no vantage, for nothing was visited."""
    return Capture(files=(), addresses={}, tools={}, vantage="none", failure=reason)
