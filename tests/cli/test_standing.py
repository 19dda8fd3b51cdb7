"""``standing``: drafted from a file, enacted by two officers, released under in batches, revoked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from precinto.cli.output import Exit
from precinto.domain.case import Closure, Stage
from precinto.domain.standing_orders import Caps
from precinto.store import Database, Store
from tests.authority import TERMS, Authority, enrol, terms
from tests.cli.conftest import ROOT, Answer, Command
from tests.standing import enacted, standing_order

Beside = Callable[..., Awaitable[Answer]]
EXAMPLE = ROOT / "examples/standing-orders/final-2026.toml"
REASON = "The rights in the event and its calendar are on file."
LONG = terms(order=TERMS.span("review"))
NUMBER = f"S-{datetime.now(UTC).year}-0001"


@pytest.fixture
def terms_file(tmp_path: Path) -> Path:
    """The example, with a window that is open now."""
    year = datetime.now(UTC).year
    path = tmp_path / "final.toml"
    path.write_text(
        EXAMPLE.read_text(encoding="utf-8")
        .replace("2026-12-12T18:00:00-05:00", f"{year}-01-01T00:00:00Z")
        .replace("2026-12-13T00:30:00-05:00", f"{year}-12-31T23:59:59Z")
    )
    return path


@pytest.fixture
async def office(database: Path, keys: Path) -> None:
    """An installation whose officers have their keys; no engine runs."""
    opened = Database(f"sqlite+aiosqlite:///{database}")
    await enrol(Store(opened))
    await opened.close()


@pytest.mark.usefixtures("office")
class TestPaper:
    """What needs no engine."""

    def test_it_is_drafted_enacted_by_two_and_shown(self, command: Command, terms_file: Path) -> None:
        drafted = command("standing", "draft", str(terms_file), "--as", "operator-1", "--json")
        assert (drafted.code, drafted.err) == (Exit.OK, "")
        assert drafted.json["number"] == NUMBER
        head, line = command("standing", "list").out.splitlines()
        assert head.split() == ["number", "state", "until", "(UTC)", "released", "title"]
        assert line.startswith(f"{NUMBER}  draft, 2 to sign")
        assert line.endswith("0 of 200  Final of the football season 2026")

        def enact(officer: str, *more: str) -> Answer:
            return command("standing", "enact", NUMBER, "--as", officer, "--reason", REASON, *more)

        assert enact("reviewer-1", "--json").json == {"number": NUMBER, "officer": "reviewer-1", "needed": 1}
        assert (
            enact("reviewer-2").out
            == f"{NUMBER}: signed by reviewer-2; 1 more must enact it, one of all a legal head\n"
        )
        assert enact("legal-head").out.startswith(f"{NUMBER}: enacted; cases can be released under it")
        shown = command("standing", "show", NUMBER).out
        for words in (f"{NUMBER}, open: Final of the", drafted.json["digest"], "rojatv*.*, *futbol-gratis.*", REASON):
            assert words in shown
        [listed] = command("standing", "list", "--json").json
        assert (listed["state"], listed["caps"], listed["released"]) == (
            "open",
            {"total": 200, "per_day": 100},
            {"total": 0, "on_day": 0},
        )
        file = command("standing", "show", NUMBER, "--json").json
        assert [one["officer"] for one in file["signatures"]] == ["reviewer-1", "reviewer-2", "legal-head"]
        assert command("ledger", "verify").code == Exit.OK

    def test_a_draft_is_replaced_under_its_number(self, command: Command, terms_file: Path) -> None:
        first = command("standing", "draft", str(terms_file), "--as", "operator-1", "--json").json
        command("standing", "enact", NUMBER, "--as", "legal-head", "--reason", REASON)
        terms_file.write_text(terms_file.read_text().replace("total = 200", "total = 150"))
        second = command("standing", "draft", str(terms_file), "--as", "operator-1", "--number", NUMBER, "--json").json
        assert (second["number"], second["needed"]) == (NUMBER, 2)
        assert second["digest"] != first["digest"]
        assert "of an earlier draft" in command("standing", "show", NUMBER).out

    @pytest.mark.parametrize(
        ("old", "new", "why"),
        [
            ("total = 200", "total = 0", "final.toml: caps.total: "),
            ('procedure = "peru-live-event"', 'procedure = "nowhere"', "final.toml: procedure: there is no 'nowhere'"),
            ('grounds = ["PE-822-37"]', 'grounds = ["EVENT-OVER"]', "final.toml: grounds: EVENT-OVER is not a ground"),
            ("v = 1", "v = ", "final.toml: not TOML"),
        ],
    )
    def test_a_wrong_file_is_refused_by_file_key_and_reason(
        self, command: Command, terms_file: Path, old: str, new: str, why: str
    ) -> None:
        terms_file.write_text(terms_file.read_text().replace(old, new))
        answer = command("standing", "draft", str(terms_file), "--as", "operator-1", "--json")
        assert answer.code == Exit.USAGE
        assert why in answer.error["message"]

    @pytest.mark.parametrize("content", [None, b"\xff\xfe", b"#" * 300_000])
    def test_what_is_no_file_of_terms(self, command: Command, tmp_path: Path, content: bytes | None) -> None:
        path = tmp_path / "final.toml"
        if content is not None:
            path.write_bytes(content)
        answer = command("standing", "draft", str(path), "--as", "operator-1", "--json")
        assert answer.code == Exit.USAGE
        assert "final.toml" in answer.error["message"]

    def test_whoever_drafted_it_may_not_enact(self, command: Command, terms_file: Path) -> None:
        command("standing", "draft", str(terms_file), "--as", "legal-head")
        answer = command("standing", "enact", NUMBER, "--as", "legal-head", "--reason", REASON, "--json")
        assert (answer.code, answer.error["code"]) == (Exit.REFUSED, "drafter_may_not_enact")

    def test_a_ground_that_its_procedure_does_not_have(self, command: Command, terms_file: Path) -> None:
        command("standing", "draft", str(terms_file), "--as", "operator-1")
        for verb, officer in (("enact", "legal-head"), ("revoke", "duty-1")):
            for ground in ("no such ground!", "PE-822-179"):
                said = ("--as", officer, "--reason", REASON, "--ground", ground, "--json")
                answer = command("standing", verb, NUMBER, *said)
                assert (answer.code, answer.error["code"]) == (Exit.REFUSED, "unknown_ground")

    def test_one_that_there_is_not(self, command: Command) -> None:
        assert command("standing", "show", NUMBER).code == Exit.NOT_FOUND
        assert command("standing", "enact", NUMBER, "--as", "legal-head", "--reason", REASON).code == Exit.NOT_FOUND
        assert command("standing", "revoke", NUMBER, "--as", "legal-head", "--reason", REASON).code == Exit.NOT_FOUND

    def test_without_releases_it_is_revoked_without_an_engine(self, command: Command, terms_file: Path) -> None:
        command("standing", "draft", str(terms_file), "--as", "operator-1")
        ground = ("--ground", "EVENT-OVER")
        answer = command("standing", "revoke", NUMBER, "--as", "duty-1", "--reason", "Called off.", *ground, "--json")
        assert (answer.code, answer.json) == (Exit.OK, {"number": NUMBER, "cases": [], "untold": []})
        assert command("standing", "list", "--json").json[0]["state"] == "revoked"


class TestAtWork:
    @pytest.fixture
    def beside(self, command: Command) -> Beside:
        """Runs one command beside the workers."""

        async def ran(*arguments: str) -> Answer:
            return await asyncio.to_thread(command, *arguments)

        return ran

    async def cases(self, authority: Authority, *targets: str) -> list[str]:
        """Cases whose bundles are under review."""
        found = [await authority.refer(target, LONG) for target in targets]
        for case in found:
            await authority.under_review(case)
        return found

    async def test_a_batch_is_released_each_case_by_itself(self, authority: Authority, beside: Beside) -> None:
        number = await enacted(authority.store, standing_order(caps=Caps(total=2, per_day=2)))
        inside = await self.cases(authority, "y2mate.com", "ripper-1.com")
        outside = await self.cases(authority, "flvto.biz", "descargas.gob.pe")
        batch = (*inside, *outside, "nowhere-1", inside[0])
        answer = await beside("standing", "release", number, *batch, "--as", "duty-1", "--reason", REASON, "--json")
        assert (answer.code, answer.err) == (Exit.PARTIAL, "")
        assert {one["case"]: one["code"] for one in answer.json["cases"]} == {
            inside[0]: None,
            inside[1]: None,
            outside[0]: "outside_scope",
            outside[1]: "held",
            "nowhere-1": "NotFound",
        }
        for case in inside:
            await authority.reached(case, Stage.VERIFICATION)
        (late,) = await self.cases(authority, "ripper-2.com")
        answer = await beside("standing", "release", number, late, "--as", "duty-1", "--reason", REASON)
        assert answer.code == Exit.PARTIAL
        assert answer.out == f"{number}: 0 of 1 cases released by duty-1\n"
        assert "[cap_reached]" in answer.err
        ground = ("--ground", "none", "--json")
        answer = await beside("standing", "release", number, *inside, "--as", "duty-1", "--reason", REASON, *ground)
        assert (answer.code, answer.error["code"]) == (Exit.REFUSED, "unknown_ground")
        again = await beside("standing", "release", number, *inside, "--as", "duty-1", "--reason", REASON)
        assert (again.code, again.out) == (Exit.OK, f"{number}: 2 of 2 cases released by duty-1\n")
        assert (await beside("standing", "list", "--json")).json[0]["released"] == {"total": 2, "on_day": 2}

    async def test_revoked_every_block_is_lifted(self, authority: Authority, beside: Beside) -> None:
        number = await enacted(authority.store, standing_order())
        (case,) = await self.cases(authority, "y2mate.com")
        await beside("standing", "release", number, case, "--as", "duty-1", "--reason", REASON)
        await authority.reached(case, Stage.VERIFICATION)
        answer = await beside("standing", "revoke", number, "--as", "duty-1", "--reason", "Called off.")
        assert (answer.code, answer.out) == (Exit.OK, f"{number}: revoked; 1 cases lift their blocks now\n")
        assert (await authority.closed(case)).closure is Closure.UNBLOCKED
        shown = (await beside("standing", "show", number)).out
        assert shown.splitlines()[-1].rstrip().endswith("standing order")

    async def test_who_is_not_told_is_named_and_told_when_it_is_repeated(
        self, authority: Authority, beside: Beside, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        number = await enacted(authority.store, standing_order())
        (case,) = await self.cases(authority, "y2mate.com")
        await beside("standing", "release", number, case, "--as", "duty-1", "--reason", REASON)
        await authority.reached(case, Stage.VERIFICATION)
        with monkeypatch.context() as down:
            down.setenv("PRECINTO_TEMPORAL_ADDRESS", "127.0.0.1:9")
            answer = await beside("standing", "revoke", number, "--as", "duty-1", "--reason", "Called off.")
        assert (answer.code, case in answer.err) == (Exit.PARTIAL, True)
        answer = await beside("standing", "revoke", number, "--as", "duty-1", "--reason", "Called off.", "--json")
        assert (answer.code, answer.json["untold"]) == (Exit.OK, [])
        assert (await authority.closed(case)).closure is Closure.UNBLOCKED
