"""All input and output of the cases: one file, one stage, one class that gets its ports injected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from activities.evidence import EvidenceActivities
from activities.intake import IntakeActivities
from activities.ledger import LedgerActivities
from activities.notification import NotificationActivities
from activities.review import ReviewActivities
from activities.verification import VerificationActivities
from activities.watch import WatchActivities
from precinto import stubs
from precinto.ports import Ports

Activity = Callable[..., Any]


def build(ports: Ports) -> dict[str, list[Activity]]:
    """The activities of each queue; those of a vantage's queue are under ``probe``."""
    intake, evidence, review = IntakeActivities(ports), EvidenceActivities(ports), ReviewActivities(ports)
    notification, verification = NotificationActivities(ports), VerificationActivities(ports)
    ledger, watch = LedgerActivities(ports), WatchActivities(ports)
    return {
        stubs.CASES: [intake.resume, review.admit, review.escalate, ledger.anchor],
        stubs.CAPTURE: [evidence.capture, evidence.stamp],
        stubs.NOTICES: [notification.notify, verification.end, watch.round],
        "probe": [verification.sweep],
    }
