"""The dltasks command: lists the verbs, imports one when it is typed, turns errors into one line."""

import ast
import errno
import importlib
import os
import sys
import warnings
from pathlib import Path

import click

import dltasks

COMMANDS = Path(__file__).parent / "commands"
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a standard output that takes no more."""


def command_files() -> dict[str, Path]:
    """The file of each command, by the command's name."""
    files = sorted(path for path in COMMANDS.glob("*.py") if path.stem != "__init__")
    return {path.stem.replace("_", "-"): path for path in files}


def first_docstring_line(path: Path) -> str:
    """The first line of a file's docstring, read without importing the file."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]


class LazyCommands(click.Group):
    """A group whose commands are files, imported when they are called."""

    def list_commands(self, context):
        return list(command_files())

    def get_command(self, context, name):
        path = command_files().get(name)
        return importlib.import_module(f"dltasks.cli.commands.{path.stem}").command if path else None

    def format_commands(self, context, formatter):
        with formatter.section("Commands"):
            formatter.write_dl([(name, first_docstring_line(path)) for name, path in command_files().items()])

    def resolve_command(self, context, arguments):
        try:
            return super().resolve_command(context, arguments)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(arguments[0], command_files(), 1)
            if near:
                error.message += f" Did you mean {near[0]}?"
            raise


@click.group(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(dltasks.__version__, prog_name="dltasks")
def group():
    """Train a small network on your own folder, and ask it from the command line or a phone.

    \b
    dltasks classify photo.jpg
    dltasks recognize word.wav
    dltasks train image flowers/ --out runs/flowers
    """


def main():
    """Run the command and leave with its exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    # One thread for numpy's linear algebra, set before its import: the command starts much sooner.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Libraries warn of what is odd in a file; an answer, or one line of ours, is what is said of it.
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    for stream in (sys.stdout, sys.stderr):
        # Names of files need not be text.
        stream.reconfigure(errors="backslashreplace")
    from dltasks.errors import ConfigError, DltasksError

    try:
        code = group.main(standalone_mode=False, prog_name="dltasks")
        sys.stdout.flush()
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        code = 130
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except DltasksError as error:
        click.echo(f"dltasks: {error}", err=True)
        code = 2 if isinstance(error, ConfigError) else 1
    except OSError as error:
        if error.errno not in (errno.EPIPE, *DISK_FULL) or error.filename:
            raise
        # What has been written to an output that is closed or full can't be written at the end either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno in DISK_FULL:
            click.echo(f"dltasks: standard output: {error.strerror}", err=True)
        code = 1
    sys.exit(code or 0)


if __name__ == "__main__":
    main()
