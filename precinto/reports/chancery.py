"""The chancery: writes an order's documents, the letter for people and the signed JSON for programs."""

from __future__ import annotations

import asyncio

from precinto.domain.model import canonical_json, digest
from precinto.domain.order_document import Paper, document
from precinto.domain.procedures import Language
from precinto.ports import DocumentSigner, Written
from precinto.reports.order import render


class TypstChancery:
    """Port ``Chancery``: letters by Typst, signatures by whoever signs for the authority."""

    def __init__(self, signer: DocumentSigner) -> None:
        self._signer = signer

    async def write(self, paper: Paper, language: Language) -> Written:
        """The letter and the signed JSON of a version of an order; a letter takes some 20 ms, with 10,000 targets 5 s.

        Raises:
            Unavailable: The key cannot be used now.
        """
        content = canonical_json(document(paper, language))
        jws = await self._signer.sign(content)
        pdf = await asyncio.to_thread(render, paper, language)
        return Written(content=digest(content), jws=jws, pdf=pdf)
