"""What the demo shows: a table that lives, with the timeline below it; off a terminal, the timeline alone."""

from __future__ import annotations

import time
from collections import deque
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from precinto.cli.cases import case_table
from precinto.cli.output import stderr, stdout
from precinto.store.overview import CaseLine

_LINES = 18


class Screen:
    """The demo's screen; use it as a context manager.

    Args:
        live: Redraw in place, where there is a terminal.
        quiet: Standard output is for JSON: tell everything on standard error.
    """

    def __init__(self, *, live: bool, quiet: bool) -> None:
        self._console: Console = stderr() if quiet else stdout()
        self._started = time.monotonic()
        self._closed = False
        self._cases: list[CaseLine] = []
        self._timeline: list[Text] = []
        self._newest: deque[Text] = deque(maxlen=_LINES)
        self._live = Live(console=self._console, refresh_per_second=4) if live and self._console.is_terminal else None

    def __enter__(self) -> Screen:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def seconds(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self._started

    def say(self, text: str, style: str = "") -> None:
        """Add a line to the timeline, in a style of rich's."""
        line = Text(f"{self.seconds:6.1f} s  {text}", style=style)
        self._timeline.append(line)
        self._newest.append(line)
        if self._live:
            self._draw()
        else:
            self._console.print(line, soft_wrap=True)

    def show(self, cases: list[CaseLine]) -> None:
        """Show where the cases are."""
        if cases != self._cases:
            self._cases = cases
            self._draw()

    def close(self) -> None:
        """End the redrawing and leave the whole story on the terminal, with the table as it stands."""
        if self._closed:
            return
        self._closed = True
        if self._live:
            self._live.update(Text(""))
            self._live.stop()
            self._live = None
            self._console.print(Text("\n").join(self._timeline), soft_wrap=True)
        if self._cases:
            self._console.print()
            self._console.print(case_table(self._cases))

    def _draw(self) -> None:
        if self._live:
            lines = Text("\n", no_wrap=True, overflow="ellipsis").join(self._newest)
            self._live.update(Group(case_table(self._cases), Text(""), lines))
