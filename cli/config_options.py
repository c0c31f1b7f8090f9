"""Where the settings of a training run come from: a JSON file or a bundle."""

import json
import typing
from collections.abc import Sequence
from dataclasses import fields

import click


def task_of_bundle(arguments: list[str]) -> str | None:
    """The task of the bundle that --config-from names, if it is among the arguments."""
    for position, each in enumerate(arguments):
        if each.startswith("--config-from="):
            return _read_manifest(each.partition("=")[2])["task"]
        if each == "--config-from" and position + 1 < len(arguments):
            return _read_manifest(arguments[position + 1])["task"]
    return None


def load_config(task: str, file: str | None, config_from: str | None):
    """The task's plan as a file or a bundle has it; its own without either."""
    from dltasks import registry
    from dltasks.config import with_overrides
    from dltasks.errors import ConfigError

    kind = registry.find_task(task)
    config = kind.config()
    if config_from:
        record = _read_manifest(config_from)
        if record["task"] != task:
            raise ConfigError(f"--config-from {config_from}: a bundle of {record['task']}, not of {task}")
        config = with_overrides(config, record["config"])
    if file:
        try:
            with open(file, encoding="utf-8") as opened:
                found = json.load(opened)
        except (OSError, ValueError) as error:
            raise ConfigError(f"{file}: not a JSON file of settings ({error})") from error
        if not isinstance(found, dict):
            raise ConfigError(f'{file}: wanted one JSON object of settings, as "config" in a bundle.json')
        config = with_overrides(config, found.get("config", found))
    return config


def _read_manifest(name: str) -> dict:
    from dltasks.bundle import storage
    from dltasks.errors import ModelError

    folder = storage.find_bundle(name)
    if folder is None:
        raise ModelError(f"--config-from {name}: neither a bundled model nor a bundle folder")
    return storage.read_manifest(folder)


def options(config: type) -> list[click.Option]:
    """An option for each setting of a plan."""
    return [_option(config, each) for each in fields(config)]


def config_from_arguments(task: str, arguments: Sequence[str]):
    """The task's plan with the settings that the arguments of a command name. Raises click.UsageError."""
    from dltasks import registry
    from dltasks.config import with_overrides

    config = registry.find_task(task).config
    context = click.Command("doctor", params=options(config)).make_context("dltasks doctor", list(arguments))
    return with_overrides(
        config(), {name: value for name, value in context.params.items() if value not in (None, ())}
    )


def _option(config: type, each) -> click.Option:
    """The option of one setting; not given is None, and then the plan's own value stands."""
    kind = typing.get_type_hints(config)[each.name]
    many = typing.get_origin(kind) is tuple
    kind = next((k for k in typing.get_args(kind) if k is not type(None)), kind)
    flag = "--" + each.name.replace("_", "-")
    shown = "" if each.default in (None, False, ()) else f"  [default: {each.default}]"
    help = each.metadata["help"] + shown
    if kind is bool:
        return click.Option([f"{flag}/--no-{flag[2:]}"], default=None, help=help)
    choices = each.metadata.get("choices")
    kind = click.Choice(choices) if choices else kind
    return click.Option([flag], type=kind, default=None, multiple=many, help=help)
