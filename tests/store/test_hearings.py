"""Hearings: nobody approves before the operator could answer, where the law says so."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from precinto.domain.case import Closure
from precinto.domain.errors import BadInput, NotFound
from precinto.domain.hearings import HearingStep
from precinto.domain.model import digest
from precinto.domain.objections import LONGEST_TEXT
from precinto.domain.procedures import Heard, Hearing, Skip, Snapshot, Term
from precinto.domain.review import Outcome
from precinto.store import Store, Subjects, Vault, ledger
from precinto.store.database import now
from precinto.store.docket import HearingRow
from precinto.store.hearings import HearingLine, HearingStore
from precinto.store.overview import case_file
from precinto.store.subjects import erase
from tests.fakes import OFFICERS
from tests.store.steps import TERMS, admit, decide, file, open_case, refusal, seal

HOUR = timedelta(hours=1)
ANSWER = "Hemos retirado las canciones que se nombran."


def heard(when: Heard, *skip: Skip) -> Snapshot:
    """Terms with a hearing of 48 hours."""
    term = None if when is Heard.NONE else Term(hours=48, source="the tests")
    procedure = TERMS.procedure.model_copy(update={"hearing": Hearing(when=when, term=term, skip=skip)})
    return TERMS.model_copy(update={"procedure": procedure})


BEFORE = heard(Heard.BEFORE, Skip.OPERATOR_UNKNOWN)


@pytest.fixture
def hearings(store: Store, tmp_path: Path) -> HearingStore:
    """Where hearings are recorded, with a vault of its own."""
    return HearingStore(store.database, Subjects(Vault(tmp_path / "vault.key")))


@pytest.fixture
async def case(store: Store) -> str:
    """A case under review whose operator is to be heard first."""
    opened = await open_case(store, terms=BEFORE)
    await seal(store, opened)
    return opened


async def record(
    hearings: HearingStore, case: str, step: HearingStep, text: str | None = None, skip: Skip | None = None
) -> HearingLine:
    """Whoever may records a step: that it is skipped, a reviewer."""
    officer = "reviewer-2" if step is HearingStep.SKIPPED else "operator-1"
    return await hearings.record(case, step, officer, OFFICERS, text=text, skip=skip)


def _at(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    """The right to be heard is looked at, at this moment."""
    monkeypatch.setattr("precinto.store.docket.now", lambda: moment)


class TestBeforeTheOrder:
    async def test_an_approval_before_it_is_refused(self, store: Store, case: str) -> None:
        assert not (await store.review.docket(case)).heard
        assert await refusal(decide(store, case, "reviewer-1")) == "not_heard"
        assert (await store.gate.place(case)).order is None

    async def test_what_was_filed_in_time_is_refused_at_the_gate_too(
        self, store: Store, hearings: HearingStore, case: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The second serving gives the whole term again, also between filing and admission."""
        await record(hearings, case, HearingStep.SERVED, "by e-mail")
        _at(monkeypatch, now() + 49 * HOUR)
        bundle = (await store.review.docket(case)).bundle or ""
        approval = await file(store, case, bundle, "reviewer-1")
        monkeypatch.setattr("precinto.store.hearings.now", lambda: now() + 49 * HOUR)
        await record(hearings, case, HearingStep.SERVED, "by post")
        assert (await admit(store, case, approval)).code == "not_heard"

    async def test_a_rejection_waits_for_nobody(self, store: Store, hearings: HearingStore, case: str) -> None:
        """Whoever took the content down is not proceeded against."""
        await record(hearings, case, HearingStep.CEASED, ANSWER)
        assert (await decide(store, case, "reviewer-1", Outcome.REJECT)).code is None
        assert (await store.gate.place(case)).closure is Closure.REJECTED

    async def test_an_answer_is_enough(self, store: Store, hearings: HearingStore, case: str) -> None:
        served = await record(hearings, case, HearingStep.SERVED, "by e-mail")
        assert served.due_at == served.at + 48 * HOUR
        assert await refusal(decide(store, case, "reviewer-1")) == "not_heard"
        await record(hearings, case, HearingStep.ANSWERED, ANSWER)
        assert (await decide(store, case, "reviewer-1")).code is None

    async def test_silence_is_enough_after_the_term(
        self, store: Store, hearings: HearingStore, case: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        served = await record(hearings, case, HearingStep.SERVED, "by e-mail")
        assert served.due_at is not None
        _at(monkeypatch, served.due_at)
        assert not (await store.review.docket(case)).heard
        _at(monkeypatch, served.due_at + timedelta(seconds=1))
        assert (await decide(store, case, "reviewer-1")).code is None

    async def test_it_is_skipped_for_a_reason_of_the_procedure_alone(
        self, store: Store, hearings: HearingStore, case: str
    ) -> None:
        wrong = record(hearings, case, HearingStep.SKIPPED, skip=Skip.WOULD_DEFEAT)
        assert await refusal(wrong) == "skip_not_allowed"
        assert not (await store.review.docket(case)).heard
        line = await record(hearings, case, HearingStep.SKIPPED, skip=Skip.OPERATOR_UNKNOWN)
        assert line.reason == "operator_unknown"
        assert (await decide(store, case, "reviewer-1")).code is None

    @pytest.mark.parametrize(
        ("officer", "code"),
        [("operator-1", "not_entitled"), ("reviewer-1", "referrer_may_not_decide"), ("legal-head", None)],
    )
    async def test_whoever_wants_the_block_takes_nobodys_right_to_be_heard(
        self, store: Store, hearings: HearingStore, officer: str, code: str | None
    ) -> None:
        case = await open_case(store, opened_by="reviewer-1", terms=BEFORE)
        skipping = hearings.record(case, HearingStep.SKIPPED, officer, OFFICERS, skip=Skip.OPERATOR_UNKNOWN)
        assert await refusal(skipping) == code

    async def test_after_the_order_it_is_over(self, store: Store, hearings: HearingStore, case: str) -> None:
        await record(hearings, case, HearingStep.ANSWERED, ANSWER)
        await decide(store, case, "reviewer-1")
        assert await refusal(record(hearings, case, HearingStep.SERVED, "by e-mail")) == "hearing_over"


class TestElsewhere:
    async def test_where_it_comes_after_the_order_nothing_waits(self, store: Store, hearings: HearingStore) -> None:
        case = await open_case(store, terms=heard(Heard.AFTER))
        await seal(store, case)
        assert (await decide(store, case, "reviewer-1")).code is None
        assert (await record(hearings, case, HearingStep.SERVED, "by e-mail")).due_at is not None

    async def test_where_nobody_is_heard(self, store: Store, hearings: HearingStore) -> None:
        case = await open_case(store)
        assert await refusal(record(hearings, case, HearingStep.SERVED, "by e-mail")) == "no_hearing"
        with pytest.raises(NotFound):
            await record(hearings, "nobody-1", HearingStep.CEASED)

    @pytest.mark.parametrize(("officer", "code"), [("duty-1", "not_entitled"), ("nobody", "unknown_officer")])
    async def test_who_is_not_appointed(self, hearings: HearingStore, case: str, officer: str, code: str) -> None:
        assert await refusal(hearings.record(case, HearingStep.CEASED, officer, OFFICERS)) == code

    @pytest.mark.parametrize("text", [" ", "x" * (LONGEST_TEXT + 1), "\x1b[2J", "a\x00", "\udcff"])
    async def test_a_text_that_is_none(self, hearings: HearingStore, case: str, text: str) -> None:
        with pytest.raises(BadInput):
            await record(hearings, case, HearingStep.ANSWERED, text)


class TestOnFile:
    async def test_what_was_said_is_sealed_and_the_ledger_has_its_digest(
        self, store: Store, hearings: HearingStore, case: str
    ) -> None:
        line = await record(hearings, case, HearingStep.ANSWERED, ANSWER)
        assert await hearings.read(case) == [(line, ANSWER)]
        async with store.database.read() as session:
            row = await session.get_one(HearingRow, line.id)
            rows = select(ledger.LedgerRow).where(ledger.LedgerRow.action == "hearing_recorded")
            (entry,) = await session.exec(rows)
        assert ANSWER not in str(row)
        expected = {"hearing": line.id, "step": "answered", "reason": None, "text": digest((row.text or "").encode())}
        assert (json.loads(entry.body), entry.actor) == (expected, "operator-1")

    async def test_to_erase_the_operator_is_to_erase_every_text_of_the_case(
        self, store: Store, hearings: HearingStore, case: str
    ) -> None:
        first = await record(hearings, case, HearingStep.SERVED, "to the address in the register")
        second = await record(hearings, case, HearingStep.ANSWERED, ANSWER)
        assert first.subject == second.subject
        assert first.subject is not None
        async with store.database.write() as session:
            await erase(session, first.subject, "legal-head", "request 17")
        assert await hearings.read(case) == [(first, None), (second, None)]
        assert (await store.review.docket(case)).heard
        assert (await case_file(store.database, case)).hearing == (first, second)
        later = await record(hearings, case, HearingStep.ANSWERED, "Algo más.")
        assert later.subject != first.subject
        assert (await hearings.read(case))[-1] == (later, "Algo más.")
        await ledger.verify(store.database)
