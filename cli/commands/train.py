"""Train a network on your own data and write a bundle."""

import difflib
import json
import os
import shlex
import sys
from pathlib import Path

import click

from dltasks.cli import config_options


class Tasks(click.Group):
    """One command a task, its options made from the task's plan; without a task's name, --config-from says which."""

    def list_commands(self, context):
        from dltasks import registry

        return registry.task_names()

    def get_command(self, context, name):
        from dltasks import registry

        return _task_command(name) if name in registry.task_names() else None

    def resolve_command(self, context, arguments):
        task = config_options.task_of_bundle(arguments)
        if task and arguments[0] not in self.list_commands(context):
            arguments = [task, *arguments]
        if arguments[0] not in self.list_commands(context):
            raise click.UsageError(self._unknown(arguments[0], context))
        return super().resolve_command(context, arguments)

    def _unknown(self, name: str, context) -> str:
        known = self.list_commands(context)
        near = difflib.get_close_matches(name, known, 1) or (known[:1] if os.path.exists(name) else [])
        if near and os.path.exists(name):
            return f"{name!r} is not a task; name the task first: dltasks train {near[0]} {name} --out ..."
        hint = (
            f"did you mean {near[0]}?"
            if near
            else f"wanted dltasks train TASK DATA --out ...; tasks: {', '.join(known)}"
        )
        return f"no task {name!r}; {hint}"

    def parse_args(self, context, arguments):
        if "--config-from" in arguments or any(each.startswith("--config-from=") for each in arguments):
            context.ignore_unknown_options = True
            task = config_options.task_of_bundle(arguments)
            if task and not set(arguments) & set(self.list_commands(context)):
                arguments = [task, *arguments]
        return super().parse_args(context, arguments)


@click.group(cls=Tasks, short_help="Train a network on your own data.")
def command():
    """Train a network on your own data and write a bundle: what predicts, what exports, how good it is.

    \b
    dltasks train image flowers/ --out runs/flowers
    dltasks train --config-from runs/flowers more-flowers/ --out runs/more
    """


def _task_command(task: str) -> click.Command:
    from dltasks import registry

    kind = registry.find_task(task)
    parameters = [
        click.Argument(["data"]),
        click.Option(["--out"], required=True, help="Folder that becomes the bundle."),
        click.Option(["--resume"], is_flag=True, help="Go on with an interrupted run."),
        click.Option(
            ["--config"], type=click.Path(exists=True, dir_okay=False), help="Settings from a JSON file."
        ),
        click.Option(["--config-from"], metavar="BUNDLE", help="Settings from a bundle's plan."),
        click.Option(["--data-description"], type=click.Path(exists=True, dir_okay=False), help=_ABOUT),
        click.Option(
            ["--inspect/--no-inspect"],
            default=True,
            help="Look through the data first, and stop at what would spoil the training.",
        ),
        click.Option(["--json", "as_json"], is_flag=True, help="At the end one JSON object."),
        *config_options.options(kind.config),
    ]
    data_description = f"Train on DATA for the task {task}.\n\n\b\ndltasks train {task} DATA --out runs/mine"
    return click.Command(
        task, params=parameters, callback=lambda **given: _run(task, **given), help=data_description
    )


_ABOUT = "A text for the card: where the data comes from, under which licence."


def _run(
    task: str, data, out, resume, config, config_from, data_description, inspect, as_json, **given
) -> None:
    import dltasks
    from dltasks.cli.progress import TerminalProgress

    start = config_options.load_config(task, config, config_from)
    given = {name: value for name, value in given.items() if value not in (None, ())}
    text = Path(data_description).read_text(encoding="utf-8") if data_description else ""
    with TerminalProgress() as progress:
        bundle = dltasks.train(
            task,
            data,
            out,
            config=start,
            resume=resume,
            data_description=text,
            inspect=inspect,
            progress=progress,
            **given,
        )
    test = bundle.manifest["evaluation"]
    if as_json:
        found = (
            {key: test[key] for key in ("count", "scores", "confusion", "tables")}
            if test
            else {"scores": None}
        )
        click.echo(json.dumps({"bundle": str(bundle.path), "data": data, **found}, ensure_ascii=False))
    _say(bundle, test)
    if bundle.manifest["training"]["interrupted"]:
        again = shlex.join(["dltasks", "train", task, data, "--out", out, "--resume"])
        click.echo(f"interrupted; to go on: {again}", err=True)
        sys.exit(130)


def _say(bundle, test) -> None:
    scores = "no test part, so not scored"
    if test:
        for note in test.get("notes", ()):
            click.echo(f"note: {note}", err=True)
        scores = ", ".join(
            f"{name.replace('_', ' ')} {s['value']:.3f} [{s['low']:.3f}, {s['high']:.3f}]"
            for name, s in test["scores"].items()
        )
        scores = (
            f"{scores} on {test['count']} examples" if scores else "no labels in the test part, so not scored"
        )
    click.echo(f"{bundle.path}: {scores}", err=True)
