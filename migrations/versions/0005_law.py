"""signed decisions, orders with versions, stays, renewals and lapses; the whole procedure with each case.

Revision: 0005, follows 0004.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
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
    with op.batch_alter_table("cases", recreate="never") as cases:
        cases.add_column(sa.Column("round", sa.Integer(), nullable=False, server_default="1"))
    op.execute('UPDATE cases SET round = COALESCE((SELECT MAX(a.round) FROM attempts a WHERE a."case" = cases.id), 1)')
    _rewrite("cases", "terms", _whole_procedure)
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
    _rewrite("decisions", "grounds", lambda basis: json.dumps([basis]))
    # Tables that others refer to are never made anew: on SQLite that deletes every row, and foreign keys forbid it.
    with op.batch_alter_table("orders", recreate="never") as orders:
        orders.add_column(sa.Column("kind", _Text(length=10), nullable=False, server_default="order"))
        orders.add_column(sa.Column("standing_order", _Text(length=40), nullable=True))
        orders.add_column(sa.Column("renewals", sa.Integer(), nullable=False, server_default="0"))
        orders.add_column(sa.Column("lapses_at", _Moment(), nullable=True))
        orders.add_column(sa.Column("stayed_at", _Moment(), nullable=True))
        orders.add_column(sa.Column("end_reason", _Text(length=16), nullable=True))
        orders.add_column(sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
        orders.add_column(sa.Column("asked_version", sa.Integer(), nullable=False, server_default="1"))
        orders.add_column(sa.Column("asked_at", _Moment(), nullable=False, server_default="1970-01-01 00:00:00+00:00"))
        orders.create_index(op.f("ix_orders_standing_order"), ["standing_order"])
    revoked = sa.true().compile(dialect=op.get_bind().dialect)
    op.execute(
        f"UPDATE orders SET asked_at = COALESCE(ended_at, valid_from), "  # noqa: S608 - a constant
        f"version = CASE WHEN ended_at IS NULL THEN 1 ELSE 2 END, "
        f"asked_version = CASE WHEN ended_at IS NULL THEN 1 ELSE 2 END, "
        f"end_reason = CASE WHEN revoked = {revoked} THEN 'revoked' WHEN ended_at IS NULL THEN NULL ELSE 'expired' END"
    )
    with op.batch_alter_table("orders", recreate="never") as orders:
        orders.drop_column("revoked")
    with op.batch_alter_table("notices", recreate="never") as notices:
        notices.add_column(sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
    op.execute("UPDATE notices SET version = 2 WHERE action = 'release'")
    with op.batch_alter_table("standings", recreate="never") as standings:
        standings.add_column(sa.Column("overstay_seconds", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    with op.batch_alter_table("standings", recreate="never") as standings:
        standings.drop_column("overstay_seconds")
    with op.batch_alter_table("notices", recreate="never") as notices:
        notices.drop_column("version")
    with op.batch_alter_table("orders", recreate="never") as orders:
        orders.add_column(sa.Column("revoked", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute(sa.text("UPDATE orders SET revoked = :yes WHERE end_reason = 'revoked'").bindparams(yes=True))
    with op.batch_alter_table("orders", recreate="never") as orders:
        orders.drop_index(op.f("ix_orders_standing_order"))
        for name in (
            "asked_at", "asked_version", "version", "end_reason", "stayed_at", "lapses_at", "renewals",
            "standing_order", "kind",
        ):  # fmt: skip
            orders.drop_column(name)
    _rewrite("decisions", "grounds", lambda grounds: str(json.loads(grounds)[0]))
    with op.batch_alter_table("decisions") as decisions:
        decisions.drop_constraint(op.f("uq_decisions_nonce"), type_="unique")
        for name in ("round", "signed_at", "nonce", "key", "envelope", "about"):
            decisions.drop_column(name)
        decisions.alter_column("grounds", new_column_name="basis", type_=sa.String(100), existing_type=sa.Text())
    with op.batch_alter_table("cases", recreate="never") as cases:
        cases.drop_column("round")
    _rewrite("cases", "terms", _durations)


def _rewrite(table: str, column: str, change: Callable[[str], str]) -> None:
    """Change one text of every row."""
    connection, rows = op.get_bind(), sa.table(table, sa.column("id"), sa.column(column))
    for name, text in connection.execute(sa.select(rows.c.id, rows.c[column])).all():
        connection.execute(sa.update(rows).where(rows.c.id == name).values({column: change(text)}))


_TERMS = ("review", "order", "comply", "remind", "release", "recheck")
_DURATIONS = TypeAdapter(timedelta)
_HOUR, _SECOND, _MOMENT = timedelta(hours=1), timedelta(seconds=1), timedelta(milliseconds=1)
_LONGEST = timedelta(days=3653)


def _whole_procedure(text: str) -> str:
    """A case kept durations only; it now keeps a procedure: the same durations, and nothing that was not said."""
    terms = json.loads(text)
    lengths = {name: min(max(_MOMENT, _DURATIONS.validate_python(terms[name])), _LONGEST) for name in _TERMS}
    lengths["order"] = max(lengths["order"], 2 * _MOMENT)
    lengths["comply"] = min(lengths["comply"], lengths["order"] - _MOMENT)
    return json.dumps(_snapshot(_code(terms["procedure"]), _code(terms["basis"]), lengths))


def _durations(text: str) -> str:
    """Of a whole procedure, the durations that release 0.1 knows; a working day counts as a day."""
    procedure = json.loads(text)["procedure"]
    terms = {"procedure": procedure["name"], "basis": procedure["basis"]}
    for name in _TERMS:
        stated = {unit: procedure[name].get(unit, 0) for unit in ("hours", "minutes", "seconds", "milliseconds")}
        days = procedure[name].get("days", 0) + procedure[name].get("working_days", 0)
        terms[name] = _DURATIONS.dump_python(timedelta(days=days, **stated), mode="json")
    return json.dumps(terms)


def _code(text: str) -> str:
    """A code as procedures and signed decisions have it; release 0.1 asked for no form."""
    return re.sub("[^A-Za-z0-9.-]+", "-", text).strip(".-")[:40].strip(".-") or "none"


def _length(length: timedelta) -> dict[str, int]:
    """Not in days: those are counted by a calendar, and an old case has none."""
    if length % _HOUR == timedelta(0):
        return {"hours": length // _HOUR}
    if length % _SECOND == timedelta(0):
        return {"seconds": length // _SECOND}
    return {"milliseconds": length // _MOMENT}


def _snapshot(name: str, basis: str, lengths: dict[str, timedelta]) -> dict[str, object]:
    kept = "kept from release 0.1"
    unsaid = {"es": "No consta.", "en": "Not on file."}
    spans = {term: {**_length(length), "source": kept, "verify": True} for term, length in lengths.items()}
    outcomes = ["approve", "reject", "return", "revoke", "stay", "resume", "uphold", "dismiss"]
    procedure = {
        "v": 1, "name": name, "title": unsaid, "kind": "precautionary", "country": "PE",
        "time_zone": "America/Lima", "basis": basis, "basis_text": unsaid, "source": kept,
        "hearing": {"when": "none"}, **spans,
        "objection_decision": {"hours": 120, "source": kept, "verify": True},
        "stay": {"hours": 24, "source": kept, "verify": True},
        "appeal": {"hours": 360, "source": kept, "verify": True}, "appeal_suspends": False,
        "deciders": ["reviewer", "legal_head"], "revokers": ["reviewer", "legal_head", "duty_officer"],
        "grounds": [{"code": basis, "outcomes": outcomes, **unsaid, "source": kept}],
        "documents": ["es", "en"], "redress": unsaid,
    }  # fmt: skip
    return {"procedure": procedure, "holidays": [], "holidays_source": kept}
