"""standing orders, and what officers decided on them.

Revision: 0007, follows 0006.
"""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_Text = sqlmodel.sql.sqltypes.AutoString
_Moment = sqlmodel.sql.sqltypes.UTCDateTime

_KEPT = ("number", "content", "drafters", "drafted_at", "until", "enacted_at")
_WORDS = "the terms of a standing order never change once it is enacted, and its end is final"


def upgrade() -> None:
    op.create_table(
        "standing_orders",
        sa.Column("number", _Text(length=20), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("drafters", sa.Text(), nullable=False),
        sa.Column("drafted_at", _Moment(), nullable=False),
        sa.Column("until", _Moment(), nullable=False),
        sa.Column("enacted_at", _Moment(), nullable=True),
        sa.Column("revoked_at", _Moment(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_standing_orders")),
    )
    op.create_table(
        "standing_decisions",
        sa.Column("id", _Text(length=36), nullable=False),
        sa.Column("standing_order", _Text(length=20), nullable=False),
        sa.Column("officer", _Text(length=64), nullable=False),
        sa.Column("role", _Text(length=20), nullable=False),
        sa.Column("outcome", _Text(length=10), nullable=False),
        sa.Column("subject", _Text(length=64), nullable=False),
        sa.Column("grounds", sa.Text(), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.Column("envelope", sa.Text(), nullable=False),
        sa.Column("key", _Text(length=43), nullable=False),
        sa.Column("nonce", _Text(length=43), nullable=False),
        sa.Column("signed_at", _Moment(), nullable=False),
        sa.Column("submitted_at", _Moment(), nullable=False),
        sa.Column("refusal", _Text(length=60), nullable=True),
        sa.ForeignKeyConstraint(
            ["standing_order"],
            ["standing_orders.number"],
            name=op.f("fk_standing_decisions_standing_order_standing_orders"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_standing_decisions")),
        sa.UniqueConstraint("nonce", name=op.f("uq_standing_decisions_nonce")),
    )
    op.create_index(
        op.f("ix_standing_decisions_standing_order"), "standing_decisions", ["standing_order"], unique=False
    )
    if op.get_bind().dialect.name == "postgresql":
        changed = " OR ".join(f"NEW.{name} IS DISTINCT FROM OLD.{name}" for name in _KEPT)
        op.execute(
            "CREATE FUNCTION standing_orders_kept() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN IF TG_OP = 'UPDATE' AND OLD.revoked_at IS NULL AND "
            f"(OLD.enacted_at IS NULL OR NOT ({changed})) THEN RETURN NEW; END IF; RAISE EXCEPTION '{_WORDS}'; END $$"
        )
        op.execute(
            "CREATE TRIGGER standing_orders_kept BEFORE UPDATE OR DELETE ON standing_orders "
            "FOR EACH ROW EXECUTE FUNCTION standing_orders_kept()"
        )
    else:
        changed = " OR ".join(f"NEW.{name} IS NOT OLD.{name}" for name in _KEPT)
        op.execute(
            "CREATE TRIGGER standing_orders_no_update BEFORE UPDATE ON standing_orders "
            f"WHEN OLD.revoked_at IS NOT NULL OR (OLD.enacted_at IS NOT NULL AND ({changed})) "
            f"BEGIN SELECT RAISE(ABORT, '{_WORDS}'); END"
        )
        op.execute(
            "CREATE TRIGGER standing_orders_no_delete BEFORE DELETE ON standing_orders "
            f"BEGIN SELECT RAISE(ABORT, '{_WORDS}'); END"
        )


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER standing_orders_kept ON standing_orders")
        op.execute("DROP FUNCTION standing_orders_kept()")
    op.drop_index(op.f("ix_standing_decisions_standing_order"), table_name="standing_decisions")
    op.drop_table("standing_decisions")
    op.drop_table("standing_orders")
