"""Port ``Investigator``: asks every source about a target at once, within seconds, and keeps what each says.

A source that is silent, broken or hostile costs its own answer and no other's: it is missing, with the reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from ipaddress import ip_address
from pathlib import Path

from precinto.adapters.crawlers.captured import written
from precinto.adapters.investigators import fingerprints, names, owners, registration
from precinto.adapters.investigators.bootstrap import SHIPPED
from precinto.adapters.investigators.kept import APP, FACTS, RESPONSE, TLS, Kept, read_kept
from precinto.adapters.investigators.names import NameFacts, Names
from precinto.adapters.investigators.owners import Owned, Owners
from precinto.adapters.investigators.reach import Reach
from precinto.adapters.investigators.registration import Record, Registrations
from precinto.domain.errors import BadTarget
from precinto.domain.evidence import Missing
from precinto.domain.intake import TargetKind, normalise, registrable_domain
from precinto.domain.model import canonical_json
from precinto.domain.proportionality import Question, TargetFacts
from precinto.ports import Capture, Investigation, Subject

SECONDS = 10.0
"""Wall clock of one investigation."""

ADDRESSES = 100
"""Addresses of a host that enter the facts."""

REGISTERED = 4
"""Addresses of a host that the registries are asked about."""

_NAMES_SHARE = 0.6  # of the time: the registries are asked about the addresses afterwards


class TargetInvestigator:
    """Port ``Investigator``.

    Args:
        resolvers: Resolvers under no order, ``address:port``.
        ports: Lab mode: real port to the lab's (53 is its name server's); only loopback is reached then.
        networks: Folder with a copy of whose networks addresses are in; None where the installation has none.
        bootstrap: Folder with a copy of IANA's bootstrap files for RDAP.
        ca: Lab mode: whom to trust as a registry's server, in place of the system's authorities.
        seconds: Wall clock of one investigation.
    """

    def __init__(
        self,
        resolvers: Sequence[str],
        ports: Mapping[int, int],
        networks: Path | None,
        bootstrap: Path = SHIPPED,
        ca: Path | None = None,
        seconds: float = SECONDS,
    ) -> None:
        reach = Reach(resolvers, ports, seconds / 3)
        self._names = Names(resolvers, reach)
        self._registrations = Registrations(bootstrap, reach, ca)
        self._owners = Owners(networks)
        self._seconds = seconds

    async def investigate(self, subject: Subject, capture: Capture, folder: Path) -> Investigation:
        """Ask every source; ``facts.json``, ``fingerprints.json`` and the sources' answers go into the folder."""
        host, missing = _host(subject)
        reading = asyncio.to_thread(read_kept, subject.target, host, folder)
        if host is None:
            return _investigation(folder, None, await reading, None, Owned(()), [], missing)
        kept, (found, owned, records) = await asyncio.gather(reading, self._ask(host, capture))
        reason = "no source of other names at an address is set"
        missing.append(Missing(what=f"{FACTS}: {Question.NEIGHBOURS}", reason=reason))
        return _investigation(folder, host, kept, found, owned, records, missing)

    async def _ask(self, host: str, capture: Capture) -> tuple[NameFacts, Owned, list[Record]]:
        """Ask the name servers and the registries; what is there when the time is up counts."""
        began, registrable = asyncio.get_running_loop().time(), registrable_domain(host)
        deadline = began + self._seconds
        found, of_domain = await asyncio.gather(
            self._names.find(host, registrable, began + _NAMES_SHARE * self._seconds),
            self._registered(registrable, deadline),
        )
        addresses = tuple(dict.fromkeys((*found.addresses, *capture.addresses.get(host, ()))))[:ADDRESSES]
        owned, of_addresses = await asyncio.gather(
            self._owners.find(addresses), self._located(addresses[:REGISTERED], deadline)
        )
        return found, owned, of_domain + of_addresses

    async def _registered(self, registrable: str | None, deadline: float) -> list[Record]:
        return [await self._registrations.domain(registrable, deadline)] if registrable else []

    async def _located(self, addresses: Sequence[str], deadline: float) -> list[Record]:
        asked = [ip_address(one) for one in addresses]
        return list(await asyncio.gather(*(self._registrations.address(one, deadline) for one in asked)))


def _host(subject: Subject) -> tuple[str | None, list[Missing]]:
    """The host that answers for a target: for an app, that of its page."""
    if subject.target.host or subject.page is None:
        return subject.target.host, []
    try:
        return normalise(TargetKind.URL, subject.page).host, []
    except BadTarget as error:
        return None, [Missing(what=f"{FACTS}: the page's host", reason=str(error)[:500])]


def _investigation(
    folder: Path,
    host: str | None,
    kept: Kept,
    found: NameFacts | None,
    owned: Owned,
    records: Sequence[Record],
    missing: Sequence[Missing],
) -> Investigation:
    facts = TargetFacts(
        host=host,
        addresses=owned.addresses,
        aliases=found.aliases if found else (),
        name_servers=found.name_servers if found else (),
        certificate_names=kept.certificate.names if kept.certificate else (),
        headers=kept.headers or (),
        endpoints=kept.endpoints or (),
        answered=_answered(kept, found, owned),
        networks_dated=owned.dated,
    )
    contents = {
        FACTS: canonical_json(facts.model_dump(mode="json")),
        fingerprints.FILE: kept.prints.canonical(),
        names.FILE: canonical_json(found.document) if found else None,
        owners.FILE: canonical_json(owned.document) if owned.document else None,
        registration.FILE: canonical_json(registration.document(records)) if records else None,
        TLS: canonical_json(kept.tls) if kept.tls else None,
    } | {record.file: record.body for record in records}
    return Investigation(
        files=tuple(
            written(folder, name, _media_type(name), content)
            for name, content in contents.items()
            if content is not None
        ),
        facts=facts,
        tools=_tools(owned, records),
        missing=(*missing, *kept.missing, *(found.missing if found else ()), *owned.missing, *_unanswered(records)),
    )


def _answered(kept: Kept, found: NameFacts | None, owned: Owned) -> dict[Question, str]:
    """The questions that got an answer, each with the file that holds it."""
    there = {
        Question.ADDRESSES: (names.FILE, found and found.host_answered),
        Question.ALIASES: (names.FILE, found and found.host_answered),
        Question.NAME_SERVERS: (names.FILE, found and found.zone_answered),
        Question.NETWORKS: (owners.FILE, owned.document),
        Question.CERTIFICATE: (TLS, kept.certificate),
        Question.HEADERS: (RESPONSE, kept.headers),
        Question.ENDPOINTS: (APP, kept.endpoints is not None),
    }
    return {question: file for question, (file, answer) in there.items() if answer}


def _unanswered(records: Sequence[Record]) -> tuple[Missing, ...]:
    return tuple(Missing(what=one.file, reason=one.problem[:500]) for one in records if one.problem)


def _tools(owned: Owned, records: Sequence[Record]) -> dict[str, str]:
    tools = {name: version(name) for name in ("cryptography", "dnspython", "httpx", "pillow")}
    if owned.document:
        tools["copy of the networks"] = f"{owned.document['copy']['title']}, {owned.dated}"
    if bootstrapped := next((one.bootstrap for one in records if one.bootstrap), None):
        tools["RDAP bootstrap files"] = str(bootstrapped)
    return tools


def _media_type(name: str) -> str:
    return "application/rdap+json" if name.startswith("rdap-") else "application/json"
