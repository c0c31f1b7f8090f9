"""Train a network on your own data and write a bundle."""

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from dltasks.cli import config_options, output
from dltasks.cli.grouping import GroupedCommand, GroupedOption, LazyGroup
from dltasks.cli.names import ModelName, hint, nearest

HELP = """Train a model for the task {task} on DATA, and write a bundle.

\b
dltasks train {task} data/ --out runs/mine
dltasks train {task} data/ --out runs/mine --time-limit 10"""
"""Help of a task's command."""


class TrainGroup(LazyGroup):
    """A command for each task with an option for each of its settings; --config-from may name the task."""

    kind = "task"

    def summaries(self) -> dict[str, str]:
        """The tasks."""
        from dltasks import registry

        return {name: f"Train a model for the task {name}." for name in registry.task_names()}

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The command of the task with this name, or None."""
        return _task_command(name) if name in self.summaries() else None

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        """Insert the task of the bundle that --config-from names where no task is named."""
        if config_options.config_from_argument(arguments) is not None:
            context.ignore_unknown_options = True
            task = _task_of_bundle(context, arguments)
            if task and not set(arguments) & set(self.summaries()):
                arguments = [task, *arguments]
        return super().parse_args(context, arguments)

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The task's command and its arguments. Raises click.UsageError."""
        task = _task_of_bundle(context, arguments)
        if task and arguments[0] not in self.summaries():
            arguments = [task, *arguments]
        return super().resolve_command(context, arguments)

    def unknown_command(self, name: str, known: list[str]) -> str:
        """The message for a name that is no task; often it is the data, and the task was forgotten."""
        if Path(name).exists():
            task = nearest(name, known) or known[0]
            return f"{name!r} is not a task; name the task first: dltasks train {task} {name} --out ..."
        usage = f"expected dltasks train TASK DATA --out ...; tasks: {', '.join(known)}"
        return f"no task {name!r}; {hint(name, known) or usage}"


def _task_of_bundle(context: click.Context, arguments: list[str]) -> str | None:
    """The task of the bundle that --config-from names; None for an unknown bundle during completion."""
    from dltasks.errors import DltasksError

    try:
        return config_options.task_of_bundle(arguments)
    except DltasksError:
        if context.resilient_parsing:
            return None
        raise


@click.group(cls=TrainGroup, options_metavar="", subcommand_metavar="TASK DATA [OPTIONS]")
def command() -> None:
    """Train a network on your own data and write a bundle: the network, the .tflite made of it, and a model
    card.

    \b
    dltasks train image flowers/ --out runs/flowers
    dltasks train --config-from runs/flowers more-flowers/ --out runs/more
    """


def _task_command(task: str) -> click.Command:
    """The command that trains for one task."""
    from dltasks import registry

    settings = config_options.setting_options(registry.find_task(task).config)
    parameters = [*_run_options(), *settings]
    parameters.sort(key=lambda parameter: config_options.group_order(getattr(parameter, "group", "")))
    return GroupedCommand(
        task,
        params=[click.Argument(["data"], type=click.Path()), *parameters],
        callback=lambda **arguments: _train(task, **arguments),
        help=HELP.format(task=task),
    )


def _run_options() -> list[click.Parameter]:
    """The options of every task's command that are no settings."""
    existing_file = click.Path(exists=True, dir_okay=False)
    return [
        GroupedOption(
            ["-o", "--out"],
            group="Run",
            type=click.Path(),
            required=True,
            help="Folder of the new bundle.",
        ),
        GroupedOption(["--resume"], group="Run", is_flag=True, help="Resume an interrupted run."),
        GroupedOption(["--config"], group="Run", type=existing_file, help="Settings from a JSON file."),
        GroupedOption(
            ["--config-from"],
            group="Run",
            type=ModelName(),
            metavar="BUNDLE",
            help="Settings from a bundle's training config.",
        ),
        GroupedOption(
            ["--inspect/--no-inspect"],
            group="Data",
            default=True,
            help="Inspect the data first, and stop at findings that would spoil the training.",
        ),
        GroupedOption(
            ["--data-description"],
            group="Data",
            type=existing_file,
            help="A text file for the model card: the source of the data and its license.",
        ),
        GroupedOption(
            ["--json", "as_json"], group="Output", is_flag=True, help="One JSON object at the end."
        ),
    ]


def _train(
    task: str,
    *,
    data: str,
    out: str,
    resume: bool,
    config: str | None,
    config_from: str | None,
    data_description: str | None,
    inspect: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    import dltasks
    from dltasks.cli.progress import TerminalProgress

    start = config_options.load_config(task, config, config_from)
    description = Path(data_description).read_text(encoding="utf-8") if data_description else ""
    with TerminalProgress() as progress:
        bundle = dltasks.train(
            task,
            data,
            out,
            config=start,
            resume=resume,
            data_description=description,
            inspect=inspect,
            progress=progress,
            **config_options.given_options(settings),
        )
    evaluation = bundle.manifest["evaluation"]
    if as_json:
        keys = ("count", "scores", "confusion", "tables")
        content = {key: evaluation[key] for key in keys} if evaluation else {"scores": None}
        output.print_json({"bundle": str(bundle.path), "data": data, **content})
    _print_scores(bundle.path, evaluation)
    if bundle.manifest["training"]["interrupted"]:
        again = shlex.join(["dltasks", "train", task, data, "--out", out, "--resume"])
        click.echo(f"interrupted; to resume: {again}", err=True)
        sys.exit(130)


def _print_scores(path: Path, evaluation: dict[str, Any] | None) -> None:
    if not evaluation:
        click.echo(f"{path}: no test split, so not scored", err=True)
        return
    for note in evaluation.get("notes", ()):
        output.print_note(note)
    scores = ", ".join(
        f"{name.replace('_', ' ')} {score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"
        for name, score in evaluation["scores"].items()
    )
    on = f"{scores} on {evaluation['count']} examples"
    click.echo(f"{path}: {on if scores else 'no labels in the test split, so not scored'}", err=True)
