"""The facts: SQLModel tables and repositories, one module per stage, on SQLite or PostgreSQL.

Every change and its row in the ledger are one transaction. :class:`Store` opens them all on one database.
"""

from __future__ import annotations

from precinto.store.anchors import AnchorStore
from precinto.store.database import Database
from precinto.store.documents import DocumentStore
from precinto.store.escalations import EscalationStore
from precinto.store.evidence import EvidenceStore
from precinto.store.gate import GateStore
from precinto.store.intake import IntakeStore
from precinto.store.notification import NotificationStore
from precinto.store.officer_keys import OfficerKeyStore
from precinto.store.review import ReviewStore
from precinto.store.standing_orders import StandingOrderStore
from precinto.store.subjects import Subjects
from precinto.store.vault import Vault
from precinto.store.verification import VerificationStore
from precinto.store.watch import WatchStore

__all__ = ["Database", "Store", "Subjects", "Vault"]


class Store:
    """The repositories of one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.intake = IntakeStore(database)
        self.evidence = EvidenceStore(database)
        self.review = ReviewStore(database)
        self.gate = GateStore(database)
        self.documents = DocumentStore(database)
        self.notification = NotificationStore(database)
        self.verification = VerificationStore(database)
        self.standing_orders = StandingOrderStore(database)
        self.officer_keys = OfficerKeyStore(database)
        self.anchors = AnchorStore(database)
        self.watch = WatchStore(database)
        self.escalations = EscalationStore(database)
