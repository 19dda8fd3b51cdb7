"""``order``: what is on file about orders, their documents, and a signed one checked with nothing but a root."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from precinto.adapters.blobs import blob_store
from precinto.adapters.seals.document import DocumentSigner
from precinto.adapters.seals.identity import SealingIdentity, issue_sealing_identity
from precinto.domain.model import canonical_json, digest
from precinto.domain.order_document import OrderDocument, document
from precinto.domain.review import Outcome
from precinto.reports.chancery import TypstChancery
from precinto.settings import load_settings
from precinto.store import Database, Store
from tests.cli.conftest import Command
from tests.orders import CARD, paper
from tests.store.steps import decide, issue, open_case

ORDER = document(paper(), "es")
SHA256 = digest(canonical_json(ORDER))


@pytest.fixture
def identity(tmp_path: Path) -> SealingIdentity:
    """Who signs the order."""
    return issue_sealing_identity(tmp_path / "seals", "autoridad")


@pytest.fixture
async def signed(identity: SealingIdentity, tmp_path: Path) -> Path:
    """A signed order in a file, which an editor has given a last line's end."""
    path = tmp_path / "order.jws"
    path.write_text(await DocumentSigner(identity.key, identity.certificates).sign(canonical_json(ORDER)) + "\n")
    return path


def test_a_good_order_says_what_it_is(command: Command, signed: Path, identity: SealingIdentity) -> None:
    answer = command("order", "verify", str(signed), "--roots", str(identity.root))
    assert answer.code == 0
    assert "order 2026-000001 v1: the signature is good" in answer.out
    assert SHA256 in answer.out


def test_programs_get_the_whole_order(command: Command, signed: Path, identity: SealingIdentity) -> None:
    answer = command("order", "verify", str(signed), "--roots", str(identity.root), "--json")
    assert answer.json == {"sha256": SHA256, "order": ORDER}


def test_an_order_of_another_authority_is_refused(command: Command, signed: Path, tmp_path: Path) -> None:
    other = issue_sealing_identity(tmp_path / "other", "autoridad")
    answer = command("order", "verify", str(signed), "--roots", str(other.root), "--json")
    assert (answer.code, answer.error["code"]) == (4, "untrusted_signer")


def test_what_is_no_order_is_refused(command: Command, signed: Path, identity: SealingIdentity) -> None:
    signed.write_bytes(b"\xff\x00" * 100)
    answer = command("order", "verify", str(signed), "--roots", str(identity.root), "--json")
    assert (answer.code, answer.error["code"]) == (4, "bad_signature")


@pytest.mark.parametrize("missing", ["order", "root"])
def test_a_file_that_is_not_there_is_named(
    command: Command, signed: Path, identity: SealingIdentity, missing: str
) -> None:
    gone = signed if missing == "order" else identity.root
    gone.unlink()
    answer = command("order", "verify", str(signed), "--roots", str(identity.root))
    assert answer.code == 2
    assert f"{gone}: cannot be read" in answer.err


class TestOnFile:
    """An order that was stayed; the order itself has its documents, the stay has none yet."""

    @pytest.fixture
    def order(self, database: Path, identity: SealingIdentity) -> str:
        """Its number."""
        return asyncio.run(self._ordered(database, TypstChancery(DocumentSigner(identity.key, identity.certificates))))

    async def _ordered(self, database: Path, chancery: TypstChancery) -> str:
        opened = Database(f"sqlite+aiosqlite:///{database}")
        store, blobs = Store(opened), blob_store(load_settings().blob_place)
        case = await open_case(store)
        order = await issue(store, case)
        draft = await store.documents.draft(order, 1, CARD)
        made: list[OrderDocument] = []
        for language in draft.languages:
            written = await chancery.write(draft.paper, language)
            jws, pdf = await blobs.put(written.jws.encode()), await blobs.put(written.pdf)
            made.append(OrderDocument(language=language, content=written.content, jws=jws, pdf=pdf))
        await store.documents.record(order, 1, made)
        await decide(store, case, "duty-1", Outcome.STAY)
        await opened.close()
        return draft.paper.number

    def test_orders_are_listed_with_what_they_say_now(self, command: Command, order: str) -> None:
        answer = command("order", "list")
        assert (answer.code, answer.err) == (0, "")
        (line,) = answer.out.splitlines()[1:]
        assert line.split()[:3] == [order, "2", "stay"]
        assert line.endswith("not made yet")
        (listed,) = command("order", "list", "--json").json
        assert (listed["number"], listed["versions"][-1]["kind"]) == (order, "stay")

    def test_an_order_is_shown_with_each_version(self, command: Command, order: str) -> None:
        answer = command("order", "show", order)
        assert answer.code == 0
        assert f"Order {order} of case" in answer.out
        assert "targets: y2mate.com" in answer.out
        versions = command("order", "show", order, "--json").json["versions"]
        assert [one["kind"] for one in versions] == ["order", "stay"]
        assert [len(one["documents"]) for one in versions] == [2, 0]
        assert versions[0]["documents"][0]["content"] in answer.out

    def test_its_documents_are_written_out_and_prove_themselves(
        self, command: Command, order: str, identity: SealingIdentity, tmp_path: Path
    ) -> None:
        pdf, jws = tmp_path / "order.pdf", tmp_path / "order.jws"
        written = command(
            "order", "show", order, "--version", "1", "--language", "en", "--pdf", str(pdf), "--jws", str(jws)
        )
        assert written.code == 0
        assert pdf.read_bytes().startswith(b"%PDF-")
        said = command("order", "verify", str(jws), "--roots", str(identity.root), "--json").json["order"]
        assert (said["number"], said["language"], said["kind"]) == (order, "en", "order")

    def test_a_document_that_was_not_made_is_not_found(self, command: Command, order: str, tmp_path: Path) -> None:
        answer = command("order", "show", order, "--pdf", str(tmp_path / "stay.pdf"))
        assert answer.code == 3
        assert f"order {order} has no document of version 2 in 'es'" in answer.err
        assert not (tmp_path / "stay.pdf").exists()

    def test_a_place_that_cannot_be_written_is_named(self, command: Command, order: str, tmp_path: Path) -> None:
        answer = command("order", "show", order, "--version", "1", "--pdf", str(tmp_path / "no" / "order.pdf"))
        assert answer.code == 2
        assert f"{tmp_path / 'no' / 'order.pdf'}: cannot be written" in answer.err

    @pytest.mark.usefixtures("database")
    def test_an_order_that_there_is_not_is_said_to_be_none(self, command: Command) -> None:
        assert command("order", "show", "2026-000009").code == 3
        assert command("order", "list", "--json").json == []
