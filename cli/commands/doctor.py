"""Find problems in data before training, and fix them."""

import os
import sys
from typing import Any

import click

from dltasks.cli import config_options, options, output
from dltasks.cli.grouping import GroupedCommand, option
from dltasks.cli.names import TaskName

COLORS = {"error": "red", "warning": "yellow", "note": "cyan"}
"""Colors of the severities on a terminal."""


@click.command(cls=GroupedCommand, context_settings={"ignore_unknown_options": True})
@options.data_argument
@option(
    "--task",
    group=options.INPUT,
    type=TaskName(),
    help="Task that the data is for (default: detected from the data).",
)
@option(
    "--fix",
    group="Fixes",
    is_flag=True,
    help="Move the problem files or rows to DATA.quarantine, with a list; delete nothing.",
)
@option("--undo", group="Fixes", is_flag=True, help="Put back everything that --fix moved.")
@options.json_output
@click.argument("settings", nargs=-1, type=click.UNPROCESSED, metavar="[SETTING]...")
def command(
    data: str, task: str | None, fix: bool, undo: bool, as_json: bool, settings: tuple[str, ...]
) -> None:
    """Inspect DATA, laid out as for training: unreadable files, duplicates within and across splits and
    classes, tiny and imbalanced classes, similar class names, silent sounds, columns that leak the label,
    and more. Settings of `dltasks train` that say how data is read (--label, --time, --text ...) may
    follow. Exit code 1 where a finding would end the training or spoil its scores.

    \b
    dltasks doctor flowers/
    dltasks doctor flowers/ --fix
    """
    if data.startswith("-"):
        known = [name for parameter in command.params for name in parameter.opts]
        raise click.NoSuchOption(data, f"No option {data!r} before DATA.", [*known, "--help"])
    if fix and undo:
        raise click.UsageError("--fix or --undo, not both")
    if undo:
        sys.exit(_undo(data, as_json))
    from dltasks.cli.progress import TerminalProgress
    from dltasks.doctor.inspect import detect_task, inspect

    task = task or detect_task(data)
    config = config_options.config_from_arguments(task, settings)
    with TerminalProgress() as progress:
        inspection = inspect(task, data, config, progress)
        moved, remaining = _fix(inspection, data, config, progress) if fix else (None, inspection)
    if as_json:
        fixed = {} if moved is None else {"moved": moved, "left": remaining.to_json()["findings"]}
        output.print_json({"data": data, **inspection.to_json(), **fixed})
    else:
        _print_findings(inspection)
        click.echo(f"{data}: {inspection.summary()}", err=True)
        if moved:
            click.echo(f"after the fix: {remaining.summary()}", err=True)
    sys.exit(1 if remaining.errors else 0)


def _fix(inspection: Any, data: str, config: Any, progress: Any) -> tuple[int, Any]:
    """The number of files or rows moved, and the inspection of the remaining data."""
    from dltasks import registry
    from dltasks.doctor import findings, quarantine
    from dltasks.doctor.inspect import inspect

    if not any(finding.removable for finding in inspection.findings):
        too_many = any(finding.fix.endswith(findings.TOO_MANY) for finding in inspection.findings)
        reason = "half of the data or more would go" if too_many else "there is nothing that could be"
        progress.log(f"nothing was moved: {reason}")
        return 0, inspection
    drop_rows = registry.find_task(inspection.task).drop_rows
    moved, folder = quarantine.quarantine(inspection.findings, data, drop_rows)
    progress.log(f"moved {moved:,} to {os.path.relpath(folder)}; dltasks doctor {data} --undo puts them back")
    return moved, inspect(inspection.task, data, config, progress)


def _undo(data: str, as_json: bool) -> int:
    """The exit code once the quarantined files and rows are back."""
    from dltasks.doctor import quarantine

    count, problems = quarantine.restore(data)
    if as_json:
        output.print_json({"data": data, "put_back": count, "problems": problems})
        return 1 if problems else 0
    click.echo(f"{count:,} file{'s' * (count != 1)} put back")
    for problem in problems:
        output.print_error(problem)
    return 1 if problems else 0


def _print_findings(inspection: Any) -> None:
    """On a terminal a paragraph for each finding, elsewhere a tab-separated line."""
    for finding in inspection.findings:
        if sys.stdout.isatty():
            _print_paragraph(finding)
            continue
        examples = "; ".join(finding.examples)
        fields = (
            finding.severity,
            finding.kind,
            str(finding.count),
            finding.message,
            finding.fix,
            examples,
        )
        click.echo("\t".join(fields))


def _print_paragraph(finding: Any) -> None:
    severity = f"{finding.severity:<8}"
    if not os.environ.get("NO_COLOR"):
        severity = click.style(severity, fg=COLORS[finding.severity], bold=True)
    click.echo(severity + finding.message)
    for example in finding.examples:
        click.echo(f"            {example}")
    if len(finding.affected_items) > len(finding.examples):
        click.echo("            ...")
    if finding.fix:
        click.echo(f"          > {finding.fix}")
