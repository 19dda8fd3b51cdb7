"""The story that the demo plays, step by step, and the record that it leaves.

Every step is what an operator, an officer or an ISP would do; the engine is not told that it is a demo. The lab's
ISP *andes* lies twice: it says "enforced" and blocks nothing, and it forgets to unblock. Both are found by measuring.
In between an officer on duty stays an order, and a reviewer resumes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from temporalio.service import RPCError

from precinto.cli.dossier import style_of, told
from precinto.cli.record import make_record
from precinto.cli.screen import Screen
from precinto.desk import Desk, Signatory
from precinto.domain import referral_files
from precinto.domain.case import Stage as CaseStage
from precinto.domain.errors import Refused, Unavailable
from precinto.domain.notification import Action
from precinto.domain.review import IN_FORCE, Outcome
from precinto.domain.statements import Enrolment, public_text, sign_enrolment
from precinto.domain.verification import Standing
from precinto.embedded import Running, embedded
from precinto.guardlists import read_guardlists
from precinto.ports import Registry
from precinto.procedures import load_procedure, snapshot
from precinto.settings import Settings
from precinto.store import Database, Store
from precinto.store.overview import CaseLine, case_lines, ledger_since

if TYPE_CHECKING:
    from lab.lab import Lab

T = TypeVar("T")

OPERATOR, FIRST, SECOND, ON_DUTY = "operator-1", "reviewer-1", "reviewer-2", "duty-1"

PORTAL = "tramites.gob.pe"
"""The lawful name among the referrals. The other that is held is a converter with a large audience."""

APPROVAL = "The bundle shows a recording being converted and offered for download without the right holder's licence."
REJECTION = "The bundle shows a state portal and no converter: the referral is mistaken, and the name is protected."
STAY = "Somebody says that a library's own recordings are behind this name: nothing stays blocked while that is open."
RESUMPTION = "The recordings were looked at: they are those of the bundle, and no library's."

GROUNDS = {
    Outcome.APPROVE: ("PE-822-37",),
    Outcome.REJECT: ("PE-27444-IV-1.4",),
    Outcome.STAY: ("PE-27444-IV-1.4",),
    Outcome.RESUME: ("PE-822-37",),
}
"""Legal grounds of the demo's procedure."""

_PATIENCE_SECONDS = 180.0


@dataclass(frozen=True)
class Place:
    """Where the story is played: a running installation, its desk and its store, and officers with their keys."""

    running: Running
    desk: Desk
    store: Store
    signatories: Mapping[str, Signatory]

    @property
    def ui(self) -> str:
        """Temporal's web interface, with this installation's cases."""
        cases = quote('WorkflowType="EnforcementCase"')
        return f"{self.running.ui}/namespaces/{self.running.settings.temporal_namespace}/workflows?query={cases}"


@asynccontextmanager
async def open_place(settings: Settings, say: Callable[[str], None]) -> AsyncGenerator[Place]:
    """Start an installation and open its desk."""
    async with embedded(settings, say) as running:
        database = Database(settings.database)
        store = Store(database)
        try:
            lists = read_guardlists(settings.guardlists).joined(running.registry.protected)
            terms = snapshot(load_procedure(settings.procedure), datetime.now(UTC).date())
            desk = Desk(running.client, store, running.registry, terms, lists)
            yield Place(running, desk, store, await _enrolled(store, running.registry))
        finally:
            await database.close()


async def _enrolled(store: Store, registry: Registry) -> dict[str, Signatory]:
    """A fresh key for each officer of the demo, who needs no passphrase: the keys are gone with the process."""
    signatories: dict[str, Signatory] = {}
    for officer in registry.officers:
        key = Ed25519PrivateKey.generate()
        public = key.public_key()
        enrolment = Enrolment(officer=officer.id, public=public_text(public), at=datetime.now(UTC))
        proof = sign_enrolment(enrolment, key)
        await store.officer_keys.enrol(
            officer.id, public.public_bytes_raw(), "demo", proof, officers=registry.officers
        )
        signatories[officer.id] = Signatory(officer.id, key)
    return signatories


class Story:
    """One play of the story."""

    def __init__(self, place: Place, lab: Lab, screen: Screen, *, interactive: bool) -> None:
        self._place = place
        self._lab = lab
        self._screen = screen
        self._interactive = interactive
        self._seen = 0

    async def play(self, referrals: Sequence[referral_files.Row]) -> dict[str, Any]:
        """Play it; returns the record, whose ``ok`` says whether every case ended as told."""
        over = asyncio.Event()
        watching = asyncio.create_task(self._watch(over))
        try:
            await self._refer(referrals)
            await self._until(CaseStage.REVIEW, "the evidence of every case is sealed")
            await self._review()
            await self._stay_one()
            await self._until_blocked()
            self._lab.andes.behaviour.lie(Action.RELEASE, times=1)
            await self._until(CaseStage.CLOSED, "every case has ended")
        finally:
            over.set()
            await watching
        record = await make_record(self._place.running, self._place.store, self._lab, self._screen.seconds)
        self._say_result(record)
        return record

    # ---------------------------------------------------------------------------------------------- the steps

    async def _refer(self, rows: Sequence[referral_files.Row]) -> None:
        self._screen.say(f"{OPERATOR} refers {len(rows)} rows of {rows[0].file}")
        good = [row for row in rows if isinstance(row, referral_files.GoodRow)]
        for row in rows:
            if isinstance(row, referral_files.BadRow):
                self._screen.say(f"  {row.file}: line {row.line}: {row.column}: {row.reason}", "yellow")
        # ISP andes will take its first order and do nothing.
        self._lab.andes.behaviour.lie(Action.BLOCK, times=1)
        taken = await persist(lambda: self._place.desk.refer([row.referral for row in good], OPERATOR))
        for row, registered in zip(good, taken, strict=True):
            if not registered.opened:
                self._screen.say(f"  {row.file}: line {row.line}: joins the open case {registered.case}")

    async def _review(self) -> None:
        cases = await self._cases()
        if self._interactive:
            for case in cases:
                await self._ask(case)
            return
        await self._refused(cases[0], OPERATOR, "the operator tries to approve")
        for case in cases:
            await self._decide(case, FIRST, Outcome.APPROVE, APPROVAL)
            if case.hold:
                await self._refused(case, FIRST, "one reviewer tries to be two")
            if case.target == PORTAL:
                await self._decide(case, SECOND, Outcome.REJECT, REJECTION)
            elif case.hold:
                await self._decide(case, SECOND, Outcome.APPROVE, APPROVAL)

    async def _stay_one(self) -> None:
        """Stay the first order that every ISP was measured to obey, and resume it once no ISP blocks any more."""

        async def first() -> bool:
            cases = await self._cases()
            return any(map(_obeyed, cases)) or not any(case.stage in IN_FORCE for case in cases)

        await self._wait(first, "a block is measured everywhere")
        case = next((one for one in await self._cases() if _obeyed(one)), None)
        if case is None:
            return  # whoever plays the reviewers has ordered nothing
        stayed = case.id

        async def lifted() -> bool:
            return any(one.id == stayed and _everywhere(one, Standing.RELEASED) for one in await self._cases())

        await self._decide(case, ON_DUTY, Outcome.STAY, STAY)
        await self._wait(lifted, "the stay is measured everywhere")
        await self._decide(case, SECOND, Outcome.RESUME, RESUMPTION)

    async def _until_blocked(self) -> None:
        """Wait until every ISP was measured to comply, or until the orders are over."""

        async def blocked() -> bool:
            open_cases = [case for case in await self._cases() if case.stage is not CaseStage.CLOSED]
            return all(case.stage is CaseStage.UNBLOCKING or _obeyed(case) for case in open_cases)

        await self._wait(blocked, "every block is measured")

    async def _decide(self, case: CaseLine, officer: str, outcome: Outcome, reasons: str) -> None:
        signatory = self._place.signatories[officer]
        await persist(lambda: self._place.desk.decide(case.id, signatory, outcome, reasons, GROUNDS[outcome]))

    async def _refused(self, case: CaseLine, officer: str, what: str) -> None:
        try:
            await self._decide(case, officer, Outcome.APPROVE, APPROVAL)
        except Refused as refused:
            self._screen.say(f"{what}: refused, {refused}", "yellow")
        else:
            raise AssertionError(f"{what}: this must be refused")

    async def _ask(self, case: CaseLine) -> None:
        """Let the person at the terminal decide."""
        approvals = 0
        for officer in (FIRST, SECOND):
            held = " (on hold: two reviewers)" if case.hold else ""
            question = f"{officer}: {case.target}{held}: approve or reject?"
            answer = await asyncio.to_thread(typer.prompt, question, default="reject" if case.hold else "approve")
            outcome = Outcome.APPROVE if str(answer).startswith("a") else Outcome.REJECT
            reasons = APPROVAL if outcome is Outcome.APPROVE else REJECTION
            await self._decide(case, officer, outcome, reasons)
            approvals += outcome is Outcome.APPROVE
            if outcome is Outcome.REJECT or approvals == (2 if case.hold else 1):
                return

    # ------------------------------------------------------------------------------------- watching and waiting

    async def _watch(self, over: asyncio.Event) -> None:
        """Follow the ledger until the story is over, its last row too."""
        while not over.is_set():
            await self._look()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), 0.2)
        await self._look()

    async def _look(self) -> None:
        cases = await self._cases()
        names = {case.id: case.target for case in cases}
        for line in await ledger_since(self._place.store.database, self._seen):
            self._seen = line.seq
            if line.action not in {"observed", "decision_submitted"}:
                self._screen.say(f"{names.get(line.case or '', ''):16} {told(line)}", style_of(line))
        self._screen.show(cases)

    async def _cases(self) -> list[CaseLine]:
        return await case_lines(self._place.store.database)

    async def _until(self, stage: CaseStage, what: str) -> None:
        async def there() -> bool:
            return all(case.stage is stage for case in await self._cases())

        await self._wait(there, what)

    async def _wait(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not await condition():
            if time.monotonic() > deadline:
                stuck = ", ".join(f"{case.target} in {case.stage}" for case in await self._cases())
                raise Unavailable(f"still waiting until {what}: {stuck}; logs are in the home's folder 'run'")
            await asyncio.sleep(0.1)

    def _say_result(self, record: dict[str, Any]) -> None:
        for check in record["checks"]:
            held = check["holds"]
            self._screen.say(
                f"{'holds' if held else 'DOES NOT HOLD'}: {check['what']}", "green" if held else "bold red"
            )
        self._screen.say(f"the story {'ended' if record['ok'] else 'did not end'} as told", "bold")


def _obeyed(case: CaseLine) -> bool:
    return case.stage in IN_FORCE and _everywhere(case, Standing.COMPLIANT)


def _everywhere(case: CaseLine, standing: Standing) -> bool:
    return bool(case.standings) and set(case.standings.values()) == {standing.value}


async def persist(act: Callable[[], Awaitable[T]], within: float = 90.0) -> T:
    """Do what a person does when the engine is away: say the same again, until it answers."""
    deadline = time.monotonic() + within
    while True:
        try:
            return await act()
        except (Unavailable, RPCError):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(1.0)
