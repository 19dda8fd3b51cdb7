"""Documents go out with the notices: none of a block without one, and none of a release that waits for one."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwcrypto import jwk, jws
from sqlmodel import select

from activities import documents
from activities.notification import NotificationActivities
from activities.verification import VerificationActivities
from precinto.adapters.seals.document import DocumentSigner, verify_document
from precinto.adapters.seals.identity import issue_sealing_identity
from precinto.bundle.trust import read_certificates
from precinto.contracts import EndTask, OrderTask
from precinto.domain.errors import NotYet, Unavailable
from precinto.domain.model import canonical_json, digest
from precinto.domain.notification import Action, Notice
from precinto.domain.order_document import DocumentKind, Paper, document
from precinto.domain.procedures import Language
from precinto.domain.review import Outcome
from precinto.ports import Written
from precinto.store.documents import order_files
from precinto.store.orders import OrderVersionRow
from precinto.store.review import EscalationRow
from tests.activities.conftest import World
from tests.fakes import FakeDocumentSigner
from tests.orders import CARD
from tests.store.steps import TERMS, decide, issue, open_case


@pytest.fixture
async def task(world: World) -> OrderTask:
    """A case with an order of which nobody was told yet."""
    case = await open_case(world.store)
    return OrderTask(case=case, order=await issue(world.store, case))


async def notify(world: World, task: OrderTask) -> None:
    """One attempt to tell every ISP."""
    await world.run(NotificationActivities(world.ports).notify, task)


async def end(world: World, task: OrderTask) -> None:
    """One attempt to see the order to its end, which is not measured yet."""
    with pytest.raises(NotYet):
        await world.run(VerificationActivities(world.ports).end, EndTask(case=task.case, order=task.order))


async def escalated(world: World) -> list[str]:
    """What was put before a human."""
    async with world.store.database.read() as session:
        return [row.what for row in await session.exec(select(EscalationRow))]


def received(world: World) -> Sequence[Notice]:
    """Every notice that an ISP got."""
    return [notice for isp in world.isps.values() for notice in isp.received]


@pytest.fixture
def failing(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make the chancery fail for these kinds of documents; for none, it works again."""
    write = world.ports.chancery.write

    def fail(*kinds: DocumentKind, error: Exception | None = None) -> None:
        async def failing(paper: Paper, language: Language) -> Written:
            if paper.kind in kinds:
                raise error or Unavailable("the key is locked")
            return await write(paper, language)

        monkeypatch.setattr(world.ports.chancery, "write", failing)

    return fail


async def test_each_isp_gets_the_document_in_its_language(world: World, task: OrderTask) -> None:
    world.ports.registry.languages["isp1"] = "en"  # type: ignore[attr-defined]
    await notify(world, task)
    letters = {notice.isp: notice.letter for notice in received(world)}
    assert {isp: letter and letter.language for isp, letter in letters.items()} == {"isp0": "es", "isp1": "en"}
    (file,) = await order_files(world.store.database, task.order)
    signed = {one.language: f"signed.{one.content}" for one in file.newest.documents}
    for letter in letters.values():
        assert letter is not None
        assert letter.pdf.startswith(b"%PDF-")
        assert letter.jws == signed[letter.language]


async def test_whoever_gets_it_can_check_it_without_us(world: World, task: OrderTask, tmp_path: Path) -> None:
    """With the real signer; by ours, and by somebody else's library with the key of the certificate in the header."""
    identity = issue_sealing_identity(tmp_path / "seals", "autoridad")
    world.ports.chancery._signer = DocumentSigner(identity.key, identity.certificates)  # type: ignore[attr-defined]
    await notify(world, task)
    letter = received(world)[0].letter
    assert letter is not None
    said = verify_document(letter.jws, read_certificates(identity.root))
    paper = (await world.store.documents.draft(task.order, 1, CARD)).paper
    assert said == document(paper, "es") | {"issued_at": said["issued_at"]}
    other = jws.JWS.from_jose_token(letter.jws)
    certificate = x509.load_der_x509_certificate(base64.b64decode(other.jose_header["x5c"][0]))
    public = certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    other.verify(jwk.JWK.from_pem(public))
    assert other.payload == canonical_json(said)


async def test_a_key_that_is_newer_than_the_order_signs_it_well(world: World, task: OrderTask, tmp_path: Path) -> None:
    """The key was renewed while the document still waited: it is dated when it is signed."""
    async with world.store.database.write() as session:
        for row in await session.exec(select(OrderVersionRow)):
            row.stated_at -= timedelta(days=10)
            row.valid_from -= timedelta(days=10)
            session.add(row)
    identity = issue_sealing_identity(tmp_path / "seals", "autoridad")
    world.ports.chancery._signer = DocumentSigner(identity.key, identity.certificates)  # type: ignore[attr-defined]
    await notify(world, task)
    letter = received(world)[0].letter
    assert letter is not None
    assert verify_document(letter.jws, read_certificates(identity.root))["version"] == 1


async def test_an_isp_gets_another_language_where_the_procedure_lacks_its_own(world: World) -> None:
    spanish = TERMS.model_copy(update={"procedure": TERMS.procedure.model_copy(update={"documents": ("es",)})})
    case = await open_case(world.store, terms=spanish)
    world.ports.registry.languages["isp1"] = "en"  # type: ignore[attr-defined]
    await notify(world, OrderTask(case=case, order=await issue(world.store, case)))
    assert [notice.letter and notice.letter.language for notice in received(world)] == ["es", "es"]


async def test_the_notice_names_them_all_and_the_blob_store_has_them(world: World, task: OrderTask) -> None:
    await notify(world, task)
    (file,) = await order_files(world.store.database, task.order)
    assert [one.language for one in file.newest.documents] == ["en", "es"]
    for notice in received(world):
        assert notice.documents == file.newest.documents
        assert notice.document()["documents"] == {
            one.language: {"jws": one.jws, "pdf": one.pdf} for one in file.newest.documents
        }
    for one in file.newest.documents:
        assert (await world.blobs.get(one.pdf)).startswith(b"%PDF-")
        assert one.content in (await world.blobs.get(one.jws)).decode()


async def test_each_version_has_its_own_and_none_is_made_twice(world: World, task: OrderTask) -> None:
    await notify(world, task)
    before = len(world.blobs.content)
    await notify(world, task)
    assert len(world.blobs.content) == before
    await decide(world.store, task.case, "reviewer-2", Outcome.RENEW)
    await notify(world, task)
    pdfs = {notice.version: notice.letter.pdf for notice in received(world) if notice.letter}
    assert len(set(pdfs.values())) == len(pdfs) == 2


async def test_two_workers_at_once_send_the_same_document(world: World, task: OrderTask) -> None:
    """A signature can differ each time: what was recorded first goes to everybody."""
    signed = iter(range(100))

    class Signer(FakeDocumentSigner):
        async def sign(self, content: bytes) -> str:
            await asyncio.sleep(0.01)
            return f"{next(signed)}.{await super().sign(content)}"

    world.ports.chancery._signer = Signer()  # type: ignore[attr-defined]
    await asyncio.gather(notify(world, task), notify(world, task))
    assert len({notice.letter.jws for notice in received(world) if notice.letter}) == 1
    (file,) = await order_files(world.store.database, task.order)
    named = {digest(notice.letter.jws.encode()) for notice in received(world) if notice.letter}
    assert named == {one.jws for one in file.newest.documents if one.language == "es"}


async def test_a_block_waits_for_its_document(world: World, task: OrderTask, failing: Callable[..., None]) -> None:
    failing(DocumentKind.ORDER)
    for _ in range(2):
        with pytest.raises(Unavailable, match="version 1 has no document: Unavailable: the key is locked"):
            await notify(world, task)
    assert received(world) == []
    assert await escalated(world) == ["document_missing"]
    failing()
    await notify(world, task)
    assert [notice.letter is not None for notice in received(world)] == [True, True]


async def test_a_renewal_does_not_wait_for_the_document_of_the_order(
    world: World, task: OrderTask, failing: Callable[..., None]
) -> None:
    failing(DocumentKind.ORDER)
    await decide(world.store, task.case, "reviewer-2", Outcome.RENEW)
    with pytest.raises(Unavailable, match="version 1 has no document"):
        await notify(world, task)
    assert {notice.version for notice in received(world)} == {2}


@pytest.mark.parametrize("error", [Unavailable("the key is locked"), RuntimeError("the template is broken")])
async def test_a_release_never_waits_for_its_document(
    world: World, task: OrderTask, failing: Callable[..., None], error: Exception
) -> None:
    await notify(world, task)
    failing(DocumentKind.STAY, DocumentKind.END, error=error)
    await decide(world.store, task.case, "duty-1", Outcome.STAY)
    await notify(world, task)
    assert [isp.blocked for isp in world.isps.values()] == [set(), set()]
    await decide(world.store, task.case, "duty-1", Outcome.REVOKE)
    await end(world, task)
    released = [notice for notice in received(world) if notice.action is Action.RELEASE]
    assert [notice.version for notice in released] == [2, 3, 2, 3]
    assert not any(notice.documents or notice.letter for notice in released)
    assert await escalated(world) == ["document_missing"] * 2


async def test_a_release_that_must_be_sent_again_says_the_same(
    world: World, task: OrderTask, failing: Callable[..., None]
) -> None:
    """An ISP that had it may have it again; with a document in it by then, it would be another notice."""
    await notify(world, task)
    failing(DocumentKind.STAY)
    await decide(world.store, task.case, "duty-1", Outcome.STAY)
    world.isps["isp0"].failures = [Unavailable("the answer was lost")]
    with pytest.raises(Unavailable):
        await notify(world, task)
    failing()
    await notify(world, task)
    assert not any(notice.letter for notice in received(world) if notice.action is Action.RELEASE)


async def test_a_release_does_not_wait_for_a_slow_chancery(
    world: World, task: OrderTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    await notify(world, task)
    await decide(world.store, task.case, "duty-1", Outcome.STAY)

    async def hangs(paper: Paper, language: Language) -> Written:
        await asyncio.sleep(3600)
        raise AssertionError

    monkeypatch.setattr(world.ports.chancery, "write", hangs)
    monkeypatch.setattr(documents, "LIFT_LIMIT", timedelta(milliseconds=50))
    await notify(world, task)
    assert [isp.blocked for isp in world.isps.values()] == [set(), set()]


async def test_a_letter_that_the_blob_store_has_lost_holds_up_a_block_and_no_release(
    world: World, task: OrderTask
) -> None:
    world.isps["isp0"].failures = [Unavailable("busy")]
    with pytest.raises(Unavailable, match="busy"):
        await notify(world, task)
    kept, world.blobs.content = world.blobs.content, {}
    with pytest.raises(Unavailable, match="version 1 has no document: NotFound"):
        await notify(world, task)
    world.blobs.content = dict(kept)
    await notify(world, task)
    assert [isp.blocked for isp in world.isps.values()] == [{"y2mate.com"}] * 2

    await decide(world.store, task.case, "duty-1", Outcome.STAY)
    world.isps["isp0"].failures = [Unavailable("busy")]
    with pytest.raises(Unavailable, match="busy"):
        await notify(world, task)
    world.blobs.content = {}
    await notify(world, task)
    assert [isp.blocked for isp in world.isps.values()] == [set(), set()]
