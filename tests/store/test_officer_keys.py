"""The keys of the officers: who may enrol one, whose it is, and until when it counts."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import col, select

from precinto.domain.errors import BadInput, NotFound, Refused
from precinto.domain.model import digest
from precinto.domain.review import Outcome, Role
from precinto.domain.statements import (
    Enrolment,
    Statement,
    key_id,
    new_nonce,
    public_text,
    read,
    sign,
    sign_enrolment,
    verify,
)
from precinto.store import Database, Store
from precinto.store.ledger import LedgerRow
from precinto.store.officer_keys import FRESH, OfficerKeyRow, key_in_force
from tests.fakes import OFFICERS

SECOND = timedelta(seconds=1)


def new_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def kid(key: Ed25519PrivateKey) -> str:
    return key_id(key.public_key())


def enrolment(key: Ed25519PrivateKey, officer: str = "reviewer-1", at: datetime | None = None) -> Enrolment:
    return Enrolment(officer=officer, public=public_text(key.public_key()), at=at or datetime.now(UTC))


async def enrol(
    store: Store,
    key: Ed25519PrivateKey,
    officer: str = "reviewer-1",
    *,
    vouching: Ed25519PrivateKey | None = None,
    **changed: Any,
) -> OfficerKeyRow:
    """Enrol a key; ``vouching`` signs for it."""
    one = enrolment(key, officer)
    return await store.officer_keys.enrol(
        officer,
        key.public_key().public_bytes_raw(),
        changed.get("by", "admin"),
        changed.get("proof", sign_enrolment(one, key)),
        officers=OFFICERS,
        voucher=changed.get("voucher", sign_enrolment(one, vouching) if vouching else None),
    )


async def refusal(act: Any) -> str:
    """The code of the refusal that an act meets."""
    with pytest.raises(Refused) as refused:
        await act
    return refused.value.code


async def in_force(store: Store, key: str, officer: str, at: datetime) -> bytes:
    async with store.database.read() as session:
        return await key_in_force(session, key, officer, at)


async def run(database: Database, statement: str) -> None:
    """Run a statement as somebody would who may write to the database."""
    async with database.write() as session:
        await (await session.connection()).execute(text(statement))


async def ledger_rows(store: Store, action: str) -> list[LedgerRow]:
    async with store.database.read() as session:
        rows = select(LedgerRow).where(col(LedgerRow.action) == action).order_by(col(LedgerRow.seq))
        return list(await session.exec(rows))


class TestTheFirstKey:
    async def test_is_enrolled_on_the_word_of_whoever_administers(self, store: Store) -> None:
        key = new_key()
        row = await enrol(store, key)
        assert (row.id, row.officer, row.enrolled_by, row.revoked_at) == (kid(key), "reviewer-1", "admin", None)
        assert await store.officer_keys.keys() == [row]
        public = await in_force(store, row.id, "reviewer-1", row.enrolled_at)
        assert public == key.public_key().public_bytes_raw()

    async def test_stands_in_the_ledger_with_who_did_it(self, store: Store) -> None:
        key = new_key()
        await enrol(store, key)
        [row] = await ledger_rows(store, "officer_key_enrolled")
        assert row.actor == "admin"
        assert row.body == f'{{"key":"{kid(key)}","officer":"reviewer-1","vouched_by":null}}'

    async def test_of_nobody_is_refused(self, store: Store) -> None:
        assert await refusal(enrol(store, new_key(), "reviewer-9")) == "unknown_officer"

    async def test_needs_the_proof_that_it_is_had(self, store: Store) -> None:
        """Else somebody could enrol a key that another has, and say that the other's decisions were theirs."""
        theirs, own = new_key(), new_key()
        assert await refusal(enrol(store, theirs, proof=sign_enrolment(enrolment(theirs), own))) == "forged"
        assert await store.officer_keys.keys() == []

    @pytest.mark.parametrize("other", ["officer", "key"])
    async def test_needs_the_proof_of_this_very_enrolment(self, store: Store, other: str) -> None:
        key = new_key()
        said = enrolment(key, "reviewer-2") if other == "officer" else enrolment(new_key())
        assert await refusal(enrol(store, key, proof=sign_enrolment(said, key))) == "other_enrolment"

    @pytest.mark.parametrize("away", [-FRESH - SECOND, FRESH + SECOND * 60])
    async def test_needs_a_proof_of_now(self, store: Store, away: timedelta) -> None:
        key = new_key()
        said = enrolment(key, at=datetime.now(UTC) + away)
        assert await refusal(enrol(store, key, proof=sign_enrolment(said, key))) == "stale_enrolment"

    async def test_that_anybody_could_sign_with_is_refused(self, store: Store) -> None:
        key = new_key()
        weak = store.officer_keys.enrol(
            "reviewer-1", bytes(32), "admin", sign_enrolment(enrolment(key), key), officers=OFFICERS
        )
        assert await refusal(weak) == "weak_key"

    @pytest.mark.parametrize("proof", ["", "a.b.c", "x" * 5_000])
    async def test_needs_a_proof_at_all(self, store: Store, proof: str) -> None:
        with pytest.raises(BadInput, match="envelope"):
            await enrol(store, new_key(), proof=proof)

    @pytest.mark.parametrize("by", ["", "Some Body", "a" * 65])
    async def test_names_who_enrolled_it_by_an_id(self, store: Store, by: str) -> None:
        with pytest.raises(BadInput, match="is not an id"):
            await enrol(store, new_key(), by=by)


class TestAFurtherKey:
    async def test_that_comes_at_the_same_time_is_one_too(self, store: Store) -> None:
        """Two first keys at once: one is the first."""
        results = await asyncio.gather(*(enrol(store, new_key()) for _ in range(3)), return_exceptions=True)
        codes = sorted(one.code if isinstance(one, Refused) else "enrolled" for one in results)
        assert codes == ["enrolled", "voucher_missing", "voucher_missing"]

    async def test_needs_somebody_to_vouch_for_it(self, store: Store) -> None:
        """Whoever administers cannot slip in a second key for an officer who has one."""
        await enrol(store, new_key())
        assert await refusal(enrol(store, new_key())) == "voucher_missing"

    async def test_is_vouched_for_by_the_officers_own_key(self, store: Store) -> None:
        old, new = new_key(), new_key()
        await enrol(store, old)
        row = await enrol(store, new, vouching=old)
        assert [key.id for key in await store.officer_keys.keys("reviewer-1")] == [kid(old), kid(new)]
        assert f'"vouched_by":"{kid(old)}"' in (await ledger_rows(store, "officer_key_enrolled"))[1].body
        assert row.voucher is not None

    async def test_is_vouched_for_by_a_legal_head(self, store: Store) -> None:
        """What helps when the officer's own key is lost."""
        lost, head, new = new_key(), new_key(), new_key()
        await enrol(store, lost)
        await enrol(store, head, "legal-head")
        await store.officer_keys.revoke(kid(lost), "legal-head", "the passphrase is lost")
        assert (await enrol(store, new, vouching=head)).id == kid(new)

    async def test_of_an_officer_whose_keys_are_all_revoked_needs_one_too(self, store: Store) -> None:
        """Else to revoke a key would be the way round it."""
        old = new_key()
        await enrol(store, old)
        await store.officer_keys.revoke(kid(old), "admin", "lost")
        assert await refusal(enrol(store, new_key())) == "voucher_missing"
        assert await refusal(enrol(store, new_key(), vouching=old)) == "key_revoked"

    async def test_is_not_vouched_for_by_another_reviewer(self, store: Store) -> None:
        other = new_key()
        await enrol(store, new_key())
        await enrol(store, other, "reviewer-2")
        assert await refusal(enrol(store, new_key(), vouching=other)) == "not_a_legal_head"

    async def test_is_not_vouched_for_by_itself(self, store: Store) -> None:
        await enrol(store, new_key())
        new = new_key()
        assert await refusal(enrol(store, new, vouching=new)) == "unknown_key"

    async def test_is_not_vouched_for_in_the_name_of_a_key(self, store: Store) -> None:
        """A voucher whose signature is another's."""
        old, new = new_key(), new_key()
        await enrol(store, old)
        one = enrolment(new)
        true, forged = sign_enrolment(one, old).split("."), sign_enrolment(one, new).split(".")
        voucher = ".".join([*true[:2], forged[2]])
        assert await refusal(enrol(store, new, proof=sign_enrolment(one, new), voucher=voucher)) == "forged"

    async def test_is_not_vouched_for_by_what_was_said_of_another(self, store: Store) -> None:
        old, first, second = new_key(), new_key(), new_key()
        await enrol(store, old)
        voucher = sign_enrolment(enrolment(first), old)
        assert await refusal(enrol(store, second, voucher=voucher)) == "other_enrolment"

    async def test_is_a_key_that_never_was_enrolled(self, store: Store) -> None:
        key, head = new_key(), new_key()
        await enrol(store, key)
        await enrol(store, head, "legal-head")
        assert await refusal(enrol(store, key, vouching=key)) == "already_enrolled"
        await store.officer_keys.revoke(kid(key), "admin", "lost")
        assert await refusal(enrol(store, key, vouching=head)) == "already_enrolled"
        assert await refusal(enrol(store, key, "reviewer-2")) == "already_enrolled"


class TestInForce:
    async def test_a_key_that_nobody_enrolled_is_unknown(self, store: Store) -> None:
        assert await refusal(in_force(store, kid(new_key()), "reviewer-1", datetime.now(UTC))) == "unknown_key"

    async def test_a_key_is_one_officers_alone(self, store: Store) -> None:
        row = await enrol(store, new_key())
        assert await refusal(in_force(store, row.id, "reviewer-2", row.enrolled_at)) == "other_officers_key"

    async def test_a_key_counts_from_its_enrolment_to_its_revocation(self, store: Store) -> None:
        row = await enrol(store, new_key())
        await store.officer_keys.revoke(row.id, "reviewer-1", "the laptop was stolen")
        [revoked] = await store.officer_keys.keys()
        assert revoked.revoked_at is not None
        tick = timedelta(microseconds=1)
        assert await refusal(in_force(store, row.id, "reviewer-1", row.enrolled_at - tick)) == "key_not_yet"
        assert await in_force(store, row.id, "reviewer-1", row.enrolled_at)
        assert await in_force(store, row.id, "reviewer-1", revoked.revoked_at - tick)
        assert await refusal(in_force(store, row.id, "reviewer-1", revoked.revoked_at)) == "key_revoked"

    async def test_a_decision_of_before_the_revocation_stays_verifiable(self, store: Store) -> None:
        key = new_key()
        row = await enrol(store, key)
        signed = sign(
            Statement(
                case="y2mate-1",
                subject=digest(b"manifest"),
                outcome=Outcome.APPROVE,
                grounds=("dl-822",),
                reasons=digest(b"reasons"),
                actor="reviewer-1",
                role=Role.REVIEWER,
                at=row.enrolled_at,
                nonce=new_nonce(),
            ),
            key,
        )
        await store.officer_keys.revoke(row.id, "admin", "left the authority")
        said, named = read(signed)
        assert verify(signed, await in_force(store, named, said.actor, said.at)) == said


class TestRevocation:
    async def test_stands_in_the_ledger_without_its_free_text(self, store: Store) -> None:
        row = await enrol(store, new_key())
        await store.officer_keys.revoke(row.id, "legal-head", "stolen from her home")
        [entry] = await ledger_rows(store, "officer_key_revoked")
        assert entry.actor == "legal-head"
        assert entry.body == (
            f'{{"key":"{row.id}","officer":"reviewer-1","reason":"{digest(b"stolen from her home")}"}}'
        )
        [kept] = await store.officer_keys.keys()
        assert (kept.revoked_by, kept.revoked_reason) == ("legal-head", "stolen from her home")

    async def test_of_a_key_that_there_is_not(self, store: Store) -> None:
        with pytest.raises(NotFound):
            await store.officer_keys.revoke(kid(new_key()), "admin", "lost")

    async def test_is_made_once(self, store: Store) -> None:
        row = await enrol(store, new_key())
        await store.officer_keys.revoke(row.id, "admin", "lost")
        assert await refusal(store.officer_keys.revoke(row.id, "admin", "lost")) == "key_revoked"

    @pytest.mark.parametrize(("by", "reason"), [("admin", ""), ("admin", " \n"), ("admin", "r" * 501), ("", "lost")])
    async def test_says_who_and_why(self, store: Store, by: str, reason: str) -> None:
        row = await enrol(store, new_key())
        with pytest.raises(BadInput):
            await store.officer_keys.revoke(row.id, by, reason)


class TestTheDatabaseItself:
    @pytest.mark.parametrize(
        ("revoked", "statement"),
        [
            (False, "DELETE FROM officer_keys"),
            (False, "UPDATE officer_keys SET id = 'another'"),
            (False, "UPDATE officer_keys SET officer = 'reviewer-2'"),
            (False, "UPDATE officer_keys SET public = 'another'"),
            (False, "UPDATE officer_keys SET enrolled_at = '2020-01-01 00:00:00'"),
            (False, "UPDATE officer_keys SET enrolled_by = 'nobody'"),
            (False, "UPDATE officer_keys SET proof = ''"),
            (False, "UPDATE officer_keys SET voucher = ''"),
            (False, "UPDATE officer_keys SET revoked_at = '2020-01-01 00:00:00', officer = 'reviewer-2'"),
            (True, "UPDATE officer_keys SET revoked_at = NULL"),
            (True, "UPDATE officer_keys SET revoked_at = '2020-01-01 00:00:00'"),
            (True, "UPDATE officer_keys SET revoked_reason = 'another'"),
            (True, "DELETE FROM officer_keys"),
        ],
    )
    async def test_changes_no_key(self, store: Store, revoked: bool, statement: str) -> None:
        row = await enrol(store, new_key())
        if revoked:
            await store.officer_keys.revoke(row.id, "admin", "lost")
        before = await store.officer_keys.keys()
        with pytest.raises(DBAPIError, match="never changed but revoked"):
            await run(store.database, statement)
        assert await store.officer_keys.keys() == before

    async def test_forgets_no_key(self, store: Store) -> None:
        if not store.database.url.drivername.startswith("postgresql"):
            pytest.skip("SQLite has no TRUNCATE")
        await enrol(store, new_key())
        with pytest.raises(DBAPIError, match="never changed but revoked"):
            await run(store.database, "TRUNCATE officer_keys")

    async def test_the_migration_can_be_taken_back(self, empty_url: str) -> None:
        from alembic import command
        from alembic.config import Config

        from precinto.store.database import MIGRATIONS

        database = Database(empty_url)
        await database.migrate()

        def down_and_up(connection: Any) -> set[str]:
            config = Config()
            config.set_main_option("script_location", str(MIGRATIONS))
            config.attributes["connection"] = connection
            command.downgrade(config, "0002")
            tables = set(inspect(connection).get_table_names())
            command.upgrade(config, "0003")
            return tables

        async with database.write() as session:
            tables = await (await session.connection()).run_sync(down_and_up)
        assert "officer_keys" not in tables
        assert "custody" in tables
        await database.close()
