"""The demo: the story of three stream rippers, played on real parts in the lab, in under a minute."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from precinto.cli.output import AsJson, Exit, emit, stdout
from precinto.shipped import FOLDER

if TYPE_CHECKING:
    from precinto.domain.referral_files import Row
    from precinto.settings import Settings

REFERRALS = Path(__file__).resolve().parents[2] / "examples" / "referrals" / "stream-rippers.csv"
PROCEDURE = FOLDER / "procedures" / "demo.toml"
_MARK = ".precinto-demo"


def demo(
    interactive: Annotated[bool, typer.Option("--interactive", help="You are the reviewers.")] = False,
    stay: Annotated[bool, typer.Option("--stay", help="Keep everything running afterwards, until Ctrl-C.")] = False,
    home: Annotated[Path, typer.Option(help="Folder that the demo makes anew and keeps.")] = Path("var/demo"),
    output: Annotated[Path, typer.Option(help="Where the record of the demo goes.")] = Path("demo.json"),
    pace: Annotated[float, typer.Option(min=1.0, help="Makes every legal term this many times longer.")] = 1.0,
    as_json: AsJson = False,
) -> int:
    """Play whole cases in the lab, in a minute.

    Referral, evidence, review, three ISPs, a lie found and corrected, the end of the order, the measured unblock.
    """
    from precinto.domain import referral_files
    from precinto.domain.errors import CannotHere
    from precinto.settings import Settings

    if not REFERRALS.exists():
        raise CannotHere("the demo and its lab are in the source tree, not in what was installed")
    rows = referral_files.read(REFERRALS.read_bytes(), REFERRALS.name)
    # Nothing of the environment: whoever has set up a real installation must be able to play the demo beside it.
    settings = Settings.model_construct(
        home=_fresh(home), procedure=_paced(home, pace), sweep_seconds=1.5 * pace, log_level="INFO"
    )
    record = asyncio.run(_play(settings, rows, interactive=interactive, stay=stay, quiet=as_json))
    output.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if as_json:
        emit(record)
    else:
        stdout().print(f"written to {output}; everything of this run is in {home}")
    return Exit.OK if record["ok"] else Exit.FAILED


async def _play(settings: Settings, rows: list[Row], *, interactive: bool, stay: bool, quiet: bool) -> dict[str, Any]:
    from precinto.cli.playground import lab_settings
    from precinto.cli.screen import Screen
    from precinto.cli.story import Story, open_place

    with Screen(live=not interactive, quiet=quiet) as screen:
        screen.say("opening the lab: sites, name servers, three ISPs, mail")
        async with lab_settings(settings) as (on_lab, lab), open_place(on_lab, screen.say) as place:
            screen.say(f"Temporal UI: {place.ui}")
            record = await Story(place, lab, screen, interactive=interactive).play(rows)
            screen.close()
            if stay:
                stdout().print(f"Temporal UI: {place.ui}\nStill running; Ctrl-C ends it.")
                await asyncio.Event().wait()
            return record


def _fresh(home: Path) -> Path:
    """The demo's own folder, empty; a folder that is not the demo's is never touched."""
    from precinto.domain.errors import BadInput

    mark = home / _MARK
    if home.exists():
        if any(home.iterdir()) and not mark.exists():
            raise BadInput(f"--home: {home} is not empty and not a demo's: name another folder")
        shutil.rmtree(home)
    home.mkdir(parents=True)
    mark.touch()
    return home


def _paced(home: Path, pace: float) -> Path:
    """The demo's procedure; another pace makes a file of its own."""
    if pace == 1.0:
        return PROCEDURE
    import re

    text = PROCEDURE.read_text(encoding="utf-8")
    paced = re.sub(r"^seconds = (\d+)$", lambda m: f"seconds = {round(int(m[1]) * pace)}", text, flags=re.MULTILINE)
    path = home / "procedure.toml"
    path.write_text(paced, encoding="utf-8")
    return path
