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

CLI = Path(__file__).parent
TASKS = Path(dltasks.__file__).parent / "tasks"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What an output says that takes no more."""

NOT_VERBS = ("main", "__init__", "options", "output", "report", "settings")


def verbs() -> dict[str, Path]:
    """Files by verb: those beside this one, and those in the folder `verbs` of each task."""
    files = [each for each in CLI.glob("*.py") if each.stem not in NOT_VERBS]
    files += TASKS.glob("*/verbs/*.py")
    return {each.stem.replace("_", "-"): each for each in sorted(files, key=lambda file: file.stem)}


def summary(path: Path) -> str:
    """The first line of a file's docstring, read without importing the file."""
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))).splitlines()[0]


def module(path: Path) -> str:
    """The name by which a verb's file is imported."""
    if path.parent == CLI:
        return f"dltasks.cli.{path.stem}"
    return f"dltasks.tasks.{path.parent.parent.name}.verbs.{path.stem}"


class Verbs(click.Group):
    """A group whose commands are files, imported when they are called."""

    def list_commands(self, context):
        return list(verbs())

    def get_command(self, context, name):
        path = verbs().get(name)
        return importlib.import_module(module(path)).command if path else None

    def format_commands(self, context, formatter):
        with formatter.section("Verbs"):
            formatter.write_dl([(name, summary(path)) for name, path in verbs().items()])

    def resolve_command(self, context, arguments):
        try:
            return super().resolve_command(context, arguments)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(arguments[0], verbs(), 1)
            if near:
                error.message += f" Did you mean {near[0]}?"
            raise


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
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
    from dltasks.errors import DltasksError, SettingError

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
        code = 2 if isinstance(error, SettingError) else 1
    except OSError as error:
        if error.errno not in (errno.EPIPE, *FULL) or error.filename:
            raise
        # What has been written to an output that is closed or full can't be written at the end either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno in FULL:
            click.echo(f"dltasks: standard output: {error.strerror}", err=True)
        code = 1
    sys.exit(code or 0)


if __name__ == "__main__":
    main()
