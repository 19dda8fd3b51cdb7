"""The registry: read and checked at once, each mistake named by file and key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from precinto.adapters.channels.rest import RestChannel
from precinto.adapters.channels.rpz import RpzChannel
from precinto.adapters.channels.smtp import SmtpChannel
from precinto.domain.errors import BadInput, NotFound
from precinto.domain.evidence import NO_LISTS, guard
from precinto.domain.intake import TargetKind, normalise
from precinto.domain.order_document import AuthorityCard
from precinto.domain.policy import on_duty, roles
from precinto.domain.procedures import Bilingual
from precinto.domain.review import Role
from precinto.ports import Registry
from precinto.registry import TomlRegistry, read_registry

SECOND = timedelta(seconds=1)

GOOD = """
authority = "autoridad"
control_resolvers = ["127.0.0.14:20001"]
canary = "ejemplo.test"
sinkholes = ["127.0.1.9", "2001:DB8::1"]

[[officers]]
id = "reviewer-1"
roles = ["reviewer"]

[[officers]]
id = "legal-head"
roles = ["legal_head", "reviewer"]

[[protected]]
name = "GOB.pe."
reason = "government"
source = "public register of state domains"

[[timestamp_authorities]]
name = "uno"
url = "http://127.0.0.1:20020/"
ca_file = "uno.pem"

[[timestamp_authorities]]
name = "dos"
url = "https://tsa.example/stamp"
ca_file = "dos.pem"

[[isps]]
id = "norte"
name = "ISP Norte"
resolvers = ["127.0.0.1:20010", "[::1]:53"]
channel = "rpz"
[isps.options]
primary = "127.0.0.1:20009"
zone = "rpz.precinto.test"
key = "authority-updater"
secret_file = "secrets/updater.key"

[[isps]]
id = "sur"
name = "ISP Sur"
resolvers = ["127.0.0.12:20011"]
channel = "smtp"
[isps.options]
server = "127.0.0.1:20012"
sender = "orders@autoridad.test"
recipient = "orders@sur.test"

[[isps]]
id = "andes"
name = "ISP Andes"
resolvers = ["127.0.0.13:20013"]
channel = "rest"
[isps.options]
url = "https://127.0.0.1:20014"
token_file = "secrets/andes.token"
ca_file = "ca.pem"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A registry's folder with the files that it names."""
    (tmp_path / "secrets").mkdir()
    for name in ("secrets/updater.key", "secrets/andes.token", "ca.pem", "uno.pem", "dos.pem"):
        (tmp_path / name).write_text("content\n")
    return tmp_path


def _read(folder: Path, text: str = GOOD) -> TomlRegistry:
    path = folder / "registry.toml"
    path.write_text(text, encoding="utf-8")
    return read_registry(path)


def test_everything_in_the_file_is_there(folder: Path) -> None:
    registry = _read(folder)
    assert registry.authority == "autoridad"
    assert registry.control_resolvers == ("127.0.0.14:20001",)
    assert registry.canary == "ejemplo.test"
    assert {o.id: o.roles for o in registry.officers} == {
        "reviewer-1": (Role.REVIEWER,),
        "legal-head": (Role.LEGAL_HEAD, Role.REVIEWER),
    }
    assert [(i.id, i.name, i.resolvers, i.channel) for i in registry.isps] == [
        ("norte", "ISP Norte", ("127.0.0.1:20010", "[::1]:53"), "rpz"),
        ("sur", "ISP Sur", ("127.0.0.12:20011",), "smtp"),
        ("andes", "ISP Andes", ("127.0.0.13:20013",), "rest"),
    ]


AWAY = """roles = ["legal_head", "reviewer"]
deputy = "reviewer-1"
away = [{ since = 2026-12-20T00:00:00-05:00, until = 2027-01-04T00:00:00-05:00 }]
"""
HERE = 'roles = ["legal_head", "reviewer"]\n'


def test_a_deputy_stands_in_while_an_officer_is_away(folder: Path) -> None:
    registry = _read(folder, GOOD.replace(HERE, AWAY))
    head = next(one for one in registry.officers if one.id == "legal-head")
    assert head.deputy == "reviewer-1"
    begins, ends = datetime(2026, 12, 20, 5, tzinfo=UTC), datetime(2027, 1, 4, 5, tzinfo=UTC)
    assert (head.away[0].since, head.away[0].until) == (begins, ends)
    moments = (begins - SECOND, begins, ends - SECOND, ends)
    assert [head.is_away(at) for at in moments] == [False, True, True, False]
    for at, is_away in zip(moments, (False, True, True, False), strict=True):
        assert on_duty(registry.officers, Role.LEGAL_HEAD, at) == (("reviewer-1",) if is_away else ("legal-head",))
        assert (Role.LEGAL_HEAD in roles(registry.officers, "reviewer-1", at)) is is_away


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('"reviewer-1"\naway', '"nobody"\naway', "officers.1.deputy: 'nobody' is no other officer of this file"),
        ('"reviewer-1"\naway', '"legal-head"\naway', "officers.1.deputy: 'legal-head' is no other officer"),
        ('deputy = "reviewer-1"\n', "", "officers.1.away: an officer who is away needs a deputy"),
        ("2027-01-04T00:00:00-05:00", "2026-12-20T00:00:00-05:00", "officers.1.away.0"),
        ("2026-12-20T00:00:00-05:00", "2026-12-20T00:00:00", "officers.1.away.0.since"),
        ("2026-12-20T00:00:00-05:00", "2026-12-20", "officers.1.away.0.since"),
    ],
)
def test_an_absence_without_a_deputy_or_without_an_end_is_a_mistake(
    folder: Path, old: str, new: str, complaint: str
) -> None:
    text = GOOD.replace(HERE, AWAY)
    assert old in text
    with pytest.raises(BadInput) as bad:
        _read(folder, text.replace(old, new, 1))
    assert str(bad.value).startswith(f"registry.toml: {complaint}")


def test_it_is_the_port_that_activities_ask_for(folder: Path) -> None:
    registry: Registry = _read(folder)
    assert registry.authority


def test_addresses_and_names_come_in_the_one_spelling_that_others_compare_with(folder: Path) -> None:
    registry = _read(folder)
    assert registry.sinkholes == {"127.0.1.9", "2001:db8::1"}
    assert [p.name for p in registry.protected] == ["gob.pe"]
    assert guard(normalise(TargetKind.DOMAIN, "tramites.gob.pe"), NO_LISTS.joined(registry.protected))


CARD = """
[issuing_authority]
name = { es = "Comisión", en = "Commission" }
address = "Calle del Ensayo 1"
contact = "cumplimiento@autoridad.test"
objections_at = "https://autoridad.test/objeciones"
country = "PE"
"""


def test_the_authority_is_as_its_orders_name_it(folder: Path) -> None:
    card = _read(folder, GOOD + CARD).card
    assert card == AuthorityCard(
        id="autoridad",
        name=Bilingual(es="Comisión", en="Commission"),
        address="Calle del Ensayo 1",
        contact="cumplimiento@autoridad.test",
        objections_at="https://autoridad.test/objeciones",
        country="PE",
    )
    assert not card.unstated


def test_objections_may_go_to_an_e_mail_address(folder: Path) -> None:
    card = _read(folder, GOOD + CARD.replace("https://autoridad.test/objeciones", "objeciones@autoridad.test")).card
    assert card.objections_at == "objeciones@autoridad.test"


def test_an_authority_of_which_nothing_is_stated_is_named_by_its_id(folder: Path) -> None:
    card = _read(folder).card
    assert card == AuthorityCard(id="autoridad", name=Bilingual(es="autoridad", en="autoridad"))


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (', en = "Commission"', "", "issuing_authority.name.en: Field required"),
        ('address = "Calle del Ensayo 1"', "", "issuing_authority.address: Field required"),
        ("cumplimiento@autoridad.test", "cumplimiento", "issuing_authority.contact: "),
        ("https://autoridad.test/objeciones", "javascript:alert(1)", "issuing_authority.objections_at.mail: "),
        ("https://autoridad.test/objeciones", "ftp://autoridad.test/", "issuing_authority.objections_at.web: "),
        ('"PE"', '"Perú"', "issuing_authority.country: "),
        ('"PE"', '"PE"\nfax = "1"', "issuing_authority.fax: Extra inputs"),
    ],
)
def test_a_mistake_about_the_authority_is_named(folder: Path, old: str, new: str, complaint: str) -> None:
    assert old in CARD
    with pytest.raises(BadInput) as bad:
        _read(folder, GOOD + CARD.replace(old, new, 1))
    assert str(bad.value).startswith(f"registry.toml: {complaint}")


def test_time_stamp_authorities_come_with_whole_paths(folder: Path) -> None:
    uno, dos = _read(folder).timestamp_authorities
    assert (uno.name, uno.url, uno.ca_file) == ("uno", "http://127.0.0.1:20020/", folder / "uno.pem")
    assert (dos.name, dos.url, dos.ca_file) == ("dos", "https://tsa.example/stamp", folder / "dos.pem")


def test_each_isp_has_the_channel_it_names_and_keeps_it(folder: Path) -> None:
    registry = _read(folder)
    kinds = {"norte": RpzChannel, "sur": SmtpChannel, "andes": RestChannel}
    for isp, kind in kinds.items():
        assert isinstance(registry.channel(isp), kind)
        assert registry.channel(isp) is registry.channel(isp)


def test_an_isp_gets_orders_in_its_language_spanish_unless_it_says(folder: Path) -> None:
    english = _read(folder, GOOD.replace('name = "ISP Sur"', 'name = "ISP Sur"\nlanguage = "en"'))
    assert {isp.id: isp.language for isp in english.isps} == {"norte": "es", "sur": "en", "andes": "es"}
    with pytest.raises(BadInput, match=r"isps\.1\.language"):
        _read(folder, GOOD.replace('name = "ISP Sur"', 'name = "ISP Sur"\nlanguage = "pt"'))


def test_an_isp_that_is_not_there_is_not_found(folder: Path) -> None:
    with pytest.raises(NotFound, match="'oeste'"):
        _read(folder).channel("oeste")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('authority = "autoridad"', "", "registry.toml: authority: Field required"),
        ('authority = "autoridad"', 'authority = "La Autoridad"', "registry.toml: authority: "),
        ('authority = "autoridad"', 'authority = "autoridad"\nnew = 1', "registry.toml: new: Extra inputs"),
        ('"127.0.0.14:20001"', "", "registry.toml: control_resolvers: "),
        ('"127.0.0.14:20001"', '"127.0.0.14"', "registry.toml: control_resolvers.0: "),
        ('"127.0.0.14:20001"', '"ns.example:53"', "registry.toml: control_resolvers.0: "),
        ('"127.0.0.14:20001"', '"::1:53"', "registry.toml: control_resolvers.0: "),
        ('canary = "ejemplo.test"', 'canary = "-"', "registry.toml: canary: "),
        ('"127.0.1.9"', '"127.0.1.999"', "registry.toml: sinkholes.0: "),
        ('roles = ["reviewer"]', 'roles = ["judge"]', "registry.toml: officers.0.roles.0: Input should be 'operator'"),
        ('roles = ["reviewer"]', "roles = []", "registry.toml: officers.0.roles: "),
        (
            'id = "legal-head"',
            'id = "reviewer-1"',
            "registry.toml: officers.1.id: 'reviewer-1' is taken",
        ),
        ('id = "andes"', 'id = "norte"', "registry.toml: isps.2.id: 'norte' is taken by isps.0"),
        ('id = "andes"', 'id = "a/b"', "registry.toml: isps.2.id: "),
        ('name = "GOB.pe."', 'name = "*.gob.pe"', "registry.toml: protected.0.name: "),
        ('source = "public register of state domains"', "", "registry.toml: protected.0.source: Field required"),
        ('channel = "smtp"', 'channel = "fax"', "registry.toml: isps.1.channel: there is no plugin 'fax'"),
        ('server = "127.0.0.1:20012"', "", "registry.toml: isps.1.options.server: Field required"),
        ('server = "127.0.0.1:20012"', 'server = "mx.sur.test"', "registry.toml: isps.1.options.server: "),
        ('recipient = "orders@sur.test"', 'recipient = "sur"', "registry.toml: isps.1.options.recipient: "),
        ('zone = "rpz', 'zone = "..rpz', "registry.toml: isps.0.options.zone: "),
        ('url = "https://127', 'url = "http://127', "registry.toml: isps.2.options.url: "),
        ('name = "dos"', 'name = "uno"', "registry.toml: timestamp_authorities.1.name: 'uno' is taken by timestamp_"),
        ('name = "dos"', 'name = "../dos"', "registry.toml: timestamp_authorities.1.name: "),
        ('"https://tsa.example/stamp"', '"ftp://tsa.example"', "registry.toml: timestamp_authorities.1.url: "),
        ('"https://tsa.example/stamp"', '"https://"', "registry.toml: timestamp_authorities.1.url: "),
        ('ca_file = "ca.pem"', 'ca_pem = "ca.pem"', "registry.toml: isps.2.options.ca_pem: Extra inputs"),
        ("[[isps]]", "[[isps", "registry.toml: not TOML: "),
    ],
)
def test_a_mistake_is_named_by_file_and_key(folder: Path, old: str, new: str, complaint: str) -> None:
    assert old in GOOD
    with pytest.raises(BadInput) as bad:
        _read(folder, GOOD.replace(old, new, 1))
    assert str(bad.value).startswith(complaint)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("secrets/updater.key", "isps.0.options.secret_file"),
        ("secrets/andes.token", "isps.2.options.token_file"),
        ("ca.pem", "isps.2.options.ca_file"),
        ("dos.pem", "timestamp_authorities.1.ca_file"),
    ],
)
def test_a_file_that_is_missing_is_told_when_the_registry_is_read(folder: Path, name: str, key: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BadInput, match=rf"registry.toml: {key}: .*there is no file .*{name}"):
        _read(folder)


def test_a_registry_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"registry\.toml: cannot be read"):
        read_registry(tmp_path / "registry.toml")


def test_a_registry_of_another_encoding_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "registry.toml").write_bytes('authority = "año"'.encode("cp1252"))
    with pytest.raises(BadInput, match=r"registry\.toml: not TOML"):
        read_registry(tmp_path / "registry.toml")
