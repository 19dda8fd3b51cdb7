"""Verdicts and standings: every rule, and what no measurement whatever can make them say."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precinto.domain.verification import RULES, Answer, Facts, Ruling, Standing, Verdict, judge, standing

HOST, BELOW = "y2mate.com", "www.y2mate.com"
SITE, CDN, SINKHOLE = "192.0.2.1", "198.51.100.7", "203.0.113.9"
SINKHOLES = frozenset({SINKHOLE})
QUESTIONS = tuple(product((HOST, BELOW), (False, True)))


def answers(rcode: str = "NOERROR", *addresses: str, **more: object) -> tuple[Answer, ...]:
    """The same answer to the host and to a name below it, with DO and without."""
    fields = {"rcode": rcode, "addresses": addresses, **more}
    return tuple(Answer.model_validate({"name": n, "dnssec_ok": do, **fields}) for n, do in QUESTIONS)


OPEN, NXDOMAIN, REFUSED, NODATA = answers("NOERROR", SITE), answers("NXDOMAIN"), answers("REFUSED"), answers()
SERVFAIL, SILENT, AWAY = answers("SERVFAIL"), answers("TIMEOUT"), answers("UNREACHABLE")


def facts(probe: tuple[Answer, ...], control: tuple[Answer, ...] = OPEN, *, canary: bool = True) -> Facts:
    """One round: what the ISP answered, and what the control did."""
    return Facts(target=HOST, probe=probe, control=control, canary=canary)


def verdict(probe: tuple[Answer, ...], control: tuple[Answer, ...] = OPEN) -> Verdict:
    """The verdict of a round from a vantage that works."""
    return judge(facts(probe, control), SINKHOLES)


class TestBlocked:
    """Every way in which an ISP blocks by DNS."""

    @pytest.mark.parametrize(
        ("probe", "mechanism"),
        [
            (NXDOMAIN, "dns_nxdomain"),
            (REFUSED, "dns_refused"),
            (NODATA, "dns_nodata"),
            (answers("NOERROR", SINKHOLE), "dns_sinkhole"),
            (answers("NOERROR", CDN, SINKHOLE), "dns_sinkhole"),
            (answers("NOERROR", "10.0.0.1", policy_zone="rpz.example."), "dns_sinkhole"),
            (answers("NOERROR", extended=(15,)), "dns_nodata"),
            (answers("SERVFAIL", extended=(16,)), "dns_servfail"),
        ],
    )
    def test_by_each_mechanism(self, probe: tuple[Answer, ...], mechanism: str) -> None:
        assert verdict(probe) == Verdict(
            ruling=Ruling.BLOCKED, rule="all-blocked", mechanisms=(mechanism,), rules=RULES
        )

    def test_by_several_at_once(self) -> None:
        assert verdict((*NXDOMAIN[:2], *REFUSED[2:])).mechanisms == ("dns_nxdomain", "dns_refused")

    @pytest.mark.parametrize("code", [15, 16, 17, 18])
    def test_a_resolver_that_says_so_is_believed_where_the_site_is_down(self, code: int) -> None:
        found = verdict(answers("NXDOMAIN", extended=(code,)), NXDOMAIN)
        assert (found.ruling, found.rule, found.mechanisms) == (Ruling.BLOCKED, "policy-sign", ("dns_nxdomain",))

    def test_a_sign_without_an_effect_is_a_word_only(self) -> None:
        """An ISP that adds "blocked" to the very addresses of the site has blocked nobody."""
        signed = answers("NOERROR", SITE, extended=(15,), policy_zone="rpz.example.")
        assert verdict(signed).ruling is Ruling.NOT_BLOCKED


class TestPartly:
    """Some questions got through."""

    def test_one_of_several_resolvers_is_open(self) -> None:
        found = verdict((*NXDOMAIN, *OPEN))
        assert (found.ruling, found.rule) == (Ruling.PARTIAL, "some-open")

    def test_the_holes_are_named(self) -> None:
        probe = tuple(a if a.dnssec_ok else b for a, b in zip(OPEN, NXDOMAIN, strict=True))
        assert verdict(probe).holes == (f"{BELOW} with DO", f"{HOST} with DO")

    def test_the_host_is_blocked_and_the_name_below_it_is_not(self) -> None:
        found = verdict((*NXDOMAIN[:2], *OPEN[2:]))
        assert (found.ruling, found.holes) == (Ruling.PARTIAL, (BELOW, f"{BELOW} with DO"))

    def test_also_where_others_are_silent(self) -> None:
        assert verdict((NXDOMAIN[0], OPEN[1], SILENT[2], SERVFAIL[3])).ruling is Ruling.PARTIAL


class TestNotBlocked:
    """Only the control's own addresses prove that a name is open."""

    def test_the_same_addresses_as_the_control(self) -> None:
        found = verdict(OPEN)
        assert (found.ruling, found.rule) == (Ruling.NOT_BLOCKED, "same-addresses-as-control")

    def test_one_address_in_common_suffices(self) -> None:
        assert verdict(answers("NOERROR", SITE, CDN), answers("NOERROR", SITE, "192.0.2.2")).ruling is (
            Ruling.NOT_BLOCKED
        )

    def test_other_addresses_prove_nothing(self) -> None:
        """A content network answers differently everywhere, and a sinkhole that is not listed does too."""
        assert verdict(answers("NOERROR", CDN)).ruling is Ruling.INCONCLUSIVE

    def test_a_name_below_that_does_not_exist_anywhere_is_no_block(self) -> None:
        control = (*OPEN[:2], *NXDOMAIN[2:])
        assert verdict(control, control).ruling is Ruling.NOT_BLOCKED


class TestNothingIsProved:
    """Rounds that say nothing about a block."""

    @pytest.mark.parametrize("probe", [OPEN, NXDOMAIN, SILENT, (), answers("NOERROR", SINKHOLE)])
    def test_a_vantage_that_answers_for_nothing(self, probe: tuple[Answer, ...]) -> None:
        found = judge(facts(probe, canary=False), SINKHOLES)
        assert (found.ruling, found.rule) == (Ruling.VANTAGE_FAULT, "no-canary")

    @pytest.mark.parametrize("control", [(), SILENT, AWAY, SERVFAIL, (*SILENT[:2], *SERVFAIL[2:])])
    @pytest.mark.parametrize("probe", [OPEN, NXDOMAIN])
    def test_a_control_that_does_not_answer(self, probe: tuple[Answer, ...], control: tuple[Answer, ...]) -> None:
        found = verdict(probe, control)
        assert (found.ruling, found.rule) == (Ruling.INCONCLUSIVE, "no-control")

    @pytest.mark.parametrize("control", [NXDOMAIN, NODATA, REFUSED])
    @pytest.mark.parametrize("probe", [NXDOMAIN, NODATA, SILENT, ()])
    def test_a_site_that_is_down_everywhere(self, probe: tuple[Answer, ...], control: tuple[Answer, ...]) -> None:
        found = verdict(probe, control)
        assert (found.ruling, found.rule) == (Ruling.SITE_DOWN, "control-down")

    @pytest.mark.parametrize("probe", [SERVFAIL, SILENT, AWAY, (), answers("FORMERR"), answers("NOTIMP")])
    def test_faults_and_silence_are_never_a_block(self, probe: tuple[Answer, ...]) -> None:
        assert verdict(probe).ruling is Ruling.INCONCLUSIVE

    @pytest.mark.parametrize("unclear", [SERVFAIL, SILENT, AWAY, answers("NOERROR", CDN)])
    @pytest.mark.parametrize("clear", [NXDOMAIN, OPEN])
    def test_nor_do_they_let_a_part_stand_for_the_whole(
        self, clear: tuple[Answer, ...], unclear: tuple[Answer, ...]
    ) -> None:
        found = verdict((*clear[:3], unclear[3]))
        assert (found.ruling, found.rule) == (Ruling.INCONCLUSIVE, "unclear-answers")

    def test_a_question_that_the_control_was_not_asked_is_unclear(self) -> None:
        assert verdict(OPEN, OPEN[:1]).ruling is Ruling.INCONCLUSIVE


ANSWERS = st.builds(
    Answer,
    name=st.sampled_from([HOST, BELOW]),
    dnssec_ok=st.booleans(),
    rcode=st.sampled_from(["NOERROR", "NXDOMAIN", "REFUSED", "SERVFAIL", "TIMEOUT", "UNREACHABLE"]),
    addresses=st.lists(st.sampled_from([SITE, CDN, SINKHOLE]), unique=True, max_size=2).map(tuple),
    extended=st.sampled_from([(), (), (9,), (15,), (18,)]),
    policy_zone=st.sampled_from([None, None, "rpz.example."]),
)


@st.composite
def rounds(draw: st.DrawFn) -> Facts:
    """A round: one control answer a question, and probes that often see what the control saw."""
    control = draw(st.lists(ANSWERS, max_size=4, unique_by=lambda a: (a.name, a.dnssec_ok)))
    likely = st.sampled_from(control) | ANSWERS if control else ANSWERS
    probe = [*(control if draw(st.booleans()) else []), *draw(st.lists(likely, max_size=3))]
    return Facts(target=HOST, probe=tuple(probe), control=tuple(control), canary=draw(st.integers(0, 9)) > 0)


def proven_open(answer: Answer, control: tuple[Answer, ...]) -> bool:
    """Whether the control gave one of the answer's addresses to the same question."""
    return any(
        (other.name, other.dnssec_ok) == (answer.name, answer.dnssec_ok)
        and bool(set(other.addresses) & set(answer.addresses))
        for other in control
    )


class TestAnyRound:
    """What holds whatever was measured."""

    @given(one=rounds())
    def test_not_blocked_is_never_said_without_its_proof(self, one: Facts) -> None:
        if judge(one, SINKHOLES).ruling is Ruling.NOT_BLOCKED:
            assert one.canary
            assert any(proven_open(answer, one.control) for answer in one.probe)
            assert not any(set(answer.addresses) & SINKHOLES for answer in one.probe)

    @given(one=rounds())
    def test_a_block_is_never_seen_in_silence(self, one: Facts) -> None:
        quiet = [
            a.model_copy(update={"rcode": rcode, "addresses": (), "extended": (), "policy_zone": None})
            for a, rcode in zip(one.probe, ["SERVFAIL", "TIMEOUT", "UNREACHABLE"] * 2, strict=False)
        ]
        found = judge(one.model_copy(update={"probe": tuple(quiet)}), SINKHOLES)
        assert found.ruling not in {Ruling.BLOCKED, Ruling.PARTIAL, Ruling.NOT_BLOCKED}

    @given(one=rounds())
    def test_what_is_open_somewhere_is_never_blocked(self, one: Facts) -> None:
        if any(proven_open(a, one.control) and not set(a.addresses) & SINKHOLES for a in one.probe):
            assert judge(one, SINKHOLES).ruling is not Ruling.BLOCKED

    @given(one=rounds())
    def test_the_order_of_the_answers_makes_no_difference(self, one: Facts) -> None:
        backwards = one.model_copy(update={"probe": one.probe[::-1]})
        assert judge(backwards, SINKHOLES) == judge(one, SINKHOLES)

    @given(one=rounds())
    def test_a_verdict_can_be_recomputed_from_what_is_stored(self, one: Facts) -> None:
        assert judge(Facts.model_validate_json(one.model_dump_json()), SINKHOLES) == judge(one, SINKHOLES)

    @given(one=rounds())
    def test_holes_are_what_partial_means(self, one: Facts) -> None:
        found = judge(one, SINKHOLES)
        assert bool(found.holes) == (found.ruling is Ruling.PARTIAL)


PROVES_NOTHING = (Ruling.SITE_DOWN, Ruling.VANTAGE_FAULT, Ruling.INCONCLUSIVE)


class TestStanding:
    """What a round makes of the standing, while the block is asked for, and once it is lifted: ended, or stayed."""

    @pytest.mark.parametrize("before", Standing)
    @pytest.mark.parametrize(
        ("ruling", "overdue", "after"),
        [
            (Ruling.BLOCKED, False, Standing.COMPLIANT),
            (Ruling.BLOCKED, True, Standing.COMPLIANT),
            (Ruling.NOT_BLOCKED, False, Standing.PENDING),
            (Ruling.NOT_BLOCKED, True, Standing.LAPSED),
            (Ruling.PARTIAL, False, Standing.PENDING),
            (Ruling.PARTIAL, True, Standing.LAPSED),
        ],
    )
    def test_in_force(self, ruling: Ruling, overdue: bool, after: Standing, before: Standing) -> None:
        assert standing(ruling, lifted=False, overdue=overdue, before=before) is after

    @pytest.mark.parametrize("before", Standing)
    @pytest.mark.parametrize(
        ("ruling", "overdue", "after"),
        [
            (Ruling.NOT_BLOCKED, False, Standing.RELEASED),
            (Ruling.NOT_BLOCKED, True, Standing.RELEASED),
            (Ruling.BLOCKED, False, Standing.PENDING),
            (Ruling.BLOCKED, True, Standing.OVERSTAYING),
            (Ruling.PARTIAL, False, Standing.PENDING),
            (Ruling.PARTIAL, True, Standing.OVERSTAYING),
        ],
    )
    def test_lifted(self, ruling: Ruling, overdue: bool, after: Standing, before: Standing) -> None:
        assert standing(ruling, lifted=True, overdue=overdue, before=before) is after

    @pytest.mark.parametrize("before", Standing)
    @pytest.mark.parametrize("overdue", [False, True])
    @pytest.mark.parametrize("ruling", PROVES_NOTHING)
    def test_a_round_that_proves_nothing_leaves_it(self, ruling: Ruling, overdue: bool, before: Standing) -> None:
        assert standing(ruling, lifted=False, overdue=overdue, before=before) is before

    @pytest.mark.parametrize("overdue", [False, True])
    @pytest.mark.parametrize("ruling", PROVES_NOTHING)
    @pytest.mark.parametrize(
        ("before", "after"),
        [
            (Standing.COMPLIANT, Standing.PENDING),  # what held in force says nothing of the release
            (Standing.LAPSED, Standing.PENDING),
            (Standing.PENDING, Standing.PENDING),
            (Standing.OVERSTAYING, Standing.OVERSTAYING),
            (Standing.RELEASED, Standing.RELEASED),
        ],
    )
    def test_but_once_it_is_lifted_the_time_in_force_does_not_count(
        self, ruling: Ruling, overdue: bool, before: Standing, after: Standing
    ) -> None:
        assert standing(ruling, lifted=True, overdue=overdue, before=before) is after

    def test_only_a_measurement_releases(self) -> None:
        """Over every input: released comes of a name measured open, or was there before."""
        for ruling, lifted, overdue, before in product(Ruling, (False, True), (False, True), Standing):
            if standing(ruling, lifted=lifted, overdue=overdue, before=before) is Standing.RELEASED:
                assert (lifted and ruling is Ruling.NOT_BLOCKED) or before is Standing.RELEASED
