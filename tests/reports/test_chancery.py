"""The chancery: the letter and the signed JSON say the same, in each language."""

from __future__ import annotations

from typing import get_args

import pytest

from precinto.domain.model import canonical_json, digest
from precinto.domain.order_document import document
from precinto.domain.procedures import Language
from precinto.reports.chancery import TypstChancery
from precinto.reports.order import render
from tests.orders import paper


class Signer:
    """Keeps what it was given to sign."""

    def __init__(self) -> None:
        self.signed: list[bytes] = []

    async def sign(self, content: bytes) -> str:
        self.signed.append(content)
        return "signed"


@pytest.mark.parametrize("language", get_args(Language))
async def test_what_is_signed_is_what_the_letter_names(language: Language) -> None:
    signer = Signer()
    written = await TypstChancery(signer).write(paper(), language)
    assert signer.signed == [canonical_json(document(paper(), language))]
    assert written.content == digest(signer.signed[0])
    assert (written.jws, written.pdf) == ("signed", render(paper(), language))
