"""the watch: whom an escalation is put before, and who has seen it; when the watch went round.

Revision: 0008, follows 0007.
"""

from __future__ import annotations

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_Text = sqlmodel.sql.sqltypes.AutoString
_Moment = sqlmodel.sql.sqltypes.UTCDateTime


def upgrade() -> None:
    with op.batch_alter_table("escalations") as escalations:
        escalations.add_column(sa.Column("addressees", sa.Text(), nullable=True))
        escalations.add_column(sa.Column("seen_at", _Moment(), nullable=True))
        escalations.add_column(sa.Column("seen_by", _Text(length=64), nullable=True))
    op.create_table(
        "watch",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("since", _Moment(), nullable=False),
        sa.Column("began_at", _Moment(), nullable=False),
        sa.Column("done_at", _Moment(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_watch")),
    )


def downgrade() -> None:
    op.drop_table("watch")
    with op.batch_alter_table("escalations") as escalations:
        for name in ("seen_by", "seen_at", "addressees"):
            escalations.drop_column(name)
