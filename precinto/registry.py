"""The registry: who the authority works with, as one TOML file that a person keeps.

Everything in it is checked when it is read, the options of each channel too: a typing mistake shows when a process
starts, with file and key, not weeks later when an order is due.
"""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import idna
from pydantic import AfterValidator, BaseModel, Discriminator, Field, Tag, ValidationError, model_validator

from precinto.adapters.channels.mail import MailAddress
from precinto.domain.errors import BadInput, NotFound
from precinto.domain.guards import ProtectedName
from precinto.domain.model import Instant, Value, first_wrong
from precinto.domain.order_document import AuthorityCard, Country
from precinto.domain.procedures import Bilingual, Language
from precinto.domain.review import Absence, Officer, Role
from precinto.endpoints import AddressPort
from precinto.plugins import ChannelPlugin, ExistingFile, load_channel
from precinto.ports import Channel, Isp

Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
"""Lower-case letters, digits and hyphens: ids become parts of queue names, workflow ids and addresses."""


def _a_labels(name: str) -> str:
    # Guards compare A-labels in lower case: a name kept in any other spelling would protect nothing.
    try:
        return idna.encode(name.rstrip("."), uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise ValueError(f"{name!r} is not a host name: {error}") from error


def _address(text: str) -> str:
    return str(ipaddress.ip_address(text))


Name = Annotated[str, AfterValidator(_a_labels)]
Address = Annotated[str, AfterValidator(_address)]


class _Away(Value):
    since: Instant
    until: Instant

    @model_validator(mode="after")
    def _forwards(self) -> _Away:
        if self.until <= self.since:
            raise ValueError("an absence ends after it begins")
        return self


class _Officer(Value):
    id: Id
    roles: tuple[Role, ...] = Field(min_length=1)
    deputy: Id | None = None
    away: tuple[_Away, ...] = ()


class _Protected(Value):
    name: Name
    reason: str = Field(min_length=1)
    source: str = Field(min_length=1)


class _Isp(Value):
    id: Id
    name: str = Field(min_length=1)
    resolvers: tuple[AddressPort, ...] = Field(min_length=1)
    channel: str
    language: Language = "es"
    options: dict[str, Any] = Field(default_factory=dict)


def _web_address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.fragment:
        raise ValueError(f"{text!r} is not an address, such as http://tsa.example/stamp")
    return text


WebAddress = Annotated[str, AfterValidator(_web_address)]


class _IssuingAuthority(Value):
    name: Bilingual
    address: str = Field(min_length=1, max_length=500)
    contact: MailAddress
    objections_at: Annotated[
        Annotated[WebAddress, Tag("web")] | Annotated[MailAddress, Tag("mail")],
        Discriminator(lambda given: "web" if "://" in str(given) else "mail"),
    ]
    country: Country


class TimestampAuthority(Value):
    """A time-stamp authority (RFC 3161).

    Attributes:
        name: Short id; the token of a bundle is named by it.
        url: Where it answers. Plain HTTP will do: its answers prove themselves.
        ca_file: Its root, PEM, with those between where its tokens lack them.
    """

    name: Id
    url: WebAddress
    ca_file: ExistingFile


class _File(Value):
    authority: Id
    issuing_authority: _IssuingAuthority | None = None
    control_resolvers: tuple[AddressPort, ...] = Field(min_length=1)
    canary: Name
    sinkholes: tuple[Address, ...] = ()
    officers: tuple[_Officer, ...] = Field(min_length=1)
    protected: tuple[_Protected, ...] = ()
    timestamp_authorities: tuple[TimestampAuthority, ...] = ()
    isps: tuple[_Isp, ...] = Field(min_length=1)


class TomlRegistry:
    """Port ``Registry``, from a file; ``read_registry`` makes it.

    Attributes:
        authority: Id of the authority.
        card: The authority as its orders name it; without an ``[issuing_authority]``, by its id alone.
        officers: Its officers.
        isps: The ISPs that get its orders.
        protected: The guard lists, names as lower-case A-labels.
        sinkholes: Addresses that answer for blocked names.
        timestamp_authorities: Who stamps the evidence; the paths of their files are whole.
        control_resolvers: Resolvers under no order, ``address:port``; the first is asked first.
        canary: A name under no order that every resolver must find.
    """

    def __init__(self, file: _File, plugins: Mapping[str, tuple[ChannelPlugin, BaseModel]], folder: Path) -> None:
        self.authority: str = file.authority
        self.card: AuthorityCard = _card(file.authority, file.issuing_authority)
        self.officers: Sequence[Officer] = tuple(
            Officer(
                id=o.id,
                roles=o.roles,
                deputy=o.deputy,
                away=tuple(Absence(since=one.since, until=one.until) for one in o.away),
            )
            for o in file.officers
        )
        self.isps: Sequence[Isp] = tuple(
            Isp(id=i.id, name=i.name, resolvers=i.resolvers, channel=i.channel, language=i.language) for i in file.isps
        )
        self.protected: Sequence[ProtectedName] = tuple(
            ProtectedName(name=p.name, reason=p.reason, source=p.source) for p in file.protected
        )
        self.sinkholes: frozenset[str] = frozenset(file.sinkholes)
        self.timestamp_authorities: Sequence[TimestampAuthority] = tuple(
            one.model_copy(update={"ca_file": folder / one.ca_file}) for one in file.timestamp_authorities
        )
        self.control_resolvers: Sequence[str] = file.control_resolvers
        self.canary: str = file.canary
        self._plugins = plugins
        self._folder = folder
        self._channels: dict[str, Channel] = {}

    @property
    def own_addresses(self) -> frozenset[str]:
        """Addresses of the sinkholes and of the ISPs' resolvers."""
        resolvers = (resolver.rpartition(":")[0].strip("[]") for isp in self.isps for resolver in isp.resolvers)
        return self.sinkholes | frozenset(resolvers)

    def channel(self, isp: str) -> Channel:
        """The channel to an ISP: made when it is first needed, then kept.

        Raises:
            NotFound: No such ISP.
        """
        if isp not in self._plugins:
            raise NotFound(f"the registry has no ISP {isp!r}")
        if isp not in self._channels:
            plugin, options = self._plugins[isp]
            self._channels[isp] = plugin(isp, options, self._folder)
        return self._channels[isp]


def read_registry(path: Path) -> TomlRegistry:
    """Read and check a registry file.

    Raises:
        BadInput: It cannot be read, is not TOML, or something in it is wrong; names file, key and reason.
    """
    folder = path.resolve().parent
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
        file = _File.model_validate(read, context={"folder": folder})
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path.name}: not TOML: {error}") from error
    except ValidationError as error:
        raise BadInput(f"{path.name}: {': '.join(first_wrong(error))}") from error
    stampers = [one.name for one in file.timestamp_authorities]
    _refuse_duplicates(path.name, "officers", "id", [officer.id for officer in file.officers])
    _refuse_unknown_deputies(path.name, file.officers)
    _refuse_duplicates(path.name, "timestamp_authorities", "name", stampers)
    _refuse_duplicates(path.name, "isps", "id", [isp.id for isp in file.isps])
    plugins = {isp.id: _plugin(f"{path.name}: isps.{n}", isp, folder) for n, isp in enumerate(file.isps)}
    return TomlRegistry(file, plugins, folder)


def _card(authority: str, stated: _IssuingAuthority | None) -> AuthorityCard:
    if stated is None:
        return AuthorityCard(id=authority, name=Bilingual(es=authority, en=authority))
    return AuthorityCard(id=authority, **dict(stated))


def _plugin(where: str, isp: _Isp, folder: Path) -> tuple[ChannelPlugin, BaseModel]:
    try:
        plugin = load_channel(isp.channel)
    except (NotFound, BadInput) as error:
        raise BadInput(f"{where}.channel: {error}") from error
    try:
        return plugin, plugin.Options.model_validate(isp.options, context={"folder": folder})
    except ValidationError as error:
        raise BadInput(f"{where}.options.{': '.join(first_wrong(error))}") from error


def _refuse_unknown_deputies(where: str, officers: Sequence[_Officer]) -> None:
    known = {one.id for one in officers}
    for n, one in enumerate(officers):
        if one.deputy is not None and (one.deputy not in known or one.deputy == one.id):
            raise BadInput(f"{where}: officers.{n}.deputy: {one.deputy!r} is no other officer of this file")
        if one.away and one.deputy is None:
            raise BadInput(f"{where}: officers.{n}.away: an officer who is away needs a deputy")


def _refuse_duplicates(where: str, table: str, key: str, ids: Sequence[str]) -> None:
    for n, one in enumerate(ids):
        if one in ids[:n]:
            raise BadInput(f"{where}: {table}.{n}.{key}: {one!r} is taken by {table}.{ids.index(one)}")
