"""What a case is told that no officer of the authority has signed and filed, by somebody who can reach Temporal."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowUpdateFailedError
from temporalio.common import RawValue

from precinto.domain.case import Closure, Stage
from precinto.domain.model import digest
from precinto.domain.review import Outcome
from precinto.domain.statements import decode, encode, sign, statement_id
from tests.authority import SECOND, Authority, envelope, key_of, statement, terms, until
from tests.workflows.cases import LONG, PROTECTED, refused


async def refusals(authority: Authority, case: str, count: int = 1) -> list[dict[str, str]]:
    """Wait until this many refusals are in the ledger; returns them as ``{code, decision}``."""

    async def written() -> list[dict[str, str]] | None:
        rows = [json.loads(row.body) for row in await authority.ledger(case, "decision_refused")]
        return rows if len(rows) >= count else None

    return await until(written, f"{count} refusals in the ledger") or []


async def costs_nothing(authority: Authority, case: str, *officers: str) -> None:
    """The case is where it was, and an honest decision carries it on."""
    assert (await authority.status(case)).stage is Stage.REVIEW
    assert await authority.order(case) is None
    assert not any(isp.received for isp in authority.isps.values())
    for officer in officers or ("reviewer-1",):
        await authority.decide(case, officer)
    await authority.reached(case, Stage.VERIFICATION)


class TestByUpdate:
    """An update only says which decision was filed; what it says is what its officer signed."""

    async def test_one_that_nobody_filed_is_refused_and_on_file(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        bundle = await authority.under_review(case)
        unfiled = statement_id(envelope(case, bundle, "reviewer-1"))
        await refused("decision_not_on_file", authority.tell(case, unfiled))
        assert await refusals(authority, case) == [{"code": "decision_not_on_file", "decision": unfiled}]
        await costs_nothing(authority, case)

    async def test_one_of_another_case_is_not_this_ones(self, authority: Authority) -> None:
        case, other = await authority.refer("y2mate.com", LONG), await authority.refer("flvto.biz", LONG)
        await authority.under_review(case)
        await authority.under_review(other)
        elsewhere = await authority.file(other, "reviewer-1")
        await refused("decision_not_on_file", authority.tell(case, elsewhere.id))
        await costs_nothing(authority, case)
        assert (await authority.tell(other, elsewhere.id)).needed == 0

    async def test_the_same_decision_told_twice_is_one(self, authority: Authority) -> None:
        case = await authority.refer(PROTECTED, LONG)
        await authority.under_review(case)
        one = await authority.file(case, "reviewer-1")
        assert (await authority.tell(case, one.id)).needed == 1
        assert (await authority.tell(case, one.id)).needed == 1
        await costs_nothing(authority, case, "reviewer-2")

    async def test_a_refused_one_does_not_postpone_the_escalation(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        due = (await authority.status(case)).due
        await refused("decision_not_on_file", authority.tell(case, "0" * 32))
        assert (await authority.status(case)).due == due

    async def test_nor_shorten_or_end_an_order_in_force(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", terms(order=2 * SECOND))
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        await authority.reached(case, Stage.VERIFICATION)
        await refused("decision_not_on_file", authority.tell(case, "0" * 32))
        assert all("y2mate.com" in isp.blocked for isp in authority.isps.values())
        assert (await authority.closed(case)).closure is Closure.UNBLOCKED
        order = await authority.order(case)
        assert order is not None
        assert (order.ended_at, order.end_reason) == (order.valid_until, "expired")


class TestBySignal:
    """``legal_review``, for people who use Temporal's own tools: the same rules, and refusals go to the ledger."""

    async def test_a_signed_and_filed_decision_counts(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        one = await authority.file(case, "reviewer-1")
        assert one.envelope is not None
        await authority.signal(case, one.envelope)
        await authority.reached(case, Stage.VERIFICATION)

    async def test_it_can_end_an_order_too(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        await authority.decide(case, "reviewer-1")
        await authority.reached(case, Stage.VERIFICATION)
        one = await authority.file(case, "duty-1", Outcome.REVOKE)
        assert one.envelope is not None
        await authority.signal(case, one.envelope)
        assert (await authority.closed(case)).closure is Closure.UNBLOCKED

    async def test_every_way_to_cheat_is_refused_with_its_reason_and_costs_the_case_nothing(
        self, authority: Authority
    ) -> None:
        case = await authority.refer(PROTECTED, LONG, opened_by="legal-head")
        bundle = await authority.under_review(case)
        honest = await authority.file(case, "reviewer-1")
        assert honest.envelope is not None
        await authority.tell(case, honest.id)
        unfiled = envelope(case, bundle, "reviewer-2")
        head, payload, _ = unfiled.split(".")
        tries = {
            "malformed": ["", "not an envelope", f"{head}.{payload}"],
            "unknown_key": [sign(statement(case, bundle, "reviewer-2"), Ed25519PrivateKey.generate())],
            "other_officers_key": [sign(statement(case, bundle, "reviewer-2"), key_of("reviewer-1"))],
            "forged": [_flipped(unfiled)],
            "not_entitled": [envelope(case, bundle, "operator-1"), envelope(case, bundle, "duty-1")],
            "other_case": [envelope("c-other", bundle, "reviewer-2")],
            "decision_not_on_file": [unfiled, envelope(case, digest(b"other"), "reviewer-2")],
            "replayed": [honest.envelope],
        }
        expected: list[tuple[str, str]] = []
        for code, envelopes in tries.items():
            for one in envelopes:
                await authority.signal(case, one)
                expected.append((code, statement_id(one)))
                await refusals(authority, case, len(expected))  # so that they are no flood
        found = [(row["code"], row["decision"]) for row in await refusals(authority, case, len(expected))]
        assert found == expected
        assert (await authority.docket(case)).approvals == ("reviewer-1",)
        await authority.decide(case, "reviewer-2")
        await authority.reached(case, Stage.VERIFICATION)

    async def test_an_approval_of_the_evidence_before_does_not_count_for_what_was_captured_anew(
        self, authority: Authority
    ) -> None:
        case = await authority.refer("y2mate.com", LONG)
        first = await authority.under_review(case)
        kept = await authority.file(case, "reviewer-1")
        await authority.decide(case, "reviewer-2", Outcome.RETURN)
        await authority.under_review(case, other_than=first)
        assert kept.envelope is not None
        await authority.signal(case, kept.envelope)
        (refusal,) = await refusals(authority, case)
        assert refusal["code"] == "other_bundle"
        await costs_nothing(authority, case)


class TestMalformed:
    """What does not even have the form of a decision."""

    async def test_it_is_dropped_or_refused_and_costs_the_case_nothing(self, authority: Authority) -> None:
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        handle = authority.handle(case)
        for junk in ("junk", {"v": 7}, {"envelope": "x" * 10_000}, ["a"], None, b"bytes"):
            for signal in ("legal_review", "lapse", "changed", "no_such_signal"):
                await handle.signal(signal, junk)
            with pytest.raises(WorkflowUpdateFailedError):
                await handle.execute_update("decide", junk)
        for signal in ("legal_review", "lapse", "changed"):
            await handle.signal(signal)
            await handle.signal(signal, args=["two", "arguments"])
        await costs_nothing(authority, case)

    @pytest.mark.parametrize(
        ("encoding", "data"),
        [
            (b"json/plain", b"{"),
            (b"json/plain", b"[" * 15_000),
            (b"json/plain", b'{"envelope": "\\ud800"}'),
            (b"json/plain", b"9" * 15_000),
            (b"binary/null", b"not empty"),
            (b"json/protobuf", b"{}"),
            (b"of-no-kind", b""),
            (b"\xff\xfe", b"\x00"),
        ],
        ids=["cut", "deep", "half a character", "huge number", "null", "no message", "no such encoding", "no text"],
    )
    async def test_nor_does_what_cannot_even_be_decoded(
        self, authority: Authority, encoding: bytes, data: bytes
    ) -> None:
        case = await authority.refer("y2mate.com", LONG)
        await authority.under_review(case)
        broken = RawValue(Payload(metadata={"encoding": encoding}, data=data))
        for signal in ("legal_review", "lapse", "changed", "no_such_signal", "__temporal_reserved"):
            await authority.handle(case).signal(signal, broken)
        await costs_nothing(authority, case)


def _flipped(signed: str) -> str:
    """The envelope with one bit of its signature changed."""
    head, _, signature = signed.rpartition(".")
    content = bytearray(decode(signature))
    content[0] ^= 1
    return f"{head}.{encode(bytes(content))}"
