"""An order's content for tests: one that says everything, to be changed where a test needs it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from precinto.domain.intake import Service
from precinto.domain.notification import Method, measure_id
from precinto.domain.order_document import (
    AuthorityCard,
    CaseFacts,
    DecisionTaken,
    DocumentKind,
    GroundText,
    OrderedTarget,
    Paper,
)
from precinto.domain.orders import EndReason
from precinto.domain.procedures import Bilingual
from precinto.domain.review import Outcome, Role

MOMENT = datetime.now(UTC).replace(microsecond=0)
"""Now, for a signing key that was issued today must have been valid then."""

CARD = AuthorityCard(
    id="autoridad",
    name=Bilingual(es="Comisión de Derecho de Autor", en="Copyright Commission"),
    address="Calle del Ensayo 1, Lima",
    contact="cumplimiento@autoridad.test",
    objections_at="https://autoridad.test/objeciones",
    country="PE",
)


def paper(targets: Sequence[str] = ("flvto.biz",), **changes: Any) -> Paper:
    """The content of an order for these targets."""
    content = {
        "number": "2026-000001",
        "version": 1,
        "kind": "order",
        "authority": CARD,
        "procedure": "peru-precautionary",
        "basis": "PE-DLeg-822-art-177",
        "basis_text": Bilingual(es="Decreto Legislativo 822, artículo 177", en="Legislative Decree 822, Article 177"),
        "grounds": (
            GroundText(code="PE-822-37", es="Sin autorización.", en="Without authorisation.", source="D.Leg. 822, 37"),
        ),
        "facts": CaseFacts(
            case="flvto-biz-1",
            service=Service.STREAM_RIPPER,
            bundle="4f" * 32,
            sealed_at=MOMENT - timedelta(days=2),
            stamped_at=(MOMENT - timedelta(days=2), MOMENT - timedelta(days=1)),
            files=31,
            holds=1,
            notes=4,
        ),
        "targets": tuple(
            OrderedTarget(target=one, method=Method.DNS.value, measure=measure_id("order", one, Method.DNS))
            for one in targets
        ),
        "territory": "PE",
        "valid_from": MOMENT + timedelta(hours=1),
        "valid_until": MOMENT + timedelta(days=30),
        "redress": Bilingual(es="Cabe apelación.\nNo suspende la orden.", en="An appeal lies.\nIt suspends nothing."),
        "decisions": (
            DecisionTaken(
                officer="reviewer-1",
                role=Role.REVIEWER,
                outcome=Outcome.APPROVE,
                at=MOMENT - timedelta(hours=1),
                statement="1f6a1c3e-7f0e-5d5c-9b7e-2f3a4b5c6d7e",
                kid="kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
            ),
        ),
        "issued_at": MOMENT,
    }
    if changes.get("kind") == DocumentKind.END:
        content["end_reason"] = EndReason.REVOKED
    return Paper.model_validate(content | changes)
