"""Progress of long work: lines on standard error, and on a terminal a bar for the work under way."""

import sys
from typing import Any

import click

from dltasks.cli.output import progress_bars
from dltasks.progress import Progress


class TerminalProgress(Progress):
    """Lines, and on a terminal a bar below them."""

    def __init__(self) -> None:
        self._bars: Any = None
        self._bar: Any = None
        self._text: str | None = None

    def __enter__(self) -> "TerminalProgress":
        if sys.stderr.isatty():
            self._bars = progress_bars()
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars:
            self._bars.stop()

    def log(self, text: str) -> None:
        """A line on standard error."""
        if self._bars:
            self._bars.console.print(text, highlight=False, markup=False)
        else:
            click.echo(text, err=True)

    def update(self, text: str, done: int, total: int) -> None:
        """Move the bar, a new one where the text has changed."""
        if not self._bars:
            return
        if text != self._text:
            if self._bar is not None:
                self._bars.remove_task(self._bar)
            self._bar, self._text = self._bars.add_task(text, total=total), text
        self._bars.update(self._bar, completed=done)
