"""What each version of an order says: kept when it begins, so that a document made later says the same."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from sqlmodel import col, select

from precinto.domain.errors import NotFound
from precinto.domain.evidence import Finding, FindingKind, Weight
from precinto.domain.model import digest
from precinto.domain.order_document import DocumentKind, OrderDocument, Paper
from precinto.domain.review import Outcome
from precinto.store import Database, Store
from precinto.store.database import MIGRATIONS
from precinto.store.documents import order_files
from precinto.store.ledger import LedgerRow
from precinto.store.orders import OrderVersionRow
from precinto.store.review import EscalationRow
from tests.authority import GROUND, terms
from tests.orders import CARD
from tests.store.steps import TERMS, decide, end, filed_stamp, issue, open_case

NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE = timedelta(minutes=1)
HELD = Finding(kind=FindingKind.PROTECTED_NAME, detail="gob.pe", source="test list")
NOTED = Finding(kind=FindingKind.CO_HOSTED, weight=Weight.NOTE, detail="203.0.113.1", source="test list")


@pytest.fixture
async def case(store: Store) -> str:
    """A case in evidence."""
    return await open_case(store)


@pytest.fixture
async def order(store: Store, case: str) -> str:
    """Its order, from ``NOW`` for an hour."""
    return await issue(store, case, valid_from=NOW)


async def paper(store: Store, order: str, version: int) -> Paper:
    """What the documents of a version say."""
    return (await store.documents.draft(order, version, CARD)).paper


def made(language: str = "es", mark: bytes = b"") -> OrderDocument:
    """A document that was made."""
    parts = {part: digest(part.encode() + mark) for part in ("content", "jws", "pdf")}
    return OrderDocument.model_validate({"language": language, **parts})


class TestAnOrder:
    async def test_says_what_is_on_file(self, store: Store, case: str, order: str) -> None:
        draft = await store.documents.draft(order, 1, CARD)
        said = draft.paper
        assert draft.languages == ("es", "en")
        assert (said.kind, said.version, said.replaces, said.end_reason) == (DocumentKind.ORDER, 1, None, None)
        assert (said.valid_from, said.valid_until) == (NOW, NOW + TERMS.span("order"))
        assert (said.authority, said.territory) == (CARD, "PE")
        assert (said.basis, said.procedure, said.redress) == (GROUND, "test", TERMS.procedure.redress)
        assert [(one.code, one.en) for one in said.grounds] == [(GROUND, "One.")]
        assert [(one.target, one.method) for one in said.targets] == [("y2mate.com", "dns")]
        assert (said.facts.case, said.facts.files, said.facts.bundle) == (
            case,
            1,
            (await store.review.docket(case)).bundle,
        )
        assert said.facts.stamped_at == (filed_stamp("uno").at, filed_stamp("dos").at)

    async def test_names_who_decided_with_their_signed_statements(self, store: Store) -> None:
        case = await open_case(store, "descargas.gob.pe", findings=(HELD, NOTED))
        said = await paper(store, await issue(store, case, "reviewer-1", "legal-head"), 1)
        assert [(one.officer, one.role, one.outcome) for one in said.decisions] == [
            ("reviewer-1", "reviewer", "approve"),
            ("legal-head", "legal_head", "approve"),
        ]
        assert all(one.kid is not None for one in said.decisions)
        assert len({one.statement for one in said.decisions}) == 2
        assert (said.facts.holds, said.facts.notes) == (1, 1)

    async def test_is_the_same_whenever_it_is_asked_for(self, store: Store, case: str, order: str) -> None:
        before = await paper(store, order, 1)
        await decide(store, case, "reviewer-2", Outcome.RENEW, at=NOW + MINUTE)
        await decide(store, case, "duty-1", Outcome.STAY, at=NOW + 2 * MINUTE)
        assert (await paper(store, order, 1)).model_copy(update={"issued_at": before.issued_at}) == before

    async def test_has_no_version_that_it_never_had(self, store: Store, order: str) -> None:
        for unknown in ((order, 2), ("nothing", 1)):
            with pytest.raises(NotFound):
                await store.documents.draft(*unknown, CARD)
            with pytest.raises(NotFound):
                await store.documents.of(*unknown)
            with pytest.raises(NotFound):
                await store.documents.missing(*unknown)


class TestWhatFollows:
    async def test_each_change_is_a_version_with_its_own_decision(self, store: Store, case: str, order: str) -> None:
        await decide(store, case, "reviewer-2", Outcome.RENEW, at=NOW + MINUTE)
        await decide(store, case, "duty-1", Outcome.STAY, at=NOW + 2 * MINUTE)
        await decide(store, case, "reviewer-1", Outcome.RESUME, at=NOW + 3 * MINUTE)
        await decide(store, case, "duty-1", Outcome.REVOKE, at=NOW + 4 * MINUTE)
        (file,) = await order_files(store.database, order)
        assert [one.kind for one in file.versions] == ["order", "renewal", "stay", "resumption", "end"]
        assert [one.valid_from for one in file.versions] == [NOW + n * MINUTE for n in range(5)]
        assert file.versions[0].valid_until == NOW + TERMS.span("order")
        assert {one.valid_until for one in file.versions[1:]} == {NOW + TERMS.span("order") + TERMS.span("renewal")}
        papers = [await paper(store, order, version) for version in range(1, 6)]
        assert [one.replaces for one in papers[1:]] == [f"{file.number} v{version}" for version in range(1, 5)]
        assert [[(d.officer, d.outcome) for d in one.decisions] for one in papers] == [
            [("reviewer-1", "approve")],
            [("reviewer-2", "renew")],
            [("duty-1", "stay")],
            [("reviewer-1", "resume")],
            [("duty-1", "revoke")],
        ]
        assert [one.end_reason for one in papers] == [None, None, None, None, "revoked"]

    async def test_each_renewal_names_its_own_approvals(self, store: Store) -> None:
        case = await open_case(store, "descargas.gob.pe", findings=(HELD,))
        order = await issue(store, case, "reviewer-1", "reviewer-2", valid_from=NOW)
        for officer in ("reviewer-1", "reviewer-2", "reviewer-2", "legal-head"):
            await decide(store, case, officer, Outcome.RENEW, at=NOW + MINUTE)
        deciders = [{d.officer for d in (await paper(store, order, version)).decisions} for version in (2, 3)]
        assert deciders == [{"reviewer-1", "reviewer-2"}, {"reviewer-2", "legal-head"}]

    async def test_an_end_by_date_needs_nobody(self, store: Store, case: str, order: str) -> None:
        over = NOW + TERMS.span("order")
        await end(store, case, order, over)
        said = await paper(store, order, 2)
        assert (said.kind, said.end_reason, said.valid_from, said.decisions) == ("end", "expired", over, ())
        assert said.grounds == ()

    async def test_a_lapse_says_so(self, store: Store) -> None:
        case = await open_case(store, terms=terms(order=60 * MINUTE, lapse=5 * MINUTE))
        moment = datetime.now(UTC)  # the run as a whole may take longer than the lapse
        order = await issue(store, case, valid_from=moment)
        await end(store, case, order, moment + 5 * MINUTE)
        assert (await paper(store, order, 2)).end_reason == "lapsed"

    async def test_a_stay_of_what_is_over_by_its_date_can_still_be_written(
        self, store: Store, case: str, order: str
    ) -> None:
        """The engine was away when the order ended, and the duty officer came first."""
        await decide(store, case, "duty-1", Outcome.STAY, at=NOW + TERMS.span("order") + MINUTE)
        assert (await paper(store, order, 2)).kind is DocumentKind.STAY


async def test_a_notice_says_until_when_its_own_version_goes(store: Store, case: str, order: str) -> None:
    """One that is sent again after a renewal is the notice that it was, with the document that goes with it."""
    (before, *_) = await store.notification.undelivered(order)
    await decide(store, case, "reviewer-2", Outcome.RENEW, at=NOW + MINUTE)
    notices = {(one.notice.isp, one.notice.version): one.notice for one in await store.notification.undelivered(order)}
    assert notices[before.notice.isp, 1] == before.notice
    assert notices[before.notice.isp, 2].valid_until == NOW + TERMS.span("order") + TERMS.span("renewal")


class TestWhatWasMade:
    async def test_counts_once(self, store: Store, order: str) -> None:
        assert (await store.documents.of(order, 1)).documents == ()
        first = (made("en"), made("es"))
        assert await store.documents.record(order, 1, first) == first
        assert await store.documents.record(order, 1, (made("es", b"again"),)) == first
        assert (await store.documents.of(order, 1)).documents == first

    async def test_is_in_the_ledger(self, store: Store, case: str, order: str) -> None:
        one = made()
        await store.documents.record(order, 1, (one,))
        await store.documents.record(order, 1, (one,))
        async with store.database.read() as session:
            (row,) = await session.exec(select(LedgerRow).where(LedgerRow.action == "order_documented"))
        assert row.case == case
        digests = {"content": one.content, "jws": one.jws, "pdf": one.pdf}
        assert json.loads(row.body) == {"order": order, "version": 1, "documents": {"es": digests}}

    async def test_what_is_missing_is_put_before_a_human_once(self, store: Store, case: str, order: str) -> None:
        await store.documents.missing(order, 1)
        await store.documents.missing(order, 1)
        (file,) = await order_files(store.database, order)
        async with store.database.read() as session:
            found = await session.exec(select(EscalationRow).where(EscalationRow.case == case))
            assert [(row.what, row.subject) for row in found] == [("document_missing", f"{file.number} v1")]

    async def test_only_what_lifts_a_block_goes_without(self, store: Store, case: str, order: str) -> None:
        await decide(store, case, "duty-1", Outcome.STAY, at=NOW + MINUTE)
        for version in (1, 2):
            await store.documents.missing(order, version)
        assert [(await store.documents.of(order, version)).without for version in (1, 2)] == [False, True]

    async def test_orders_are_listed_by_number_with_their_documents(self, store: Store, order: str) -> None:
        other = await issue(store, await open_case(store, "flvto.biz"))
        await store.documents.record(order, 1, (made(),))
        listed = await order_files(store.database)
        assert [one.id for one in listed] == [order, other]
        assert [one.newest.documents for one in listed] == [(made(),), ()]
        assert [one.targets for one in listed] == [("y2mate.com",), ("flvto.biz",)]
        assert await order_files(store.database, listed[1].number) == listed[1:]
        with pytest.raises(NotFound):
            await order_files(store.database, "2026-999999")


async def _migrate(database: Database, version: str, *, down: bool = False) -> None:
    def move(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        (command.downgrade if down else command.upgrade)(config, version)

    async with database.write() as session:
        await (await session.connection()).run_sync(move)


async def test_orders_of_before_get_their_first_version_and_the_one_that_they_are_at(
    store: Store, case: str, order: str
) -> None:
    """Their notices may still have to go out; and going back loses no order."""
    stayed = await open_case(store, "flvto.biz")
    await issue(store, stayed, valid_from=NOW)
    await decide(store, stayed, "duty-1", Outcome.STAY, at=NOW + MINUTE)
    over = await open_case(store, "ytmp3.cc")
    await issue(store, over, valid_from=NOW)
    await decide(store, over, "duty-1", Outcome.REVOKE, at=NOW + MINUTE)
    await _migrate(store.database, "0008", down=True)
    await _migrate(store.database, "head")
    async with store.database.read() as session:
        rows = list(await session.exec(select(OrderVersionRow).order_by(col(OrderVersionRow.stated_at))))
    assert sorted((row.kind, row.version, row.end_reason) for row in rows) == [
        ("end", 2, "revoked"),
        ("order", 1, None),
        ("order", 1, None),
        ("order", 1, None),
        ("stay", 2, None),
    ]
    said = await paper(store, order, 1)
    assert said.valid_from == NOW
    assert [one.officer for one in said.decisions] == ["reviewer-1"]
