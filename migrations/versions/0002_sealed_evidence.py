"""sealed evidence: attempts, signatures, time stamps, the chain of custody.

Revision: 0002, follows 0001.
"""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_Text = sqlmodel.sql.sqltypes.AutoString
_Moment = sqlmodel.sql.sqltypes.UTCDateTime


def upgrade() -> None:
    op.create_table(
        "attempts",
        sa.Column("case", _Text(length=40), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("state", _Text(length=12), nullable=False),
        sa.Column("begun_at", _Moment(), nullable=False),
        sa.Column("ended_at", _Moment(), nullable=True),
        sa.Column("reason", _Text(length=500), nullable=True),
        sa.ForeignKeyConstraint(["case"], ["cases.id"], name=op.f("fk_attempts_case_cases")),
        sa.PrimaryKeyConstraint("case", "attempt", name=op.f("pk_attempts")),
    )
    # Until now each round had one attempt, and left a trace only when it was sealed.
    op.execute(
        'INSERT INTO attempts ("case", attempt, round, state, begun_at, ended_at) '
        "SELECT \"case\", attempt, attempt, 'sealed', sealed_at, sealed_at FROM bundles"
    )
    op.create_table(
        "stamps",
        sa.Column("bundle", _Text(length=64), nullable=False),
        sa.Column("authority", _Text(length=64), nullable=False),
        sa.Column("token", _Text(length=64), nullable=False),
        sa.Column("at", _Moment(), nullable=False),
        sa.PrimaryKeyConstraint("bundle", "authority", name=op.f("pk_stamps")),
    )
    op.create_table(
        "custody",
        sa.Column("case", _Text(length=40), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("at", _Moment(), nullable=False),
        sa.Column("actor", _Text(length=64), nullable=False),
        sa.Column("act", _Text(length=30), nullable=False),
        sa.Column("subject", _Text(length=64), nullable=True),
        sa.Column("detail", _Text(length=500), nullable=False),
        sa.Column("prev", _Text(length=64), nullable=False),
        sa.Column("hash", _Text(length=64), nullable=False),
        sa.ForeignKeyConstraint(["case"], ["cases.id"], name=op.f("fk_custody_case_cases")),
        sa.PrimaryKeyConstraint("case", "seq", name=op.f("pk_custody")),
    )
    with op.batch_alter_table("bundles") as bundles:
        bundles.add_column(sa.Column("signature", _Text(length=64), nullable=True))
        bundles.add_column(sa.Column("stamps", sa.Integer(), nullable=False, server_default="0"))
    with op.batch_alter_table("findings") as findings:
        # Every finding of the first version held its case.
        findings.add_column(sa.Column("weight", _Text(length=10), nullable=False, server_default="hold"))
    with op.batch_alter_table("referrals") as referrals:
        referrals.add_column(sa.Column("page", _Text(length=2000), nullable=True))
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION custody_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the chain of custody is append-only'; END $$"
        )
        op.execute(
            "CREATE TRIGGER custody_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON custody "
            "FOR EACH STATEMENT EXECUTE FUNCTION custody_append_only()"
        )
    else:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER custody_no_{verb.lower()} BEFORE {verb} ON custody "
                "BEGIN SELECT RAISE(ABORT, 'the chain of custody is append-only'); END"
            )


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER custody_append_only ON custody")
        op.execute("DROP FUNCTION custody_append_only()")
    with op.batch_alter_table("referrals") as referrals:
        referrals.drop_column("page")
    with op.batch_alter_table("findings") as findings:
        findings.drop_column("weight")
    with op.batch_alter_table("bundles") as bundles:
        bundles.drop_column("stamps")
        bundles.drop_column("signature")
    op.drop_table("custody")
    op.drop_table("stamps")
    op.drop_table("attempts")
