"""the ledger's chain per case, its anchors, and the subjects of personal data.

Revision: 0004, follows 0003.
"""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_Text = sqlmodel.sql.sqltypes.AutoString
_Moment = sqlmodel.sql.sqltypes.UTCDateTime


def upgrade() -> None:
    # Rows that are there keep their hash: they are of version 1. The table is not made anew, or it lost its triggers.
    op.add_column("ledger", sa.Column("v", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("ledger", sa.Column("case_seq", sa.Integer(), nullable=True))
    op.add_column("ledger", sa.Column("case_prev", _Text(length=64), nullable=True))
    op.drop_index("ix_ledger_case", table_name="ledger")
    op.create_index("ix_ledger_case_seq", "ledger", ["case", "seq"])
    op.create_table(
        "anchors",
        sa.Column("anchor", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("v", sa.Integer(), nullable=False),
        sa.Column("at", _Moment(), nullable=False),
        sa.Column("first", sa.Integer(), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.Column("head", _Text(length=64), nullable=False),
        sa.Column("root", _Text(length=64), nullable=False),
        sa.Column("prev", _Text(length=64), nullable=False),
        sa.PrimaryKeyConstraint("anchor", name=op.f("pk_anchors")),
    )
    op.create_table(
        "anchor_stamps",
        sa.Column("anchor", sa.Integer(), nullable=False),
        sa.Column("authority", _Text(length=64), nullable=False),
        sa.Column("token", _Text(length=64), nullable=False),
        sa.Column("at", _Moment(), nullable=False),
        sa.ForeignKeyConstraint(["anchor"], ["anchors.anchor"], name=op.f("fk_anchor_stamps_anchor_anchors")),
        sa.PrimaryKeyConstraint("anchor", "authority", name=op.f("pk_anchor_stamps")),
    )
    op.create_table(
        "subjects",
        sa.Column("id", _Text(length=40), nullable=False),
        sa.Column("key", _Text(length=200), nullable=True),
        sa.Column("created_at", _Moment(), nullable=False),
        sa.Column("erased_at", _Moment(), nullable=True),
        sa.Column("erased_by", _Text(length=64), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subjects")),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION anchors_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'anchors are append-only'; END $$"
        )
        for table in ("anchors", "anchor_stamps"):
            op.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION anchors_append_only()"
            )
        return
    for table in ("anchors", "anchor_stamps"):
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                "BEGIN SELECT RAISE(ABORT, 'anchors are append-only'); END"
            )
    # INSERT OR REPLACE deletes without firing a delete trigger, unless the connection asks for that: ours do, but not
    # everybody's who has the file.
    op.execute(
        "CREATE TRIGGER ledger_no_replace BEFORE INSERT ON ledger "
        "WHEN EXISTS (SELECT 1 FROM ledger WHERE seq = NEW.seq OR hash = NEW.hash) "
        "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
    )
    op.execute(
        "CREATE TRIGGER anchors_no_replace BEFORE INSERT ON anchors "
        "WHEN EXISTS (SELECT 1 FROM anchors WHERE anchor = NEW.anchor) "
        "BEGIN SELECT RAISE(ABORT, 'anchors are append-only'); END"
    )
    op.execute(
        "CREATE TRIGGER anchor_stamps_no_replace BEFORE INSERT ON anchor_stamps "
        "WHEN EXISTS (SELECT 1 FROM anchor_stamps WHERE anchor = NEW.anchor AND authority = NEW.authority) "
        "BEGIN SELECT RAISE(ABORT, 'anchors are append-only'); END"
    )


def downgrade() -> None:
    if op.get_bind().execute(sa.text("SELECT 1 FROM ledger WHERE v > 1 LIMIT 1")).first():
        raise RuntimeError("the ledger has rows whose hash covers what this step would take away: go back to a backup")
    postgresql = op.get_bind().dialect.name == "postgresql"
    if not postgresql:
        op.execute("DROP TRIGGER ledger_no_replace")
    op.drop_table("subjects")
    op.drop_table("anchor_stamps")
    op.drop_table("anchors")
    if postgresql:
        op.execute("DROP FUNCTION anchors_append_only()")
    op.drop_index("ix_ledger_case_seq", table_name="ledger")
    op.create_index("ix_ledger_case", "ledger", ["case"])
    for name in ("case_prev", "case_seq", "v"):
        op.drop_column("ledger", name)
