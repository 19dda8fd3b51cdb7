"""That a broken rule is noticed: each test takes one out of the code and tells a story in which it matters."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from precinto.domain import review as domain_review
from precinto.domain.notification import Method, measure_id
from precinto.domain.orders import End, EndReason
from precinto.domain.review import Docket, Outcome
from precinto.store import gate, notification, orders, releases, review, standing_orders, verification
from precinto.store.notification import NotificationStore
from precinto.store.orders import MeasureRow, OrderRow
from precinto.store.review import DecisionRow
from precinto.store.verification import VerificationStore
from tests.invariants.machine import Enforcement
from tests.invariants.outside import DAY, START, Mood

Change = Callable[[pytest.MonkeyPatch], None]
Story = Callable[[Enforcement], None]


@dataclass(frozen=True)
class Mutation:
    """A rule taken out of the code, a story in which it matters, and what must be noticed."""

    name: str
    change: Change
    story: Story
    noticed: str


Y2MATE, FLVTO, GOB, GITHUB, YOUT = 0, 2, 3, 5, 6
"""Places in the machine's list of targets."""


def _under_review(machine: Enforcement, target: int = Y2MATE, opened_by: str = "operator-1", down: int = 0) -> None:
    machine.refer(target, opened_by, "ifpi", False)
    machine.capture(len(machine.cases) - 1, down, fails=False, again=False)


def _in_force(machine: Enforcement) -> None:
    _under_review(machine)
    machine.decide(0, "reviewer-1", Outcome.APPROVE, "told")
    machine.notify(0, False, "", False, 0)


def _async(value: Any) -> Callable[..., Any]:
    async def answer(*_: object, **__: object) -> Any:
        return value

    return answer


def _nothing(*_: object, **__: object) -> None:
    return None


def _without_stamps(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(review, "is_stamped", _async(True))


def _approve_unstamped(machine: Enforcement) -> None:
    _under_review(machine, down=2)
    machine.decide(0, "reviewer-1", Outcome.APPROVE, "told")


def _each_approval_counts(patch: pytest.MonkeyPatch) -> None:
    def every(decisions: Iterable[DecisionRow]) -> tuple[str, ...]:
        return tuple(one.officer for one in decisions)

    patch.setattr(review, "_officers", every)
    patch.setattr(domain_review, "_not_twice", _nothing)


def _approve_twice(machine: Enforcement) -> None:
    _under_review(machine, GOB)
    machine.decide(0, "reviewer-1", Outcome.APPROVE, "told")
    machine.decide(0, "reviewer-1", Outcome.APPROVE, "told")


def _one_suffices(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Docket, "approvals_needed", property(lambda _: 1))


def _approve_once(machine: Enforcement) -> None:
    _under_review(machine, GITHUB)
    machine.decide(0, "reviewer-1", Outcome.APPROVE, "told")


def _nobody_is_barred(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(domain_review, "_not_barred", _nothing)


def _approve_ones_own(machine: Enforcement) -> None:
    _under_review(machine, opened_by="reviewer-1")
    machine.decide(0, "reviewer-1", Outcome.APPROVE, "told")


def _signatures_are_not_verified(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(review, "verify", _nothing)
    patch.setattr(review, "key_in_force", _async(b""))


def _approve_in_anothers_name(machine: Enforcement) -> None:
    _under_review(machine)
    machine.decide(0, "reviewer-1", Outcome.APPROVE, "forged")


def _what_is_on_file_is_believed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(gate, "_borne_out", _async(None))


def _approve_under_two_names(machine: Enforcement) -> None:
    _under_review(machine, GOB)
    machine.decide(0, "reviewer-1", Outcome.APPROVE, "told")
    machine.tamper(0, "reviewer-2")
    machine.decide(0, "reviewer-1", Outcome.APPROVE, "told")


def _notices_stay_open(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(NotificationStore, "is_open", _async(True))


def _revoke_while_isps_are_told(machine: Enforcement) -> None:
    _under_review(machine)
    machine.decide(0, "reviewer-1", Outcome.APPROVE, "told")
    machine.notify(0, False, "revoke", False, 0)


def _ends_are_not_looked_at(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(notification, "_is_over", _async(False))


def _tell_after_an_outage(machine: Enforcement) -> None:
    _under_review(machine)
    machine.decide(0, "reviewer-1", Outcome.APPROVE, "told")
    machine.wait(4 * DAY)
    machine.notify(0, False, "", False, 0)


def _the_end_does_not_come(patch: pytest.MonkeyPatch) -> None:
    never = End(at=START + 1000 * DAY, reason=EndReason.EXPIRED)
    patch.setattr(verification, "end_to_come", _async(never))


def _let_it_expire(machine: Enforcement) -> None:
    _in_force(machine)
    machine.wait(4 * DAY)
    machine.everything_catches_up()


def _nobody_is_told_of_the_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(orders, "queue_notices", _nothing)


def _nothing_is_left_to_lift(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(VerificationStore, "release", _async({}))
    patch.setattr(VerificationStore, "untold", _async(set()))


def _revoke_while_an_isp_is_away(machine: Enforcement) -> None:
    _in_force(machine)
    machine.change_mood("isp2", Mood.AWAY)
    machine.decide(0, "reviewer-1", Outcome.REVOKE, "told")
    machine.end(0, "", False, 0)


def _addresses_are_targets(patch: pytest.MonkeyPatch) -> None:
    async def wherever_it_points(session: AsyncSession, order: OrderRow) -> list[str]:
        name = measure_id(order.id, "127.0.1.1", Method.DNS)
        session.add(MeasureRow(id=name, order=order.id, target="127.0.1.1", method=Method.DNS.value))
        await session.flush()
        return [name]

    patch.setattr(gate, "_write_measures", wherever_it_points)


def _one_enacts(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(releases, "still_needed", lambda _: 0)
    patch.setattr(standing_orders, "still_needed", lambda _: 0)


def _release_under_a_draft(machine: Enforcement) -> None:
    _under_review(machine)
    machine.draft("operator-1", 1, False)
    machine.enact(0, "reviewer-2", False)
    machine.release(0, "told")


def _scope_and_caps_are_words(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(releases, "permit", _nothing)


def _release_three(machine: Enforcement) -> None:
    machine.draft("operator-1", 1, True)
    for target in (Y2MATE, FLVTO, YOUT):
        _under_review(machine, target)
        machine.release(0, "told")


def _refusals_leave_a_trace(patch: pytest.MonkeyPatch) -> None:
    real = gate.refuse

    async def careless(session: Any, case: str, decision: str, code: str) -> None:
        row = await gate.load_case(session, case)
        row.due_at = None
        session.add(row)
        await real(session, case, decision, code)

    patch.setattr(gate, "refuse", careless)


def _tell_nonsense(machine: Enforcement) -> None:
    _under_review(machine)
    machine.junk(0, "nonsense")


MUTATIONS = (
    Mutation("a bundle needs no stamps", _without_stamps, _approve_unstamped, "1: order .* not stamped twice"),
    Mutation("the same officer counts twice", _each_approval_counts, _approve_twice, "6: order"),
    Mutation("one officer suffices on hold", _one_suffices, _approve_once, "6: order"),
    Mutation("whoever opened a case approves it", _nobody_is_barred, _approve_ones_own, "4: order"),
    Mutation("signatures are not verified", _signatures_are_not_verified, _approve_in_anothers_name, "nobody signed"),
    Mutation("rows are believed", _what_is_on_file_is_believed, _approve_under_two_names, "6: order"),
    Mutation("a batch goes on when all has changed", _notices_stay_open, _revoke_while_isps_are_told, "2: .*to block"),
    Mutation("a block goes out after the end", _ends_are_not_looked_at, _tell_after_an_outage, "2: .*after its end"),
    Mutation("the end does not come", _the_end_does_not_come, _let_it_expire, "2: .*was not ended"),
    Mutation("nobody is told of the end", _nobody_is_told_of_the_end, _let_it_expire, "2: .*still blocks"),
    Mutation("a case closes too soon", _nothing_is_left_to_lift, _revoke_while_an_isp_is_away, "2: .*not told to rel"),
    Mutation("an address is a target", _addresses_are_targets, _in_force, "5: 127.0.1.1 became a target"),
    Mutation("one officer enacts", _one_enacts, _release_under_a_draft, "1: .*not in force"),
    Mutation("caps are not counted", _scope_and_caps_are_words, _release_three, "more releases than"),
    Mutation("a refusal leaves a trace", _refusals_leave_a_trace, _tell_nonsense, "refused .* and changed"),
)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one.name)
def test_the_machine_notices(machine: type[Enforcement], monkeypatch: pytest.MonkeyPatch, mutation: Mutation) -> None:
    _play(machine, mutation.story)  # with the rule in its place nothing is wrong
    mutation.change(monkeypatch)
    with pytest.raises(AssertionError, match=mutation.noticed):
        _play(machine, mutation.story)


def _play(machine: type[Enforcement], story: Story) -> None:
    played = machine()
    try:
        story(played)
        played.every_rule_holds()
    finally:
        played.teardown()
