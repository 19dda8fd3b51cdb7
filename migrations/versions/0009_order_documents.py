"""what each version of an order says, and the documents that were made of it.

Revision: 0009, follows 0008.
"""

from __future__ import annotations

import json

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_Text = sqlmodel.sql.sqltypes.AutoString
_Moment = sqlmodel.sql.sqltypes.UTCDateTime


def upgrade() -> None:
    op.create_table(
        "order_versions",
        sa.Column("order", _Text(length=36), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("kind", _Text(length=12), nullable=False),
        sa.Column("valid_from", _Moment(), nullable=False),
        sa.Column("valid_until", _Moment(), nullable=False),
        sa.Column("end_reason", _Text(length=16), nullable=True),
        sa.Column("decisions", sa.Text(), nullable=False),
        sa.Column("stated_at", _Moment(), nullable=False),
        sa.Column("undocumented_at", _Moment(), nullable=True),
        sa.ForeignKeyConstraint(["order"], ["orders.id"], name=op.f("fk_order_versions_order_orders")),
        sa.PrimaryKeyConstraint("order", "version", name=op.f("pk_order_versions")),
    )
    op.create_table(
        "order_documents",
        sa.Column("order", _Text(length=36), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("language", _Text(length=2), nullable=False),
        sa.Column("content", _Text(length=64), nullable=False),
        sa.Column("jws", _Text(length=64), nullable=False),
        sa.Column("pdf", _Text(length=64), nullable=False),
        sa.Column("made_at", _Moment(), nullable=False),
        sa.ForeignKeyConstraint(["order"], ["orders.id"], name=op.f("fk_order_documents_order_orders")),
        sa.PrimaryKeyConstraint("order", "version", "language", name=op.f("pk_order_documents")),
    )
    _state_what_there_is()


def downgrade() -> None:
    op.drop_table("order_documents")
    op.drop_table("order_versions")


def _state_what_there_is() -> None:
    """Of an order that is there, its first version and its newest: notices of them may still have to go out."""
    connection = op.get_bind()
    orders = _table(
        "orders", "id", "case", "bundle", "kind", "version", "valid_from", "asked_at", "valid_until", "stayed_at",
        "ended_at", "end_reason",
    )  # fmt: skip
    decisions = _table("decisions", "id", "case", "bundle", "outcome", "state")
    versions = _table(
        "order_versions", "order", "version", "kind", "valid_from", "valid_until", "end_reason", "decisions",
        "stated_at",
    )  # fmt: skip
    for row in connection.execute(sa.select(orders)).mappings().all():
        approving = sa.select(decisions.c.id).where(
            decisions.c.case == row["case"],
            decisions.c.bundle == row["bundle"],
            decisions.c.outcome.in_(("approve", "release")),
            decisions.c.state == "admitted",
        )
        stated = {"order": row["id"], "valid_until": row["valid_until"], "end_reason": None}
        first = stated | {
            "version": 1,
            "kind": row["kind"],
            "valid_from": row["valid_from"],
            "decisions": json.dumps(sorted(connection.execute(approving).scalars())),
            "stated_at": row["valid_from"],
        }
        connection.execute(sa.insert(versions).values(first))
        if row["version"] > 1:
            ended, stayed = row["ended_at"] is not None, row["stayed_at"] is not None
            newest = stated | {
                "version": row["version"],
                "kind": "end" if ended else "stay" if stayed else "resumption",
                "valid_from": row["asked_at"],
                "end_reason": row["end_reason"],
                "decisions": "[]",
                "stated_at": row["asked_at"],
            }
            connection.execute(sa.insert(versions).values(newest))


def _table(name: str, *columns: str) -> sa.TableClause:
    return sa.table(name, *map(sa.column, columns))
