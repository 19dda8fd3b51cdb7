"""Whether a file is the app that was referred."""

from __future__ import annotations

import pytest

from precinto.domain.apps import Android, AppFacts, Ios, mismatch
from precinto.domain.intake import Target, TargetKind, normalise

SHA256 = "a" * 64
PACKAGE = normalise(TargetKind.MOBILE_APP, "test.pirate.player")
PROGRAM = normalise(TargetKind.DESKTOP_APP, SHA256)


def facts(**more: object) -> AppFacts:
    return AppFacts.model_validate({"size": 1, "sha256": SHA256, "sha1": "b" * 40, "md5": "c" * 32} | more)


@pytest.mark.parametrize(
    ("target", "found"),
    [
        (PACKAGE, facts(android=Android(package="test.pirate.player"))),
        (PACKAGE, facts(ios=Ios(bundle="test.pirate.player"))),
        (PROGRAM, facts()),
    ],
)
def test_the_app_that_was_referred_is_it(target: Target, found: AppFacts) -> None:
    assert mismatch(target, found) is None


@pytest.mark.parametrize(
    ("target", "found", "reason"),
    [
        (
            PACKAGE,
            facts(android=Android(package="test.other")),
            "the file's package or bundle id is test.other; the target's is test.pirate.player",
        ),
        (PACKAGE, facts(), "the file's package or bundle id is not to be read; the target's is test.pirate.player"),
        (PROGRAM, facts(sha256="d" * 64), f"the file's SHA-256 is {'d' * 64}; the target's is {SHA256}"),
        (
            normalise(TargetKind.MOBILE_APP, "Test.Pirate.Player"),
            facts(android=Android(package="test.pirate.player")),
            "the file's package or bundle id is test.pirate.player; the target's is Test.Pirate.Player",
        ),
        (normalise(TargetKind.DOMAIN, "flvto.biz"), facts(), "a target of kind domain is no app"),
    ],
)
def test_another_app_is_told_apart_and_both_are_named(target: Target, found: AppFacts, reason: str) -> None:
    assert mismatch(target, found) == reason
