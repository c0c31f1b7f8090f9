"""Help texts with options in groups and examples; groups of commands that are imported when called."""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from dltasks.cli.names import hint

OTHER = "Options"
"""Heading of the options without a group of their own, such as --help."""

EXAMPLES = "\n\n\b\n"
"""Start of the last paragraph of a command's docstring: its examples, one per line."""

if TYPE_CHECKING:  # only completion needs it
    from click.shell_completion import CompletionItem


class GroupedOption(click.Option):
    """An option that knows the heading under which --help lists it."""

    def __init__(self, *arguments: Any, group: str = OTHER, **attributes: Any):
        super().__init__(*arguments, **attributes)
        self.group = group


def option(*names: str, group: str, **attributes: Any) -> Callable[[Any], Any]:
    """As click.option, listed under the heading `group`."""
    return click.option(*names, cls=GroupedOption, group=group, **attributes)


class GroupedCommand(click.Command):
    """A command whose --help lists its options by group, then its examples."""

    def __init__(self, name: str | None, *, help: str | None = None, **attributes: Any):
        text, _, examples = inspect.cleandoc(help or "").rpartition(EXAMPLES)
        super().__init__(name, help=text or examples, **attributes)
        self.examples = examples.splitlines() if text else []

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """The options under the headings of their groups, in the order of their definition."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(context):
            row = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
            if row:
                groups.setdefault(getattr(parameter, "group", OTHER), []).append(row)
        others = groups.pop(OTHER)
        for heading, rows in (*groups.items(), (OTHER, others)):
            with formatter.section(heading):
                formatter.write_dl(rows)

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, never wrapped, so that they can be copied."""
        if not self.examples:
            return
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}{example}\n")


class LazyGroup(GroupedCommand, click.Group):
    """A group whose `get_command` imports a command when it is called; mistyped names get the nearest."""

    kind = "command"

    def summaries(self) -> dict[str, str]:
        """The names of the commands, each with one line for --help; imports none of them."""
        raise NotImplementedError

    def list_commands(self, context: click.Context) -> list[str]:
        """The names of the commands."""
        return list(self.summaries())

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """The options, then the commands."""
        super().format_options(context, formatter)
        self.format_commands(context, formatter)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """One line for each command."""
        with formatter.section(f"{self.kind.capitalize()}s"):
            formatter.write_dl(list(self.summaries().items()))

    def shell_complete(self, context: click.Context, incomplete: str) -> "list[CompletionItem]":
        """The commands and options that begin with `incomplete`."""
        from click.shell_completion import CompletionItem

        commands = [
            CompletionItem(name, help=summary)
            for name, summary in self.summaries().items()
            if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, context, incomplete)]

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first argument names, and its arguments. Raises click.UsageError."""
        name, known = arguments[0], self.list_commands(context)
        if name in known or name.startswith("-") or context.resilient_parsing:
            return super().resolve_command(context, arguments)
        raise click.UsageError(self.unknown_command(name, known), context)

    def unknown_command(self, name: str, known: list[str]) -> str:
        """The message for a name that is none of the commands."""
        advice = hint(name, known) or f"{self.kind}s: {', '.join(known)}"
        return f"no {self.kind} {name!r}; {advice}"
