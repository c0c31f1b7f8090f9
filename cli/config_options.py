"""Settings of a training run from the command line: one option for each, a JSON file, or a bundle."""

import json
import typing
from collections.abc import Sequence
from dataclasses import Field, fields
from typing import Any

import click

from dltasks.cli.grouping import GroupedOption

TASK_GROUP = "Task"
"""Heading of a setting whose metadata has no "group"."""

COMMON_GROUPS = {
    "epochs": "Schedule",
    "time_limit": "Schedule",
    "batch_size": "Schedule",
    "learning_rate": "Schedule",
    "weight_decay": "Schedule",
    "patience": "Schedule",
    "balance": "Schedule",
    "seed": "Schedule",
    "validation_split": "Data",
    "test_split": "Data",
    "quantize": "Output",
    "weight_dtype": "Output",
}
"""Headings of the settings that every task has."""

GROUPS = ("Run", "Data", TASK_GROUP, "Network", "Schedule", "Augmentation")
"""Headings in the order of --help; a task's own and "Output" follow."""


def option_group(setting: Field[Any]) -> str:
    """The heading of a setting's option."""
    return setting.metadata.get("group") or COMMON_GROUPS.get(setting.name, TASK_GROUP)


def group_order(group: str) -> tuple[bool, int]:
    """The sort key of a heading in --help."""
    return group == "Output", GROUPS.index(group) if group in GROUPS else len(GROUPS)


def config_from_argument(arguments: Sequence[str]) -> str | None:
    """The value of --config-from among the arguments, or None."""
    for position, argument in enumerate(arguments):
        if argument.startswith("--config-from="):
            return argument.partition("=")[2]
        if argument == "--config-from" and position + 1 < len(arguments):
            return arguments[position + 1]
    return None


def task_of_bundle(arguments: Sequence[str]) -> str | None:
    """The task of the bundle that --config-from names, if it is among the arguments. Raises ModelError."""
    name = config_from_argument(arguments)
    return None if name is None else _read_manifest(name)["task"]


def load_config(task: str, file: str | None, config_from: str | None) -> Any:
    """The task's training config with the settings of a bundle, then of a file.

    Raises ConfigError or ModelError.
    """
    from dltasks import registry
    from dltasks.config import with_overrides
    from dltasks.errors import ConfigError

    config = registry.find_task(task).config()
    if config_from:
        manifest = _read_manifest(config_from)
        if manifest["task"] != task:
            raise ConfigError(
                f"--config-from {config_from}: a bundle for the task {manifest['task']}, not {task}"
            )
        config = with_overrides(config, manifest["config"])
    return with_overrides(config, _read_settings(file)) if file else config


def _read_settings(path: str) -> dict[str, Any]:
    """The settings in a JSON file, or in the "config" of a bundle.json. Raises ConfigError."""
    from dltasks.errors import ConfigError

    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: not a JSON file of settings ({error})") from error
    if not isinstance(content, dict):
        raise ConfigError(f'{path}: expected one JSON object of settings, as "config" in a bundle.json')
    return content.get("config", content)


def _read_manifest(name: str) -> dict[str, Any]:
    from dltasks.bundle import storage
    from dltasks.cli.names import hint
    from dltasks.errors import ModelError

    folder = storage.find_bundle(name)
    if folder is None:
        advice = hint(name, storage.bundled_names())
        message = f"--config-from {name}: neither a bundled model nor a bundle folder"
        raise ModelError(f"{message}; {advice}" if advice else message)
    return storage.read_manifest(folder)


def setting_options(config: type) -> list[click.Parameter]:
    """An option for each setting of a class of training configs."""
    return [_setting_option(config, setting) for setting in fields(config)]


def config_from_arguments(task: str, arguments: Sequence[str]) -> Any:
    """The task's training config with the settings among a command's arguments. Raises click.UsageError."""
    from dltasks import registry
    from dltasks.config import with_overrides

    config = registry.find_task(task).config
    caller = click.get_current_context(silent=True)
    options = setting_options(config)
    command = click.Command("doctor", params=options, add_help_option=False)
    try:
        context = command.make_context("dltasks doctor", list(arguments))
    except click.NoSuchOption as error:
        parameters = [*options, *(caller.command.get_params(caller) if caller else ())]
        known = [name for parameter in parameters for name in parameter.opts if name.startswith("-")]
        raise click.NoSuchOption(error.option_name, possibilities=known, ctx=caller) from error
    return with_overrides(config(), given_options(context.params))


def given_options(values: dict[str, Any]) -> dict[str, Any]:
    """The options that were set, of those that `setting_options` made."""
    return {name: value for name, value in values.items() if value not in (None, ())}


def _setting_option(config: type, setting: Field[Any]) -> click.Option:
    """The option of one setting; None if not set, so that the config's own value stays."""
    hint = typing.get_type_hints(config)[setting.name]
    multiple = typing.get_origin(hint) is tuple
    value_type = next((kind for kind in typing.get_args(hint) if kind is not type(None)), hint)
    flag = "--" + setting.name.replace("_", "-")
    default = "" if setting.default in (None, False, ()) else f"  [default: {setting.default}]"
    help = setting.metadata["help"] + default
    group = option_group(setting)
    if value_type is bool:
        return GroupedOption([f"{flag}/--no-{flag[2:]}"], default=None, help=help, group=group)
    choices = setting.metadata.get("choices")
    return GroupedOption(
        [flag],
        type=click.Choice(choices) if choices else value_type,
        default=None,
        multiple=multiple,
        help=help,
        group=group,
    )
