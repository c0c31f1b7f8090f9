"""The dltasks command: lists the commands, imports one when it is called, turns errors into one line."""

import ast
import errno
import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path

import click

import dltasks
from dltasks.cli import commands
from dltasks.cli.grouping import LazyGroup

COMMANDS = Path(commands.__path__[0])

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a standard output without space left."""


def command_files() -> dict[str, Path]:
    """The file of each command, by the command's name."""
    files = sorted(path for path in COMMANDS.glob("*.py") if path.stem != "__init__")
    return {path.stem.replace("_", "-"): path for path in files}


def first_docstring_line(path: Path) -> str:
    """The first line of a file's docstring, read without importing the file."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]


class LazyCommands(LazyGroup):
    """A group whose commands are the files of the folder cli/commands."""

    def summaries(self) -> dict[str, str]:
        """The commands, each with the first line of its file."""
        return {name: first_docstring_line(path) for name, path in command_files().items()}

    def list_commands(self, context: click.Context) -> list[str]:
        """The names of the commands."""
        return list(command_files())

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The command with this name, or None."""
        path = command_files().get(name)
        return importlib.import_module(f"dltasks.cli.commands.{path.stem}").command if path else None


@click.group(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(dltasks.__version__, prog_name="dltasks")
def group() -> None:
    """Train a small neural network on your own data, get one .tflite file, and predict with it.

    \b
    dltasks classify photo.jpg
    dltasks recognize word.wav
    dltasks train image flowers/ --out runs/flowers
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit with its code: 0 success, 1 failure, 2 wrong usage, 130 interrupted.

    arguments: those of the process by default.
    """
    # One thread for numpy's linear algebra, set before its import: the command starts much sooner.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Libraries warn of oddities in files; users get predictions, or one line of ours.
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # File names need not be text.
            stream.reconfigure(errors="backslashreplace")
    sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    """The exit code of the command."""
    from dltasks.errors import ConfigError, DltasksError

    try:
        code = group.main(arguments, standalone_mode=False, prog_name="dltasks")
        sys.stdout.flush()
        return code or 0
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except DltasksError as error:
        click.echo(f"dltasks: {error}", err=True)
        return 2 if isinstance(error, ConfigError) else 1
    except OSError as error:
        if error.errno not in (errno.EPIPE, *DISK_FULL) or error.filename:
            raise
        # An output that is closed or full can't take the rest of its buffer at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno in DISK_FULL:
            click.echo(f"dltasks: standard output: {error.strerror}", err=True)
        return 1


if __name__ == "__main__":
    main()
