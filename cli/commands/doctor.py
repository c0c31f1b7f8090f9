"""Say what is wrong with data before anything is trained on it, and mend it."""

import json
import os
import sys

import click

from dltasks.cli import config_options, options, output

COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


@click.command(
    short_help="Say what is wrong with data, before training.",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("data")
@click.option("--task", help="What it is to be trained for; told by the data if not given.")
@click.option(
    "--fix", is_flag=True, help="Move what is in the way to DATA.quarantine, with a list; delete nothing."
)
@click.option("--undo", is_flag=True, help="Put back all that --fix moved.")
@options.JSON
@click.argument("rest", nargs=-1, type=click.UNPROCESSED, metavar="[SETTING]...")
def command(data, task, fix, undo, as_json, rest):
    """Look through DATA, laid out as for training: files that can't be read, copies within and across parts and classes, tiny
    and uneven classes, misspelt names, silent sounds, columns that leak the label, and more. Settings of `dltasks train` that
    say how data is read (--label, --time, --text...) may follow. Exit code 1 if something would end the training or spoil its
    scores.

    \b
    dltasks doctor flowers/
    dltasks doctor flowers/ --fix
    """
    if fix and undo:
        raise click.UsageError("--fix or --undo, not both")
    if undo:
        sys.exit(_undo(data, as_json))
    from dltasks import registry
    from dltasks.cli.progress import TerminalProgress
    from dltasks.doctor.inspect import detect_task, inspect

    if task and task not in registry.task_names():
        raise click.BadParameter(
            f"{task!r}; there are {', '.join(registry.task_names())}", param_hint="--task"
        )
    task = task or detect_task(data)
    config = config_options.config_from_arguments(task, rest)
    with TerminalProgress() as progress:
        found = inspect(task, data, config, progress)
        moved, left = _fixed(found, data, config, progress) if fix else (None, found)
    if as_json:
        mended = {} if moved is None else {"moved": moved, "left": left.to_json()["findings"]}
        click.echo(json.dumps({"data": data, **found.to_json(), **mended}, ensure_ascii=False))
    else:
        _show(found)
        click.echo(f"{data}: {found.summary()}", err=True)
        if moved:
            click.echo(f"without these {left.summary()}", err=True)
    sys.exit(1 if left.errors else 0)


def _fixed(found, data: str, config, progress):
    """How many were moved, and what is found once they are gone."""
    from dltasks import registry
    from dltasks.doctor import findings, quarantine
    from dltasks.doctor.inspect import inspect

    if not any(each.removable for each in found.findings):
        so_many = any(each.fix.endswith(findings.TOO_MANY) for each in found.findings)
        why = "half of the data or more would go" if so_many else "there is nothing that could be"
        progress.log(f"nothing was moved: {why}")
        return 0, found
    moved, where = quarantine.quarantine(found.findings, data, registry.find_task(found.task).drop_rows)
    progress.log(f"moved {moved:,} to {os.path.relpath(where)}; dltasks doctor {data} --undo puts them back")
    return moved, inspect(found.task, data, config, progress)


def _undo(data: str, as_json: bool) -> int:
    from dltasks.doctor import quarantine

    count, problems = quarantine.restore(data)
    if as_json:
        click.echo(json.dumps({"data": data, "put_back": count, "problems": problems}, ensure_ascii=False))
        return 1 if problems else 0
    click.echo(f"{count:,} file{'s' * (count != 1)} put back")
    for each in problems:
        output.complain(each)
    return 1 if problems else 0


def _show(found) -> None:
    if not sys.stdout.isatty():
        for each in found.findings:
            examples = "; ".join(each.examples)
            line = (each.severity, each.kind, str(each.count), each.message, each.fix, examples)
            click.echo("\t".join(line))
        return
    plain = bool(os.environ.get("NO_COLOR"))
    for each in found.findings:
        severity = f"{each.severity:<8}"
        click.echo(
            (severity if plain else click.style(severity, fg=COLOURS[each.severity], bold=True))
            + each.message
        )
        for line in (*each.examples, *(["..."] if len(each.affected_items) > len(each.examples) else [])):
            click.echo(f"            {line}")
        if each.fix:
            click.echo(f"          > {each.fix}")
