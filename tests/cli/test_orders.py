"""``order verify``: a signed order is checked with nothing but the root of whoever checks."""

from __future__ import annotations

from pathlib import Path

import pytest

from precinto.adapters.seals.document import DocumentSigner
from precinto.adapters.seals.identity import SealingIdentity, issue_sealing_identity
from precinto.domain.model import canonical_json, digest
from precinto.domain.order_document import document
from tests.cli.conftest import Command
from tests.orders import paper

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
