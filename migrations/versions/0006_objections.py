"""objections, stays, hearings, and the main proceeding of an order.

Revision: 0006, follows 0005.
"""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_Text = sqlmodel.sql.sqltypes.AutoString
_Moment = sqlmodel.sql.sqltypes.UTCDateTime


def upgrade() -> None:
    op.create_table(
        "objections",
        sa.Column("id", _Text(length=16), nullable=False),
        sa.Column("case", _Text(length=40), nullable=False),
        sa.Column("order", _Text(length=36), nullable=False),
        sa.Column("instance", _Text(length=10), nullable=False),
        sa.Column("capacity", _Text(length=12), nullable=False),
        sa.Column("collateral", sa.Boolean(), nullable=False),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("suspends", sa.Boolean(), nullable=False),
        sa.Column("subject", _Text(length=40), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("contact", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("filed_by", _Text(length=64), nullable=False),
        sa.Column("filed_at", _Moment(), nullable=False),
        sa.Column("due_at", _Moment(), nullable=False),
        sa.Column("stay_due_at", _Moment(), nullable=True),
        sa.Column("state", _Text(length=10), nullable=False),
        sa.Column("closed_at", _Moment(), nullable=True),
        sa.Column("decision", _Text(length=36), nullable=True),
        sa.ForeignKeyConstraint(["case"], ["cases.id"], name=op.f("fk_objections_case_cases")),
        sa.ForeignKeyConstraint(["order"], ["orders.id"], name=op.f("fk_objections_order_orders")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_objections")),
    )
    op.create_index(op.f("ix_objections_case"), "objections", ["case"], unique=False)
    op.create_index(op.f("ix_objections_order"), "objections", ["order"], unique=False)
    op.create_index(op.f("ix_objections_state"), "objections", ["state"], unique=False)
    op.create_table(
        "stays",
        sa.Column("order", _Text(length=36), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("since", _Moment(), nullable=False),
        sa.Column("until", _Moment(), nullable=True),
        sa.Column("about", _Text(length=64), nullable=True),
        sa.Column("decision", _Text(length=36), nullable=True),
        sa.ForeignKeyConstraint(["order"], ["orders.id"], name=op.f("fk_stays_order_orders")),
        sa.PrimaryKeyConstraint("order", "version", name=op.f("pk_stays")),
    )
    op.create_table(
        "hearings",
        sa.Column("id", _Text(length=36), nullable=False),
        sa.Column("case", _Text(length=40), nullable=False),
        sa.Column("step", _Text(length=10), nullable=False),
        sa.Column("reason", _Text(length=20), nullable=True),
        sa.Column("subject", _Text(length=40), nullable=True),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("officer", _Text(length=64), nullable=False),
        sa.Column("at", _Moment(), nullable=False),
        sa.Column("due_at", _Moment(), nullable=True),
        sa.ForeignKeyConstraint(["case"], ["cases.id"], name=op.f("fk_hearings_case_cases")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hearings")),
    )
    op.create_index(op.f("ix_hearings_case"), "hearings", ["case"], unique=False)
    with op.batch_alter_table("orders") as orders:
        orders.add_column(sa.Column("proceeding", _Text(length=64), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("orders") as orders:
        orders.drop_column("proceeding")
    for table in ("hearings", "stays", "objections"):
        op.drop_table(table)
