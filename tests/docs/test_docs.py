"""The documentation is whole, its links lead somewhere, and the files that it names exist."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from pydantic import BaseModel

from precinto.cli import app, run
from precinto.cli.cases import Verb
from precinto.cli.output import Exit
from precinto.domain import errors
from precinto.domain.notification import Action, Measure, Notice, notice_id
from precinto.domain.order_document import OrderDocument
from precinto.domain.policy import MAY
from precinto.domain.procedures import Procedure, Term
from precinto.domain.review import Outcome, Role
from precinto.plugins import Group, installed, load_channel
from precinto.procedures import load_procedure
from precinto.registry import read_registry
from precinto.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PAGES = sorted(
    [*DOCS.rglob("*.md"), *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"))]
)
SOURCES = [
    path for folder in ("precinto", "workflows", "activities") for path in sorted((ROOT / folder).rglob("*.py"))
]

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_NAMED = re.compile(
    r"`((?:precinto|workflows|activities|lab|bench|tests|tools|migrations|procedures|examples|deploy|docs)/[\w./-]+)`"
)
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def page(name: str) -> str:
    """A page of the reference."""
    return (REFERENCE / name).read_text(encoding="utf-8")


def ids(path: Path) -> str:
    """What a test of one page is called."""
    return str(path.relative_to(ROOT))


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command with its whole name."""
    if not hasattr(command, "commands"):
        yield " ".join(path), command
        return
    for name, part in command.commands.items():
        yield from commands(part, (*path, name))


COMMANDS = dict(commands(typer.main.get_command(app)))


def section(text: str, name: str) -> str:
    """The part of the command line's page that is about a command."""
    found = re.search(rf"^### `{re.escape(name)}[^\n]*`\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"docs/reference/cli.md has no section for the command {name!r}"
    return found[1]


class TestReference:
    @pytest.mark.parametrize("name", Settings.model_fields)
    def test_every_setting_is_documented_with_its_default(self, name: str) -> None:
        row = re.search(rf"^\| `PRECINTO_{name.upper()}` \| (.+?) \|", page("settings.md"), re.MULTILINE)
        assert row, f"docs/reference/settings.md has no row for PRECINTO_{name.upper()}"
        default = json.loads(Settings.model_construct().model_dump_json())[name]
        shown = default if isinstance(default, str) else json.dumps(default)
        assert row[1] == ("empty" if shown in {"", "null"} else f"`{shown}`")

    def test_no_setting_is_documented_that_there_is_not(self) -> None:
        known = {f"PRECINTO_{name.upper()}" for name in Settings.model_fields}
        for path in [*PAGES, ROOT / "docker-compose.yml", ROOT / ".env.example"]:
            named = set(re.findall(r"PRECINTO_[A-Z_]+", path.read_text(encoding="utf-8")))
            assert named <= known, f"{ids(path)} names {sorted(named - known)}"

    @pytest.mark.parametrize("name", COMMANDS)
    def test_every_command_and_option_is_documented(self, name: str) -> None:
        text = page("cli.md")
        own = section(text, name)
        for parameter in COMMANDS[name].params:
            if parameter.param_type_name == "option":
                for option in set(parameter.opts) - {"--help"}:
                    assert f"| `{option}" in own, f"{name} {option}"

    def test_no_command_is_documented_that_there_is_not(self) -> None:
        titles = re.findall(r"^### `([a-z ]+?)(?: [A-Z\[].*)?`$", page("cli.md"), re.MULTILINE)
        assert sorted(titles) == sorted(COMMANDS)

    @pytest.mark.parametrize(
        "wrong", [["nope"], ["refer"], ["decide", "x", "perhaps"], ["cases", "--nope"], []], ids=str
    )
    def test_a_mistake_in_the_command_line_ends_as_documented(self, wrong: list[str]) -> None:
        assert run(wrong) == Exit.USAGE

    @pytest.mark.parametrize("code", Exit)
    def test_every_exit_code_is_documented(self, code: Exit) -> None:
        assert f"| {code.value} | `{code.name}` |" in page("exit-codes.md")

    def test_every_error_is_documented(self) -> None:
        tree = [
            one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.PrecintoError)
        ]
        assert len(tree) > 5
        for one in tree:
            assert f"| `{one.__name__}` |" in page("errors.md")

    def test_every_code_of_a_refusal_is_documented(self) -> None:
        refusal = re.compile(r'(?:Refused|IllegalTransition)\(\s*"([a-z_]+)"')
        noted = re.compile(r'refuse\(\s*session, [\w.]+, [\w.]+, "([a-z_]+)"')
        texts = [path.read_text(encoding="utf-8") for path in SOURCES]
        codes = {code for text in texts for code in (*refusal.findall(text), *noted.findall(text))}
        assert "superseded" in codes
        assert len(codes) > 10
        assert not [code for code in sorted(codes) if f"`{code}`" not in page("errors.md")]

    def test_every_action_of_the_ledger_is_documented(self) -> None:
        appended = re.compile(r'append\(\s*session, "([a-z_]+)"')
        raised = re.compile(r'raise_escalation\(\s*session, [\w.]+, "([a-z_]+)"')
        actions = {name for path in SOURCES for name in appended.findall(path.read_text(encoding="utf-8"))}
        escalations = {name for path in SOURCES for name in raised.findall(path.read_text(encoding="utf-8"))}
        assert actions
        assert escalations
        assert not [name for name in sorted(actions | escalations) if f"| `{name}` |" not in page("ledger.md")]

    @pytest.mark.parametrize("group", Group)
    def test_every_group_of_entry_points_is_documented(self, group: Group) -> None:
        text = (DOCS / "how-to" / "add-an-isp-channel.md").read_text(encoding="utf-8")
        assert f"`{group.value}`" in text

    @pytest.mark.parametrize("channel", ["smtp", "rest", "rpz"])
    def test_every_option_of_a_channel_is_documented(self, channel: str) -> None:
        assert channel in installed(Group.CHANNELS)
        text = page("registry.md")
        own = text[text.index(f"### Options of `{channel}`") :].split("\n#", 1)[0].split("\n### ", 1)[0]
        for name, field in load_channel(channel).Options.model_fields.items():
            default = "needed" if field.is_required() else None
            if isinstance(field.default, bool | int | float) and not field.is_required():
                default = f"`{json.dumps(field.default)}`"
            assert f"| `{name}` | {default or ''}" in own, f"{channel}: {name}"

    def test_the_keys_of_the_registry_are_documented(self) -> None:
        import tomllib

        whole = tomllib.loads((ROOT / "examples" / "registry.toml").read_text(encoding="utf-8"))
        tables = [whole, *(table for key in ("officers", "protected", "isps") for table in whole[key])]
        for key in {key for table in tables for key in table}:
            assert f"| `{key}` |" in page("registry.md")

    @pytest.mark.parametrize("role", Role)
    def test_every_role_is_documented_with_what_it_may_decide(self, role: Role) -> None:
        rows = dict(re.findall(r"^\| (`[a-z_`, ]+`) \| (.+) \|$", page("registry.md"), re.MULTILINE))
        said = next(text for names, text in rows.items() if f"`{role.value}`" in names)
        if said.startswith("as `reviewer`"):
            said = rows["`reviewer`"]
        assert {one for one in Outcome if f"`{one.value}`" in said} == {one for one in Outcome if role in MAY[one]}

    @pytest.mark.parametrize("outcome", Verb)
    def test_every_outcome_of_decide_is_documented(self, outcome: Verb) -> None:
        assert f"`{outcome.value}`" in section(page("cli.md"), "decide")

    @pytest.mark.parametrize("term", [name for name, f in Procedure.model_fields.items() if f.annotation is Term])
    def test_every_term_is_documented(self, term: str) -> None:
        assert f"| `{term}` |" in page("procedures.md")

    def test_the_notice_that_is_shown_is_a_notice(self) -> None:
        shown = json.loads(re.findall(r"```json\n(.*?)```", page("notice.md"), re.DOTALL)[0])
        item = shown["items"][0]
        notice = Notice(
            id=notice_id("order", 1, shown["isp"], 0),
            order=shown["order"],
            version=shown["version"],
            isp=shown["isp"],
            action=Action(shown["action"]),
            reminder=shown["reminder"],
            valid_from=shown["from"],
            valid_until=shown["until"],
            items=(Measure(id=item["measure"], target=item["target"]),),
            documents=tuple(
                OrderDocument(language=language, content="0" * 64, **digests)
                for language, digests in shown["documents"].items()
            ),
        )
        assert notice.document() | {"notice": ""} == shown | {"notice": ""}
        for key in shown:
            assert f"`{key}`" in page("notice.md")


class TestPages:
    @pytest.mark.parametrize("path", PAGES, ids=ids)
    def test_links_lead_somewhere(self, path: Path) -> None:
        text = _FENCE.sub("", path.read_text(encoding="utf-8"))
        for link in _LINK.findall(text):
            if re.match(r"[a-z]+:", link):
                continue
            file, _, anchor = link.partition("#")
            target = (path.parent / file).resolve() if file else path
            assert target.exists(), f"{link} leads nowhere"
            assert target.is_relative_to(ROOT)
            if anchor and target.suffix == ".md":
                titles = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
                assert anchor in {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}

    @pytest.mark.parametrize("path", PAGES, ids=ids)
    def test_files_that_are_named_exist(self, path: Path) -> None:
        for named in _NAMED.findall(_FENCE.sub("", path.read_text(encoding="utf-8"))):
            assert (ROOT / named).exists(), f"{named} does not exist"

    @pytest.mark.parametrize("path", sorted(DOCS.rglob("*.md")), ids=ids)
    def test_every_page_is_reached_from_the_index(self, path: Path) -> None:
        linked = {(DOCS / link.partition("#")[0]).resolve() for link in _LINK.findall((DOCS / "index.md").read_text())}
        assert path == DOCS / "index.md" or path in linked

    def test_the_code_names_only_pages_that_there_are(self) -> None:
        for path in [
            *SOURCES,
            ROOT / "docker-compose.yml",
            ROOT / ".env.example",
            ROOT / "examples" / "registry.toml",
        ]:
            for named in re.findall(r"docs/[\w/-]+(?:\.md)?", path.read_text(encoding="utf-8")):
                adr = re.fullmatch(r"docs/adr/(\d{4})", named)
                found = list((DOCS / "adr").glob(f"{adr[1]}-*.md")) if adr else [ROOT / named]
                assert any(one.exists() for one in found), f"{ids(path)} names {named}"

    def test_numbers_of_decisions_are_given_once(self) -> None:
        numbers = [path.name[:4] for path in sorted((DOCS / "adr").glob("*.md"))]
        assert numbers == [f"{n:04}" for n in range(1, len(numbers) + 1)]


class TestExamples:
    def test_the_registry_is_read(self, tmp_path: Path) -> None:
        """With the secret files that it names, which no repository holds."""
        text = (ROOT / "examples" / "registry.toml").read_text(encoding="utf-8")
        (tmp_path / "registry.toml").write_text(text, encoding="utf-8")
        for name in re.findall(r'^\w+_file = "(.+)"$', text, re.MULTILINE):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text("secret\n")
        registry = read_registry(tmp_path / "registry.toml")
        assert {isp.channel for isp in registry.isps} == {"rpz", "smtp", "rest"}

    @pytest.mark.parametrize("path", sorted((ROOT / "examples" / "procedures").glob("*.toml")), ids=ids)
    def test_procedures_are_read(self, path: Path) -> None:
        assert load_procedure(path).name == path.stem

    def test_the_channel_of_the_how_to_is_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        text = (DOCS / "how-to" / "add-an-isp-channel.md").read_text(encoding="utf-8")
        (tmp_path / "dropbox_for_precinto.py").write_text(re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0])
        metadata = tmp_path / "dropbox_for_precinto-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: dropbox-for-precinto\nVersion: 1.0\n")
        points = re.findall(r"```toml\n\[project\.entry-points\.\"(.+?)\"\]\n(.+?)\n```", text, re.DOTALL)[0]
        (metadata / "entry_points.txt").write_text("[{}]\n{}\n".format(points[0], points[1].replace('"', "")))
        monkeypatch.syspath_prepend(tmp_path)
        options = load_channel("dropbox").Options
        assert issubclass(options, BaseModel)
        assert options.model_validate({"drop": "outbox"})


class TestCompose:
    def test_the_file_is_of_the_compose_specification(self) -> None:
        check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
        done = subprocess.run([*check, ROOT / "docker-compose.yml"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout

    def test_every_file_that_it_mounts_or_builds_from_is_there(self) -> None:
        text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
        scripts = re.findall(r"\./(deploy/[\w.-]+):", text)
        assert scripts
        for name in [*scripts, "Dockerfile", "requirements.lock"]:
            assert (ROOT / name).exists()
        for name in scripts:
            assert (ROOT / name).stat().st_mode & 0o111, f"{name} must be executable"

    def test_images_have_a_version_and_none_sets_itself_up(self) -> None:
        images = re.findall(r"^\s+image: (\S+)$", (ROOT / "docker-compose.yml").read_text("utf-8"), re.MULTILINE)
        assert images
        for image in images:
            assert re.search(r":(\d+\.\d+|\$\{IMAGE_TAG)", image), image
            assert "auto-setup" not in image
