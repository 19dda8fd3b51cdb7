"""signed decisions, orders with versions, stays, renewals and lapses; the whole procedure with each case.

Revision: 0005, follows 0004.
"""

from __future__ import annotations

import json
from datetime import timedelta

import sqlalchemy as sa
import sqlmodel
from alembic import op
from pydantic import TypeAdapter

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_Text = sqlmodel.sql.sqltypes.AutoString
_Moment = sqlmodel.sql.sqltypes.UTCDateTime


def upgrade() -> None:
    with op.batch_alter_table("cases") as cases:
        cases.add_column(sa.Column("round", sa.Integer(), nullable=False, server_default="1"))
    op.execute('UPDATE cases SET round = COALESCE((SELECT MAX(a.round) FROM attempts a WHERE a."case" = cases.id), 1)')
    _keep_whole_procedures()
    with op.batch_alter_table("decisions") as decisions:
        # What was decided before is kept as it was; unsigned, it carries no order any more.
        decisions.alter_column("basis", new_column_name="grounds", type_=sa.Text(), existing_type=sa.String(100))
        decisions.add_column(sa.Column("about", _Text(length=64), nullable=True))
        decisions.add_column(sa.Column("envelope", sa.Text(), nullable=True))
        decisions.add_column(sa.Column("key", _Text(length=43), nullable=True))
        decisions.add_column(sa.Column("nonce", _Text(length=43), nullable=True))
        decisions.add_column(sa.Column("signed_at", _Moment(), nullable=True))
        decisions.add_column(sa.Column("round", sa.Integer(), nullable=False, server_default="1"))
        decisions.create_unique_constraint(op.f("uq_decisions_nonce"), ["nonce"])
    op.execute("""UPDATE decisions SET grounds = '["' || grounds || '"]'""")
    with op.batch_alter_table("orders") as orders:
        orders.add_column(sa.Column("kind", _Text(length=10), nullable=False, server_default="order"))
        orders.add_column(sa.Column("standing_order", _Text(length=40), nullable=True))
        orders.add_column(sa.Column("renewals", sa.Integer(), nullable=False, server_default="0"))
        orders.add_column(sa.Column("lapses_at", _Moment(), nullable=True))
        orders.add_column(sa.Column("stayed_at", _Moment(), nullable=True))
        orders.add_column(sa.Column("end_reason", _Text(length=16), nullable=True))
        orders.add_column(sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
        orders.add_column(sa.Column("asked_version", sa.Integer(), nullable=False, server_default="1"))
        orders.add_column(sa.Column("asked_at", _Moment(), nullable=True))
        orders.create_index(op.f("ix_orders_standing_order"), ["standing_order"])
    revoked = sa.true().compile(dialect=op.get_bind().dialect)
    op.execute(
        f"UPDATE orders SET asked_at = COALESCE(ended_at, valid_from), "  # noqa: S608 - a constant
        f"version = CASE WHEN ended_at IS NULL THEN 1 ELSE 2 END, "
        f"asked_version = CASE WHEN ended_at IS NULL THEN 1 ELSE 2 END, "
        f"end_reason = CASE WHEN revoked = {revoked} THEN 'revoked' WHEN ended_at IS NULL THEN NULL ELSE 'expired' END"
    )
    with op.batch_alter_table("orders") as orders:
        orders.alter_column("asked_at", existing_type=_Moment(), nullable=False)
        orders.drop_column("revoked")
    with op.batch_alter_table("notices") as notices:
        notices.add_column(sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
    op.execute("UPDATE notices SET version = 2 WHERE action = 'release'")
    with op.batch_alter_table("standings") as standings:
        standings.add_column(sa.Column("overstay_seconds", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    with op.batch_alter_table("standings") as standings:
        standings.drop_column("overstay_seconds")
    with op.batch_alter_table("notices") as notices:
        notices.drop_column("version")
    with op.batch_alter_table("orders") as orders:
        orders.add_column(sa.Column("revoked", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute(sa.text("UPDATE orders SET revoked = :yes WHERE end_reason = 'revoked'").bindparams(yes=True))
    with op.batch_alter_table("orders") as orders:
        orders.drop_index(op.f("ix_orders_standing_order"))
        for name in (
            "asked_at", "asked_version", "version", "end_reason", "stayed_at", "lapses_at", "renewals",
            "standing_order", "kind",
        ):  # fmt: skip
            orders.drop_column(name)
    op.execute("UPDATE decisions SET grounds = SUBSTR(grounds, 3, LENGTH(grounds) - 4)")
    with op.batch_alter_table("decisions") as decisions:
        decisions.drop_constraint(op.f("uq_decisions_nonce"), type_="unique")
        for name in ("round", "signed_at", "nonce", "key", "envelope", "about"):
            decisions.drop_column(name)
        decisions.alter_column("grounds", new_column_name="basis", type_=sa.String(100), existing_type=sa.Text())
    with op.batch_alter_table("cases") as cases:
        cases.drop_column("round")


def _keep_whole_procedures() -> None:
    """A case kept durations only; it now keeps a procedure: the same durations, and nothing that was not said."""
    connection, durations = op.get_bind(), TypeAdapter(timedelta)
    cases = sa.table("cases", sa.column("id"), sa.column("terms"))
    for case, text in connection.execute(sa.select(cases.c.id, cases.c.terms)).all():
        terms = json.loads(text)
        seconds = {
            name: max(1, round(durations.validate_python(terms[name]).total_seconds()))
            for name in ("review", "order", "comply", "remind", "release", "recheck")
        }
        connection.execute(
            sa.update(cases).where(cases.c.id == case).values(terms=json.dumps(_snapshot(terms, seconds)))
        )


def _snapshot(terms: dict[str, str], seconds: dict[str, int]) -> dict[str, object]:
    kept = "kept from release 0.1"
    unsaid = {"es": "No consta.", "en": "Not on file."}
    spans = {name: {"seconds": length, "source": kept, "verify": True} for name, length in seconds.items()}
    spans["comply"]["seconds"] = min(seconds["comply"], max(1, seconds["order"] - 1))
    ground = {"outcomes": ["approve", "reject", "return", "revoke", "stay", "resume"], **unsaid, "source": kept}
    procedure = {
        "v": 1, "name": terms["procedure"], "title": unsaid, "kind": "precautionary", "country": "PE",
        "time_zone": "America/Lima", "basis": terms["basis"], "basis_text": unsaid, "source": kept,
        "hearing": {"when": "none"}, **spans,
        "objection_decision": {"hours": 120, "source": kept, "verify": True},
        "stay": {"hours": 24, "source": kept, "verify": True},
        "appeal": {"hours": 360, "source": kept, "verify": True}, "appeal_suspends": False,
        "deciders": ["reviewer", "legal_head"], "revokers": ["reviewer", "legal_head", "duty_officer"],
        "grounds": [{"code": terms["basis"], **ground}], "documents": ["es", "en"], "redress": unsaid,
    }  # fmt: skip
    return {"procedure": procedure, "holidays": [], "holidays_source": kept}
