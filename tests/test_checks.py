"""What the doctor looks at, where the command's own tests in ``tests/cli/test_machine.py`` do not."""

from __future__ import annotations

import shutil
from collections import namedtuple
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from precinto import checks
from precinto.adapters.seals.identity import issue_sealing_identity
from precinto.checks import Check, Status, check_all
from precinto.settings import Settings
from precinto.store import Store

RECIPES = Path(__file__).resolve().parents[1] / "recipes"


async def check(settings: Settings, what: str) -> Check:
    """The one line about something."""
    [found] = [one for one in await check_all(settings) if one.what == what]
    return found


async def test_the_checks_come_in_the_order_in_which_they_depend_on_one_another(tmp_path: Path) -> None:
    names = [one.what for one in await check_all(Settings(home=tmp_path))]
    order = [
        names.index(name) for name in ("chromium", "temporal", "disk", "registry", "procedure", "database", "engine")
    ]
    assert order == sorted(order)


async def test_a_browser_that_is_named_but_not_there_is_a_failure(tmp_path: Path) -> None:
    found = await check(Settings(home=tmp_path, chromium=tmp_path / "no-browser"), "chromium")
    assert found.status is Status.FAIL
    assert "PRECINTO_CHROMIUM" in found.found


async def test_a_browser_that_is_named_and_there_is_used(tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.touch(0o755)
    found = await check(Settings(home=tmp_path, chromium=browser), "chromium")
    assert (found.status, found.found) == (Status.OK, str(browser))


async def test_the_disk_of_a_home_is_looked_at_before_there_is_a_home(tmp_path: Path) -> None:
    found = await check(Settings(home=tmp_path / "not" / "yet" / "there"), "disk")
    assert found.found.endswith(f" GB free in {tmp_path}")


async def test_a_disk_that_is_nearly_full_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The size is made up: a test cannot fill a disk."""
    usage = namedtuple("usage", "total used free")(10**12, 10**12, checks.LOW_DISK_BYTES - 1)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    found = await check(Settings(home=tmp_path), "disk")
    assert (found.status, found.found) == (Status.WARN, f"2.0 GB free in {tmp_path}")
    assert found.hint


async def test_a_cluster_of_ones_own_needs_no_server_on_this_machine(tmp_path: Path) -> None:
    names = [one.what for one in await check_all(Settings(home=tmp_path, temporal_address="127.0.0.1:1"))]
    assert "temporal" not in names


async def test_an_address_that_is_none_is_a_failure_of_the_engine(tmp_path: Path) -> None:
    found = await check(Settings(home=tmp_path, temporal_address="no such host:1"), "engine")
    assert found.status is Status.FAIL
    assert "is not host:port" in found.found


async def test_a_home_without_a_sealing_identity_is_told_how_to_get_one(tmp_path: Path) -> None:
    found = await check(Settings(home=tmp_path), "sealing")
    assert found.status is Status.WARN
    assert "bootstrap" in found.hint


async def test_a_sealing_identity_says_until_when_it_is_valid(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    issue_sealing_identity(settings.sealing_folder, "autoridad")
    found = await check(settings, "sealing")
    assert found.status is Status.OK
    assert str((datetime.now(UTC) + timedelta(days=730)).year) in found.found


SMALL = """
authority = "autoridad"
control_resolvers = ["192.0.2.53:53"]
canary = "canary.example.org"
[[officers]]
id = "operator-1"
roles = ["operator"]
[[isps]]
id = "norte"
name = "Norte"
resolvers = ["192.0.2.54:53"]
channel = "smtp"
[isps.options]
server = "192.0.2.55:25"
sender = "orders@autoridad.example"
recipient = "desk@norte.example"
"""


async def test_too_few_time_stamp_authorities_are_a_failure_that_says_what_follows(tmp_path: Path) -> None:
    registry = tmp_path / "registry.toml"
    registry.write_text(SMALL)
    found = await check(Settings(home=tmp_path, registry=registry), "time stamps")
    assert found.status is Status.FAIL
    assert "nothing can be approved" in found.found


async def test_an_authority_that_its_orders_could_not_name_is_a_warning(tmp_path: Path) -> None:
    registry = tmp_path / "registry.toml"
    registry.write_text(SMALL)
    settings = Settings(home=tmp_path, registry=registry)
    found = await check(settings, "orders")
    assert found.status is Status.WARN
    assert found.found == "orders do not state the authority's address, contact, objections_at, country"
    registry.write_text(f"""{SMALL}
[issuing_authority]
name = {{ es = "Comisión", en = "Commission" }}
address = "Calle del Ensayo 1"
contact = "cumplimiento@autoridad.example"
objections_at = "objeciones@autoridad.example"
country = "PE"
""")
    assert (await check(settings, "orders")).found == "issued by Commission"


@pytest.fixture
def recipes(tmp_path: Path) -> Path:
    """A copy of our recipes to adapt."""
    return shutil.copytree(RECIPES, tmp_path / "recipes")


async def test_a_test_video_that_exists_in_the_lab_only_is_a_warning_outside_of_it(tmp_path: Path) -> None:
    found = await check(Settings(home=tmp_path, recipes=RECIPES), "recipes")
    assert found.status is Status.WARN
    assert found.found == "stream-ripper types https://video.test/watch?v=precinto, which exists in the lab only"
    assert "test_url" in found.hint


async def test_in_the_lab_it_is_as_it_should_be(tmp_path: Path) -> None:
    found = await check(Settings(home=tmp_path, recipes=RECIPES, lab=True), "recipes")
    assert (found.status, found.found) == (Status.OK, "5 recipes")


async def test_a_test_video_of_the_authoritys_own_is_well(tmp_path: Path, recipes: Path) -> None:
    path = recipes / "stream-ripper.toml"
    path.write_text(path.read_text().replace("https://video.test/watch?v=precinto", "https://video.example/ours"))
    found = await check(Settings(home=tmp_path, recipes=recipes), "recipes")
    assert (found.status, found.found) == (Status.OK, "5 recipes")


@pytest.mark.parametrize("name", ["other.toml", "apps/app-download.toml"])
async def test_a_recipe_that_cannot_be_read_is_a_failure_that_names_it(
    name: str, tmp_path: Path, recipes: Path
) -> None:
    (recipes / name).write_text('id = "other"')
    found = await check(Settings(home=tmp_path, recipes=recipes), "recipes")
    assert found.status is Status.FAIL
    assert found.found.startswith(f"{Path(name).name}: ")
    assert "PRECINTO_RECIPES" in found.hint


async def test_programs_that_keep_the_readers_of_apps_within_limits_must_be_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await check(Settings(home=tmp_path), "apps")).status is Status.OK
    monkeypatch.setenv("PATH", str(tmp_path))
    found = await check(Settings(home=tmp_path), "apps")
    assert found.status is Status.WARN
    assert (found.found, found.hint) == ("apps cannot be read without prlimit, setpriv", "apt install util-linux")


@pytest.mark.parametrize(
    ("ago", "status", "found"),
    [(None, Status.WARN, "has not gone round yet"), (60, Status.OK, "UTC"), (600, Status.WARN, "and is late")],
)
async def test_a_watch_that_does_not_go_round_is_a_warning(
    tmp_path: Path, sqlite_store: Store, ago: int | None, status: Status, found: str
) -> None:
    if ago is not None:
        last = datetime.now(UTC) - timedelta(seconds=ago)
        await sqlite_store.watch.begin(last, timedelta(minutes=1))
        await sqlite_store.watch.done(last)
    url = sqlite_store.database.url.render_as_string(hide_password=False)
    line = await check(Settings(home=tmp_path, database_url=SecretStr(url)), "watch")
    assert line.status is status
    assert line.found.endswith(found)
    assert bool(line.hint) == (status is Status.WARN)
