"""What ``doctor`` looks at: the machine, the files, the database, the engine and its workers."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client
from temporalio.service import RPCError

from precinto import devserver, engine, stubs
from precinto.adapters.crawlers.apps.analysis import check_tools
from precinto.adapters.crawlers.web.browser import find_chromium
from precinto.adapters.crawlers.web.record import place
from precinto.adapters.seals.identity import CERTIFICATES, KEY
from precinto.adapters.seals.key_file import EXPIRES_SOON, FileKeySealer
from precinto.domain.errors import BadInput, CannotHere, PrecintoError, Unavailable
from precinto.domain.evidence import STAMPS_NEEDED
from precinto.domain.model import Value
from precinto.domain.policy import MAY
from precinto.domain.review import Outcome
from precinto.ports import Registry
from precinto.procedures import load_procedure
from precinto.provision import CHROMIUM, PROGRAMS, Need
from precinto.recipes import read_recipes
from precinto.registry import TomlRegistry, read_registry
from precinto.settings import Settings
from precinto.store import Database
from precinto.store.ledger import BrokenChain, verify
from precinto.store.officer_keys import OfficerKeyRow, OfficerKeyStore
from precinto.store.watch import WatchStore, away_after

_LAB_ONLY = ".test"  # a name that nobody can have (RFC 2606)

LOW_DISK_BYTES = 2_000_000_000

_DECIDING = {role for outcome in Outcome for role in MAY[outcome]}
"""Who needs a key: these sign decisions."""


class Status(StrEnum):
    """How one check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Check(Value):
    """One line of the doctor: what was looked at, what was found, and what helps where it is not well."""

    status: Status
    what: str
    found: str
    hint: str = ""


async def check_all(settings: Settings) -> list[Check]:
    """Every check, in the order in which they depend on one another."""
    checks = [*_programs(settings), _apps(), _disk(settings)]
    registry, line = _registry(settings)
    checks += [line, _procedure(settings), _recipes(settings), _sealing(settings)]
    checks += [_time(registry), _orders(registry)] if registry else []
    checks += [one async for one in _database(settings, registry)]
    checks += [one async for one in _engine(settings, registry)]
    return checks


def _programs(settings: Settings) -> list[Check]:
    checks: list[Check] = []
    for program in PROGRAMS:
        if program is CHROMIUM and settings.chromium:
            checks.append(_named_browser(settings.chromium))
        elif path := program.found():
            checks.append(Check(status=Status.OK, what=program.name, found=str(path)))
        else:
            status = Status.FAIL if program.need is Need.RUN else Status.WARN
            hint = f"python starter.py setup, or: apt-get install {program.package}"
            checks.append(Check(status=status, what=program.name, found=f"missing; it {program.use}", hint=hint))
    if not settings.temporal_address:
        path = devserver.installed()
        found = str(path) if path else "not here yet"
        hint = "" if path else "python starter.py setup fetches or builds it"
        checks.append(Check(status=Status.OK if path else Status.WARN, what="temporal", found=found, hint=hint))
    return checks


def _named_browser(configured: Path) -> Check:
    try:
        return Check(status=Status.OK, what=CHROMIUM.name, found=str(find_chromium(configured)))
    except CannotHere as error:
        return Check(status=Status.FAIL, what=CHROMIUM.name, found=str(error), hint="name another, or none")


def _apps() -> Check:
    try:
        check_tools()
    except CannotHere as error:
        found, _, hint = str(error).partition(": ")
        return Check(status=Status.WARN, what="apps", found=found, hint=hint)
    return Check(status=Status.OK, what="apps", found="their readers, and the programs that keep these within limits")


def _disk(settings: Settings) -> Check:
    home = settings.home.absolute()
    home = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(home).free
    low = free < LOW_DISK_BYTES
    hint = "captures are refused when the disk is full: make room" if low else ""
    return Check(
        status=Status.WARN if low else Status.OK, what="disk", found=f"{free / 1e9:.1f} GB free in {home}", hint=hint
    )


def _registry(settings: Settings) -> tuple[TomlRegistry | None, Check]:
    try:
        registry = read_registry(settings.registry)
    except BadInput as error:
        hint = "PRECINTO_REGISTRY names the file; docs/reference/registry.md describes it"
        return None, Check(status=Status.FAIL, what="registry", found=str(error), hint=hint)
    found = f"{len(registry.officers)} officers, {len(registry.isps)} ISPs, {len(registry.protected)} protected names"
    return registry, Check(status=Status.OK, what="registry", found=found)


def _procedure(settings: Settings) -> Check:
    try:
        procedure = load_procedure(settings.procedure)
    except BadInput as error:
        hint = "PRECINTO_PROCEDURE names the file"
        return Check(status=Status.FAIL, what="procedure", found=str(error), hint=hint)
    return Check(status=Status.OK, what="procedure", found=f"{procedure.name}: orders last {procedure.order.said}")


def _recipes(settings: Settings) -> Check:
    try:
        recipes = [
            recipe
            for folder in (settings.recipes, settings.recipes / "apps")
            for recipe in read_recipes(folder).recipes
        ]
    except BadInput as error:
        hint = "PRECINTO_RECIPES names the folder; docs/reference/recipes.md describes it"
        return Check(status=Status.FAIL, what="recipes", found=str(error), hint=hint)
    typed = ((recipe.id, name, value) for recipe in recipes for name, value in recipe.values.items())
    for recipe, name, value in typed:
        if not settings.lab and place(value)[0].endswith(_LAB_ONLY):
            found = f"{recipe} types {value}, which exists in the lab only"
            hint = f"set {name} in its file; docs/reference/recipes.md says to what"
            return Check(status=Status.WARN, what="recipes", found=found, hint=hint)
    return Check(status=Status.OK, what="recipes", found=f"{len(recipes)} recipes")


def _sealing(settings: Settings) -> Check:
    folder = settings.sealing_folder
    hint = "python starter.py bootstrap issues one for trials; docs/how-to/operate.md says how to bring your own"
    try:
        until = FileKeySealer(folder / KEY, folder / CERTIFICATES).valid_until()
    except Unavailable as error:
        return Check(status=Status.WARN, what="sealing", found=str(error), hint=hint)
    left = until - datetime.now(UTC)
    found = f"the certificate is valid until {until:%Y-%m-%d}"
    if left <= timedelta():
        return Check(status=Status.FAIL, what="sealing", found=found, hint="nothing can be sealed: renew it")
    if left < EXPIRES_SOON:
        return Check(status=Status.WARN, what="sealing", found=found, hint="renew it")
    return Check(status=Status.OK, what="sealing", found=found)


def _time(registry: TomlRegistry) -> Check:
    names = [one.name for one in registry.timestamp_authorities]
    if len(names) >= STAMPS_NEEDED:
        return Check(status=Status.OK, what="time stamps", found=f"of {', '.join(names)}")
    found = f"{len(names)} time-stamp authorities; {STAMPS_NEEDED} are needed, or nothing can be approved"
    hint = "[[timestamp_authorities]] of the registry; docs/reference/registry.md"
    return Check(status=Status.FAIL, what="time stamps", found=found, hint=hint)


def _orders(registry: TomlRegistry) -> Check:
    unstated = registry.card.unstated
    if not unstated:
        return Check(status=Status.OK, what="orders", found=f"issued by {registry.card.name.en}")
    found = f"orders do not state the authority's {', '.join(unstated)}"
    hint = "[issuing_authority] of the registry; docs/reference/registry.md"
    return Check(status=Status.WARN, what="orders", found=found, hint=hint)


async def _database(settings: Settings, registry: TomlRegistry | None) -> AsyncIterator[Check]:
    try:
        database = Database(settings.database)
        try:
            ready = await database.ready()
            if not ready:
                hint = "python starter.py up, or bootstrap"
                yield Check(status=Status.FAIL, what="database", found="not this version's tables", hint=hint)
                return
            yield Check(status=Status.OK, what="database", found=database.url.render_as_string())
            rows, _ = await verify(database)
            yield Check(status=Status.OK, what="ledger", found=f"{rows} rows, the chain holds")
            yield _watch(settings, await WatchStore(database).last_round())
            if registry:
                yield _officer_keys(registry, await OfficerKeyStore(database).keys())
        finally:
            await database.close()
    except BrokenChain as broken:
        hint = "somebody changed the database by hand: python starter.py ledger verify"
        yield Check(status=Status.FAIL, what="ledger", found=str(broken), hint=hint)
    except (SQLAlchemyError, BadInput) as error:
        yield Check(
            status=Status.FAIL, what="database", found=str(error).splitlines()[0], hint="PRECINTO_DATABASE_URL"
        )


def _watch(settings: Settings, last: datetime | None) -> Check:
    """Whether the second net is in place: without it, an end that does not fire is missed by everybody."""
    hint = "it needs 'up', or 'bootstrap' and a worker on the queue notify; Temporal's UI says how its last runs ended"
    if last is None:
        return Check(status=Status.WARN, what="watch", found="has not gone round yet", hint=hint)
    found = f"went round last at {last:%Y-%m-%d %H:%M:%S} UTC"
    if datetime.now(UTC) - last > away_after(timedelta(seconds=settings.watch_seconds)):
        return Check(status=Status.WARN, what="watch", found=f"{found}, and is late", hint=hint)
    return Check(status=Status.OK, what="watch", found=found)


def _officer_keys(registry: TomlRegistry, keys: Sequence[OfficerKeyRow]) -> Check:
    able = {key.officer for key in keys if key.revoked_at is None}
    deciding = [one.id for one in registry.officers if _DECIDING & set(one.roles)]
    without = [officer for officer in deciding if officer not in able]
    if not without:
        return Check(status=Status.OK, what="officer keys", found=f"{len(deciding)} officers can sign their decisions")
    found = f"without a key in force: {', '.join(without)}"
    hint = "they cannot decide: python starter.py officers enrol ID"
    return Check(status=Status.WARN, what="officer keys", found=found, hint=hint)


async def _engine(settings: Settings, registry: Registry | None) -> AsyncIterator[Check]:
    if not settings.temporal_address:
        hint = "python starter.py up, or set PRECINTO_TEMPORAL_ADDRESS"
        yield Check(status=Status.WARN, what="engine", found="no Temporal server runs for this home", hint=hint)
        return
    try:
        client = await engine.connect(settings.temporal_address, settings.temporal_namespace)
        yield Check(status=Status.OK, what="engine", found=f"Temporal answers at {settings.temporal_address}")
        missing = sorted(set(stubs.SEARCH_ATTRIBUTES) - await engine.registered_attributes(client))
        if missing:
            hint = "python starter.py bootstrap"
            found = f"missing: {', '.join(missing)}"
            yield Check(status=Status.FAIL, what="search attributes", found=found, hint=hint)
        async for line in _queues(client, registry):
            yield line
    except (PrecintoError, RPCError) as error:
        hint = "is it running? PRECINTO_TEMPORAL_ADDRESS and PRECINTO_TEMPORAL_NAMESPACE say where"
        yield Check(status=Status.FAIL, what="engine", found=str(error), hint=hint)


async def _queues(client: Client, registry: Registry | None) -> AsyncIterator[Check]:
    vantages = [isp.id for isp in registry.isps] if registry else []
    for queue in (stubs.CASES, stubs.CAPTURE, stubs.NOTICES, *map(stubs.probe_queue, vantages)):
        served = await engine.polled(client, queue)
        found = "a worker asks for work" if served else "no worker"
        hint = "" if served else "python worker.py; cases wait until one runs"
        yield Check(status=Status.OK if served else Status.FAIL, what=f"queue {queue}", found=found, hint=hint)
