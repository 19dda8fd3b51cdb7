"""keys of officers: enrolment and revocation.

Revision: 0003, follows 0002.
"""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_Text = sqlmodel.sql.sqltypes.AutoString
_Moment = sqlmodel.sql.sqltypes.UTCDateTime

_KEPT = ("id", "officer", "public", "enrolled_at", "enrolled_by", "proof", "voucher")


def upgrade() -> None:
    op.create_table(
        "officer_keys",
        sa.Column("id", _Text(length=43), nullable=False),
        sa.Column("officer", _Text(length=64), nullable=False),
        sa.Column("public", _Text(length=43), nullable=False),
        sa.Column("enrolled_at", _Moment(), nullable=False),
        sa.Column("enrolled_by", _Text(length=64), nullable=False),
        sa.Column("proof", sa.Text(), nullable=False),
        sa.Column("voucher", sa.Text(), nullable=True),
        sa.Column("revoked_at", _Moment(), nullable=True),
        sa.Column("revoked_by", _Text(length=64), nullable=True),
        sa.Column("revoked_reason", _Text(length=500), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_officer_keys")),
    )
    op.create_index(op.f("ix_officer_keys_officer"), "officer_keys", ["officer"], unique=False)
    # A key is enrolled once and revoked once; nothing else of its row ever changes.
    words = "a key of an officer is never changed but revoked, once"
    if op.get_bind().dialect.name == "postgresql":
        changed = " OR ".join(f"NEW.{name} IS DISTINCT FROM OLD.{name}" for name in _KEPT)
        op.execute(
            "CREATE FUNCTION officer_keys_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN IF TG_OP = 'UPDATE' AND OLD.revoked_at IS NULL AND NOT ({changed}) THEN RETURN NEW; END IF; "
            f"RAISE EXCEPTION '{words}'; END $$"
        )
        op.execute(
            "CREATE TRIGGER officer_keys_append_only BEFORE UPDATE OR DELETE ON officer_keys "
            "FOR EACH ROW EXECUTE FUNCTION officer_keys_append_only()"
        )
        op.execute(
            "CREATE TRIGGER officer_keys_no_truncate BEFORE TRUNCATE ON officer_keys "
            "FOR EACH STATEMENT EXECUTE FUNCTION officer_keys_append_only()"
        )
    else:
        changed = " OR ".join(f"NEW.{name} IS NOT OLD.{name}" for name in _KEPT)
        op.execute(
            f"CREATE TRIGGER officer_keys_no_update BEFORE UPDATE ON officer_keys "
            f"WHEN OLD.revoked_at IS NOT NULL OR {changed} BEGIN SELECT RAISE(ABORT, '{words}'); END"
        )
        op.execute(
            "CREATE TRIGGER officer_keys_no_delete BEFORE DELETE ON officer_keys "
            f"BEGIN SELECT RAISE(ABORT, '{words}'); END"
        )


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER officer_keys_append_only ON officer_keys")
        op.execute("DROP TRIGGER officer_keys_no_truncate ON officer_keys")
        op.execute("DROP FUNCTION officer_keys_append_only()")
    op.drop_index(op.f("ix_officer_keys_officer"), table_name="officer_keys")
    op.drop_table("officer_keys")
