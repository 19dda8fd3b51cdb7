"""The deterministic part: what happens next, and when. ``worker.py`` and the replay tests read ``WORKFLOWS``."""

from workflows.anchoring import LedgerAnchoring
from workflows.case import EnforcementCase
from workflows.stamping import EvidenceStamping
from workflows.sweep import VerificationSweep
from workflows.watch import CaseWatch

WORKFLOWS = [CaseWatch, EnforcementCase, EvidenceStamping, LedgerAnchoring, VerificationSweep]
