"""``cases``, ``show``, ``decide`` and ``sweep`` on an installation at work.

The commands run in threads of their own, as they run in processes of their own beside a worker.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from precinto.cli.cases import case_table
from precinto.domain.case import Closure, Stage
from precinto.domain.notification import Action
from precinto.store.overview import CaseLine
from tests.authority import GROUND, TERMS, Authority, terms, until
from tests.cli.conftest import Answer, Command

Beside = Callable[..., Awaitable[Answer]]
REASON = "The bundle shows the conversion."
PROTECTED = "descargas.gob.pe"
LONG = terms(order=TERMS.span("review"))


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
    assert head.split() == ["case", "target", "stage", "due", "(UTC)", "at", "the", "ISPs"]
    assert first.split()[:3] == [case, "y2mate.com", "verification"]
    assert first.rstrip().endswith("compliant: isp0, isp1")
    assert second.startswith(held)
    assert "review, on hold" in second
    as_json = (await beside("cases", "--json")).json
    assert [(one["id"], one["stage"], one["hold"], one["standings"]) for one in as_json] == [
        (case, "verification", False, {"isp0": "compliant", "isp1": "compliant"}),
        (held, "review", True, {}),
    ]


def test_no_word_of_the_list_is_broken_at_80_columns() -> None:
    """Every stage, closure and standing that there is, for a target as long as the demo's longest."""
    opened = datetime(2026, 11, 25, 15, 8, 2, tzinfo=UTC)
    standings = {"norte": "carried_on", "sur": "overstaying", "andes": "compliant"}
    lines = [
        CaseLine(
            id="c-zzzzzzzzzz", target="tramites.gob.pe", service="stream-ripper", stage=stage, hold=True,
            due_at=opened, closure=closure, opened_at=opened, standings=standings,
        )
        for stage in Stage
        for closure in ((None,) if stage is not Stage.CLOSED else tuple(Closure))
    ]  # fmt: skip
    out = StringIO()
    Console(file=out, width=80).print(case_table(lines))
    said = out.getvalue()
    assert max(map(len, said.splitlines())) <= 80
    words = set(re.split(r"[\s,;()]+|:\s", said))
    expected = {*(stage.value for stage in Stage), *(closure.value for closure in Closure)}
    assert expected | {"overstaying", "compliant", "carried", "norte", "andes", "tramites.gob.pe"} <= words
    assert {"2026-11-25", "15:08:02"} <= words


async def test_closed_cases_are_listed_when_asked_for(authority: Authority, beside: Beside) -> None:
    case = await under_review(authority)
    await beside("decide", case, "reject", "--as", "reviewer-1", "--reason", REASON)
    await authority.reached(case, Stage.CLOSED)
    assert (await beside("cases", "--json")).json == []
    [line] = (await beside("cases", "--all", "--json")).json
    assert (line["id"], line["closure"]) == (case, "rejected")
    assert "closed (rejected)" in (await beside("cases", "--all")).out


async def test_a_held_case_that_was_decided_is_on_hold_no_more(authority: Authority, beside: Beside) -> None:
    case = await under_review(authority, PROTECTED)
    assert "review, on hold" in (await beside("cases")).out
    for officer in ("reviewer-1", "reviewer-2"):
        await beside("decide", case, "approve", "--as", officer, "--reason", REASON)
    await authority.reached(case, Stage.VERIFICATION)
    assert "on hold" not in (await beside("cases")).out
    await beside("decide", case, "revoke", "--as", "reviewer-1", "--reason", REASON)
    await authority.closed(case)
    assert "on hold" not in (await beside("cases", "--all")).out


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
    assert f"reviewer-1 as reviewer: approve: admitted\n  grounds {GROUND}; signed with the key " in answer.out
    assert "y2mate.com at isp0: compliant\n" in answer.out
    assert "notices: v1 block: delivered" in answer.out
    file = (await beside("show", case, "--json")).json
    assert file["case"]["id"] == case
    assert [(one["officer"], one["state"]) for one in file["decisions"]] == [("reviewer-1", "admitted")]
    assert {one["isp"]: one["ruling"] for one in file["placements"]} == {"isp0": "blocked", "isp1": "not_blocked"}
    assert file["ledger"][0]["action"] == "referral_registered"


async def test_an_order_is_shown_with_all_that_was_decided_of_it(authority: Authority, beside: Beside) -> None:
    case = await in_force(authority, beside)
    for outcome in ("stay", "resume", "renew", "revoke"):
        answer = await beside("decide", case, outcome, "--as", "reviewer-2", "--reason", f"A reason to {outcome}.")
        assert (answer.code, answer.err) == (0, "")
    await authority.closed(case)
    out = (await beside("show", case)).out
    assert ", order, version 5\n" in out
    assert ", renewals 1; " in out
    assert re.search(r"\n  stayed from \S+ \S+ until \d\S+ \S+\n", out)
    assert re.search(r"ended at \S+ \S+: revoked\n", out)
    assert "notices: v1 block: " in out
    assert "v5 release: delivered" in out
    for words in ("order stayed", "order resumed", "order renewed: it ends at", "order ended, revoked"):
        assert words in out
    [order] = (await beside("show", case, "--json")).json["orders"]
    assert (order["version"], order["renewals"], order["end_reason"]) == (5, 1, "revoked")


async def test_how_long_an_isp_went_on_blocking_is_shown(authority: Authority, beside: Beside) -> None:
    authority.isps["isp1"].ignores[Action.RELEASE] = 1
    case = await in_force(authority, beside)
    await beside("sweep")
    await beside("decide", case, "revoke", "--as", "reviewer-2", "--reason", REASON)

    async def overstaying() -> bool:
        await beside("sweep")
        file = (await beside("show", case, "--json")).json
        return any(one["overstay_seconds"] > 0 for one in file["placements"])

    await until(overstaying, "an overstay to be measured")
    assert re.search(r"blocked \d+\.\d minutes longer than it was to be", (await beside("show", case)).out)


class TestDecide:
    """A named reviewer decides, with reasons; each answer says what is still needed."""

    async def test_one_approval_is_enough_for_a_case_without_hold(self, authority: Authority, beside: Beside) -> None:
        case = await under_review(authority)
        answer = await beside("decide", case, "approve", "--as", "reviewer-1", "--reason", REASON, "--json")
        assert (answer.code, answer.err) == (0, "")
        assert answer.json == {"case": case, "outcome": "approve", "officer": "reviewer-1", "needed": 0}

    async def test_a_held_case_takes_two(self, authority: Authority, beside: Beside) -> None:
        case = await under_review(authority, PROTECTED)
        first = await beside("decide", case, "approve", "--as", "reviewer-1", "--reason", REASON)
        assert first.out == f"{case}: approve by reviewer-1; one more officer must approve, a different one\n"
        again = await beside("decide", case, "approve", "--as", "reviewer-1", "--reason", REASON)
        assert again.code == 4
        assert again.err.startswith("refused: reviewer-1 has approved already")
        assert again.err.endswith("[same_officer_twice]\n")
        second = await beside("decide", case, "approve", "--as", "reviewer-2", "--reason", REASON)
        assert second.out == f"{case}: approve by reviewer-2; carried out now\n"
        await authority.reached(case, Stage.VERIFICATION)

    @pytest.mark.parametrize(("officer", "code"), [("operator-1", "not_entitled"), ("nobody", "unknown_officer")])
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

    async def test_not_without_a_key(
        self, authority: Authority, beside: Beside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        case = await under_review(authority)
        monkeypatch.setenv("PRECINTO_KEYS", str(tmp_path / "elsewhere"))
        answer = await beside("decide", case, "approve", "--as", "reviewer-1", "--reason", REASON)
        assert answer.code == 1
        assert "no key of reviewer-1 that is in force is in " in answer.err
        assert answer.err.endswith("officers enrol reviewer-1\n")

    async def test_not_with_a_wrong_passphrase(self, authority: Authority, beside: Beside, tmp_path: Path) -> None:
        case = await under_review(authority)
        wrong = tmp_path / "wrong"
        wrong.touch(mode=0o600)
        wrong.write_text("another passphrase\n")
        words = ("--as", "reviewer-1", "--reason", REASON, "--passphrase-file", str(wrong), "--json")
        answer = await beside("decide", case, "approve", *words)
        assert (answer.code, answer.error["code"]) == (2, "BadInput")
        assert await authority.decisions(case) == {}

    async def test_not_on_a_ground_that_the_procedure_does_not_have(
        self, authority: Authority, beside: Beside
    ) -> None:
        case = await under_review(authority)
        words = ("--as", "reviewer-1", "--reason", REASON)
        answer = await beside("decide", case, "approve", *words, "--ground", "art-99", "--json")
        assert (answer.code, answer.error["code"]) == (4, "unknown_ground")
        assert (await beside("decide", case, "approve", *words, "--ground", GROUND)).code == 0

    async def test_for_a_signal_it_is_signed_and_filed_and_the_case_is_not_told(
        self, authority: Authority, beside: Beside
    ) -> None:
        """What is printed is the whole input of the signal, for Temporal's own tools to send."""
        case = await under_review(authority)
        words = ("--as", "reviewer-1", "--reason", REASON, "--for-signal")
        answer = await beside("decide", case, "approve", *words)
        assert (answer.code, answer.err, set(answer.json)) == (0, "", {"envelope"})
        assert list((await authority.decisions(case)).values()) == [("submitted", None)]
        await authority.handle(case).signal("legal_review", answer.json)
        await authority.reached(case, Stage.VERIFICATION)
        assert list((await authority.decisions(case)).values()) == [("admitted", None)]


class TestOrdersInForce:
    """What is decided of an order: the same command, other words."""

    async def test_a_revoked_order_ends(self, authority: Authority, beside: Beside) -> None:
        case = await in_force(authority, beside)
        words = ("--as", "duty-1", "--reason", "It hits another service.", "--json")
        answer = await beside("decide", case, "revoke", *words)
        assert answer.json == {"case": case, "outcome": "revoke", "officer": "duty-1", "needed": 0}
        await authority.reached(case, Stage.UNBLOCKING)
        await authority.closed(case)
        [order] = (await beside("show", case, "--json")).json["orders"]
        assert order["end_reason"] == "revoked"

    async def test_a_stay_lifts_the_block_until_it_is_resumed(self, authority: Authority, beside: Beside) -> None:
        case = await in_force(authority, beside)
        words = ("--reason", "Until it is clear whom it hits.", "--json")
        assert (await beside("decide", case, "stay", "--as", "duty-1", *words)).code == 0
        [line] = (await beside("cases", "--json")).json
        assert line["stage"] == "stayed"
        assert (await beside("decide", case, "resume", "--as", "duty-1", *words)).error["code"] == "not_entitled"
        assert (await beside("decide", case, "resume", "--as", "reviewer-2", *words)).code == 0
        await authority.reached(case, Stage.VERIFICATION)

    @pytest.mark.parametrize("outcome", ["revoke", "stay", "resume", "renew"])
    async def test_not_before_there_is_one(self, authority: Authority, beside: Beside, outcome: str) -> None:
        case = await under_review(authority)
        answer = await beside("decide", case, outcome, "--as", "reviewer-1", "--reason", REASON, "--json")
        assert (answer.code, answer.error["code"]) == (4, "not_in_force")

    async def test_an_objection_that_nobody_filed_is_not_decided(self, authority: Authority, beside: Beside) -> None:
        case = await in_force(authority, beside)
        words = ("--as", "reviewer-2", "--reason", REASON, "--about", "o-1", "--json")
        assert (await beside("decide", case, "uphold", *words)).error["code"] == "no_such_objection"


class TestSweep:
    """A round of verification now, at every ISP or at those that are named."""

    async def test_every_isp(self, authority: Authority, beside: Beside) -> None:
        await in_force(authority, beside)
        answer = await beside("sweep", "--json")
        assert {one["vantage"]: one["measured"] for one in answer.json} == {"isp0": 1, "isp1": 1}

    async def test_the_ones_that_are_named(self, authority: Authority, beside: Beside) -> None:
        await in_force(authority, beside)
        assert (await beside("sweep", "isp1")).out == "isp1: 1 measured, 0 lapsed anew\n"
