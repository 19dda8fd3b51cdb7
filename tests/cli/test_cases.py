"""``cases``, ``show``, ``decide``, ``revoke`` and ``sweep`` on an installation at work.

The commands run in threads of their own, as they run in processes of their own beside a worker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from precinto.domain.case import Stage
from precinto.domain.notification import Action
from tests.authority import TERMS, Authority, terms
from tests.cli.conftest import Answer, Command

Beside = Callable[..., Awaitable[Answer]]
REASON = "The bundle shows the conversion."
PROTECTED = "descargas.gob.pe"
LONG = terms(order=TERMS.review)


@pytest.fixture
def beside(command: Command) -> Beside:
    """Runs one command beside the workers."""

    async def ran(*arguments: str) -> Answer:
        return await asyncio.to_thread(command, *arguments)

    return ran


async def under_review(authority: Authority, target: str = "y2mate.com") -> str:
    """A case whose bundle is under review."""
    case = await authority.refer(target, LONG)
    await authority.under_review(case)
    return case


async def in_force(authority: Authority, beside: Beside) -> str:
    """A case whose order every ISP has been told of."""
    case = await under_review(authority)
    assert (await beside("decide", case, "approve", "--as", "reviewer-1", "--reason", REASON)).code == 0
    await authority.reached(case, Stage.VERIFICATION)
    return case


async def test_the_list_says_where_each_case_stands(authority: Authority, beside: Beside) -> None:
    case = await in_force(authority, beside)
    held = await under_review(authority, PROTECTED)
    await beside("sweep")
    answer = await beside("cases")
    head, first, second = answer.out.splitlines()
    assert head.split() == ["case", "target", "stage", "due", "(UTC)", "isp0", "isp1"]
    assert first.split()[:3] == [case, "y2mate.com", "verification"]
    assert first.split()[-2:] == ["compliant", "compliant"]
    assert second.startswith(held)
    assert "review, on hold" in second
    as_json = (await beside("cases", "--json")).json
    assert [(one["id"], one["stage"], one["hold"], one["standings"]) for one in as_json] == [
        (case, "verification", False, {"isp0": "compliant", "isp1": "compliant"}),
        (held, "review", True, {}),
    ]


async def test_closed_cases_are_listed_when_asked_for(authority: Authority, beside: Beside) -> None:
    case = await under_review(authority)
    await beside("decide", case, "reject", "--as", "reviewer-1", "--reason", REASON)
    await authority.reached(case, Stage.CLOSED)
    assert (await beside("cases", "--json")).json == []
    [line] = (await beside("cases", "--all", "--json")).json
    assert (line["id"], line["closure"]) == (case, "rejected")
    assert "closed (rejected)" in (await beside("cases", "--all")).out


async def test_a_case_is_shown_with_claims_beside_facts(authority: Authority, beside: Beside) -> None:
    authority.isps["isp1"].ignores[Action.BLOCK] = 1
    case = await in_force(authority, beside)
    await beside("sweep")
    answer = await beside("show", case)
    assert answer.code == 0
    for words in (f"Case {case}: y2mate.com", "Referrals", "Bundles", "Decisions", REASON, "Orders", "At the ISPs"):
        assert words in answer.out
    for words in ("referral of ifpi opens the case", "reviewer-1's decision counts: approve", "delivered to isp0"):
        assert words in answer.out
    file = (await beside("show", case, "--json")).json
    assert file["case"]["id"] == case
    assert [(one["officer"], one["state"]) for one in file["decisions"]] == [("reviewer-1", "admitted")]
    assert {one["isp"]: one["ruling"] for one in file["placements"]} == {"isp0": "blocked", "isp1": "not_blocked"}
    assert file["ledger"][0]["action"] == "referral_registered"


class TestDecide:
    """A named reviewer decides, with reasons; each answer says what is still needed."""

    async def test_one_approval_is_enough_for_a_case_without_hold(self, authority: Authority, beside: Beside) -> None:
        case = await under_review(authority)
        answer = await beside("decide", case, "approve", "--as", "reviewer-1", "--reason", REASON, "--json")
        assert (answer.code, answer.err) == (0, "")
        assert answer.json == {"case": case, "outcome": "approve", "officer": "reviewer-1", "still_needed": 0}

    async def test_a_held_case_takes_two(self, authority: Authority, beside: Beside) -> None:
        case = await under_review(authority, PROTECTED)
        first = await beside("decide", case, "approve", "--as", "reviewer-1", "--reason", REASON)
        assert first.out == f"{case}: approved by reviewer-1; 1 more reviewer must approve, a different one\n"
        again = await beside("decide", case, "approve", "--as", "reviewer-1", "--reason", REASON)
        assert again.code == 4
        assert again.err.startswith("refused: reviewer-1 has approved already")
        assert again.err.endswith("[same_officer_twice]\n")
        second = await beside("decide", case, "approve", "--as", "reviewer-2", "--reason", REASON)
        assert second.out == f"{case}: approve by reviewer-2; carried out now\n"
        await authority.reached(case, Stage.VERIFICATION)

    @pytest.mark.parametrize(("officer", "code"), [("operator-1", "not_a_reviewer"), ("nobody", "unknown_officer")])
    async def test_not_everybody(self, authority: Authority, beside: Beside, officer: str, code: str) -> None:
        case = await under_review(authority)
        answer = await beside("decide", case, "approve", "--as", officer, "--reason", REASON, "--json")
        assert (answer.code, answer.error["code"]) == (4, code)

    async def test_not_without_reasons(self, authority: Authority, beside: Beside) -> None:
        case = await under_review(authority)
        answer = await beside("decide", case, "approve", "--as", "reviewer-1", "--reason", " ", "--json")
        assert (answer.code, answer.error["code"]) == (4, "reasons_missing")

    async def test_not_on_a_case_that_does_not_exist(self, authority: Authority, beside: Beside) -> None:
        answer = await beside("decide", "c-none", "approve", "--as", "reviewer-1", "--reason", REASON)
        assert answer.code == 3

    async def test_a_returned_case_is_captured_anew(self, authority: Authority, beside: Beside) -> None:
        case = await under_review(authority)
        bundle = (await authority.status(case)).bundle
        await beside("decide", case, "return", "--as", "reviewer-1", "--reason", "The page was not loaded.")
        await authority.under_review(case, other_than=bundle)
        assert [one["attempt"] for one in (await beside("show", case, "--json")).json["bundles"]] == [1, 2]


class TestRevoke:
    """An order in force ends before its time, and its unblock is measured."""

    async def test_the_order_ends(self, authority: Authority, beside: Beside) -> None:
        case = await in_force(authority, beside)
        answer = await beside("revoke", case, "--as", "reviewer-2", "--reason", "The objection is upheld.", "--json")
        assert answer.json == {"case": case, "revoked": True, "officer": "reviewer-2"}
        await authority.reached(case, Stage.UNBLOCKING)
        await authority.closed(case)
        [order] = (await beside("show", case, "--json")).json["orders"]
        assert order["revoked"]

    async def test_not_before_there_is_one(self, authority: Authority, beside: Beside) -> None:
        case = await under_review(authority)
        answer = await beside("revoke", case, "--as", "reviewer-1", "--reason", REASON, "--json")
        assert (answer.code, answer.error["code"]) == (4, "not_in_force")


class TestSweep:
    """A round of verification now, at every ISP or at those that are named."""

    async def test_every_isp(self, authority: Authority, beside: Beside) -> None:
        await in_force(authority, beside)
        answer = await beside("sweep", "--json")
        assert {one["vantage"]: one["measured"] for one in answer.json} == {"isp0": 1, "isp1": 1}

    async def test_the_ones_that_are_named(self, authority: Authority, beside: Beside) -> None:
        await in_force(authority, beside)
        assert (await beside("sweep", "isp1")).out == "isp1: 1 measured, 0 lapsed anew\n"
