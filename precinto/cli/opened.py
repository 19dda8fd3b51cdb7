"""What a command works with: settings, registry, database and Temporal of one installation, opened and closed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from sqlalchemy.exc import InterfaceError, OperationalError
from temporalio.client import Client
from temporalio.service import RPCError

from precinto import engine
from precinto.adapters.blobs import blob_store
from precinto.adapters.seals.identity import CERTIFICATES, KEY
from precinto.adapters.seals.key_file import FileKeySealer
from precinto.desk import Desk
from precinto.domain.errors import Unavailable
from precinto.domain.guards import GuardLists
from precinto.guardlists import read_guardlists
from precinto.handover import Handover
from precinto.procedures import load_procedure, snapshot
from precinto.registry import TomlRegistry, read_registry
from precinto.settings import Settings, load_settings
from precinto.store import Database, Store
from precinto.store.subjects import Subjects
from precinto.store.vault import Vault


@dataclass(frozen=True)
class Opened:
    """One installation, as a command sees it."""

    settings: Settings
    store: Store

    @cached_property
    def registry(self) -> TomlRegistry:
        """Officers, ISPs and guard lists; read when a command asks, for the records can be looked at without."""
        return read_registry(self.settings.registry)

    @cached_property
    def guardlists(self) -> GuardLists:
        """The guard lists, joined with the registry's own names."""
        return read_guardlists(self.settings.guardlists).joined(self.registry.protected)

    async def client(self) -> Client:
        """A client of the installation's Temporal.

        Raises:
            Unavailable: There is no address, or nothing answers there.
        """
        if not self.settings.temporal_address:
            raise Unavailable(
                "no Temporal server runs for this installation: start 'python starter.py up', or set "
                "PRECINTO_TEMPORAL_ADDRESS"
            )
        return await engine.connect(self.settings.temporal_address, self.settings.temporal_namespace)

    @property
    def handover(self) -> Handover:
        """What takes evidence out of the house."""
        folder = self.settings.sealing_folder
        sealer = FileKeySealer(folder / KEY, folder / CERTIFICATES)
        return Handover(self.store, blob_store(self.settings.blob_place), sealer, self.registry)

    @property
    def subjects(self) -> Subjects:
        """Those whose personal texts are sealed, with the vault that opens them."""
        return Subjects(Vault(self.settings.vault_file))

    async def desk(self) -> Desk:
        """The desk, ready to act."""
        terms = snapshot(load_procedure(self.settings.procedure), datetime.now(UTC).date())
        return Desk(await self.client(), self.store, self.registry, terms, self.guardlists)


@asynccontextmanager
async def opened() -> AsyncGenerator[Opened]:
    """Open the installation of this process's settings.

    Raises:
        BadInput: A setting is wrong.
        CannotHere: The database has no tables yet, or those of another version.
        Unavailable: Database or Temporal do not answer, now or later in the block.
    """
    settings = load_settings()
    database = Database(settings.database)
    try:
        await database.check()
        yield Opened(settings, Store(database))
    except (OperationalError, InterfaceError) as error:
        raise Unavailable(f"the database does not answer: {str(error.orig).splitlines()[0]}") from error
    except RPCError as error:
        raise Unavailable(f"Temporal says no: {error.message}") from error
    finally:
        await database.close()
