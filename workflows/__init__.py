"""The deterministic part: what happens next, and when. ``worker.py`` and the replay tests read ``WORKFLOWS``."""

from workflows.anchoring import LedgerAnchoring
from workflows.case import EnforcementCase
from workflows.stamping import EvidenceStamping
from workflows.sweep import VerificationSweep

WORKFLOWS = [EnforcementCase, EvidenceStamping, LedgerAnchoring, VerificationSweep]
