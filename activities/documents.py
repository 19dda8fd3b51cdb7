"""Documents of orders: made before the first notice of a version goes out, and enclosed with each.

A block never goes out without its document. What lifts one never waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from itertools import groupby

import structlog

from precinto.domain.notification import Action
from precinto.domain.order_document import Letter, OrderDocument
from precinto.domain.procedures import Language
from precinto.ports import OpenNotice, Ports

BLOCK_LIMIT, LIFT_LIMIT = timedelta(seconds=60), timedelta(seconds=15)
"""Longest time for the documents of one version. Who is to lift a block is not kept waiting for paper."""

log = structlog.get_logger(__name__)


class Clerk:
    """Makes the documents of an order, once for each version, and encloses them with its notices."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    async def enclose(self, order: str, notices: Sequence[OpenNotice]) -> tuple[list[OpenNotice], list[str]]:
        """The notices that may go out, in their order, each with its letter; and why others have to wait.

        A document that cannot be made is put before a human.

        Args:
            order: The order.
            notices: Its open notices, grouped by version.
        """
        ready: list[OpenNotice] = []
        held: list[str] = []
        for version, group in groupby(notices, key=lambda one: one.notice.version):
            some = list(group)
            lifts = all(one.notice.action is Action.RELEASE for one in some)
            try:
                async with asyncio.timeout((LIFT_LIMIT if lifts else BLOCK_LIMIT).total_seconds()):
                    ready += await self._enclosed(order, version, some)
            except Exception as error:  # whatever it was: a release must go out, and the block of another version too
                log.exception("document_missing", order=order, version=version, lifts=lifts)
                await self._ports.documents.missing(order, version)
                if lifts:
                    ready += some
                else:
                    held.append(f"version {version} has no document: {type(error).__name__}: {error}")
        return ready, held

    async def _enclosed(self, order: str, version: int, notices: Sequence[OpenNotice]) -> list[OpenNotice]:
        known = await self._ports.documents.of(order, version)
        if known.without:
            return list(notices)
        documents = known.documents or await self._make(order, version)
        languages: dict[str, Language] = {isp.id: isp.language for isp in self._ports.registry.isps}
        letters: dict[Language, Letter] = {}
        enclosed: list[OpenNotice] = []
        for one in notices:
            document = _in(languages.get(one.notice.isp), documents)
            if document.language not in letters:
                letters[document.language] = await self._letter(document)
            changed = {"documents": documents, "letter": letters[document.language]}
            enclosed.append(one.model_copy(update={"notice": one.notice.model_copy(update=changed)}))
        return enclosed

    async def _make(self, order: str, version: int) -> tuple[OrderDocument, ...]:
        repository, blobs = self._ports.documents, self._ports.blobs
        draft = await repository.draft(order, version, self._ports.registry.card)
        made: list[OrderDocument] = []
        for language in draft.languages:
            written = await self._ports.chancery.write(draft.paper, language)
            jws, pdf = await blobs.put(written.jws.encode()), await blobs.put(written.pdf)
            made.append(OrderDocument(language=language, content=written.content, jws=jws, pdf=pdf))
        return await repository.record(order, version, made)

    async def _letter(self, document: OrderDocument) -> Letter:
        jws, pdf = await self._ports.blobs.get(document.jws), await self._ports.blobs.get(document.pdf)
        return Letter(language=document.language, jws=jws.decode(), pdf=pdf)


def _in(language: Language | None, documents: Sequence[OrderDocument]) -> OrderDocument:
    """The document in an ISP's language; the first where there is none in it."""
    return next((one for one in documents if one.language == language), documents[0])
