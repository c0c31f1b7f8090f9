"""How long work is shown: lines on standard error, and on a terminal a bar for what is under way."""

import sys

import click

from dltasks.cli.output import bars
from dltasks.progress import Progress


class TerminalProgress(Progress):
    """Lines, and on a terminal a bar below them."""

    def __init__(self):
        self._bars = self._task = self._text = None

    def __enter__(self):
        if sys.stderr.isatty():
            self._bars = bars()
            self._bars.start()
        return self

    def __exit__(self, *_):
        if self._bars:
            self._bars.stop()

    def log(self, text):
        if self._bars:
            self._bars.console.print(text, highlight=False, markup=False)
        else:
            click.echo(text, err=True)

    def update(self, text, done, total):
        if not self._bars:
            return
        if text != self._text:
            if self._task is not None:
                self._bars.remove_task(self._task)
            self._task, self._text = self._bars.add_task(text, total=total), text
        self._bars.update(self._task, completed=done)
