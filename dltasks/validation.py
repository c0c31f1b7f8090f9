"""Whether plain values, as JSON gives them, are of the types that annotations say, and within the limits that fields set."""

import math
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

MAX_INTEGER = 2**63
"""Whole numbers beyond it are no measure of anything here, and too long to be shown."""

TYPE_NAMES = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    type(None): "null",
}


def type_error(value: Any, hint: Any, where: str) -> str:
    """What of a value is not as its hint says, in a few words; nothing where all is.

    where: what the value is called. Tuples come as lists, dataclasses as objects; a TypedDict may have more than it says.
    """
    if hint is Any:
        return ""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        found = [type_error(value, each, where) for each in inner]
        return "" if "" in found else max(found, key=len)
    if hint in TYPE_NAMES:
        return _scalar(value, hint, where)
    if typing.is_typeddict(hint) or is_dataclass(hint):
        return _object(value, hint, where)
    if origin is tuple or origin is list:
        if not isinstance(value, list | tuple):
            return _expected(where, value, "a list")
        pairs = ((each, inner[0], f"{where}[{i}]") for i, each in enumerate(value))
    else:
        if not isinstance(value, dict):
            return _expected(where, value, "an object")
        pairs = ((each, inner[1], f"{where}.{name}") for name, each in value.items()) if inner else ()
    return next(filter(None, (type_error(*each) for each in pairs)), "")


def _scalar(value: Any, hint: type, where: str) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    good = (
        number and (hint is float or isinstance(value, int)) if hint in (int, float) else type(value) is hint
    )
    if not good:
        return _expected(where, value, TYPE_NAMES[hint])
    if isinstance(value, int) and abs(value) >= MAX_INTEGER:
        return f"{where} is beyond {MAX_INTEGER:.0g}"
    return ""


def _object(value: Any, hint: type, where: str) -> str:
    if not isinstance(value, Mapping):
        return _expected(where, value, "an object")
    hints = typing.get_type_hints(hint)
    if is_dataclass(hint):
        required = {e.name for e in fields(hint) if e.default is MISSING and e.default_factory is MISSING}
        if more := set(value) - set(hints):
            return f"{where} has a {min(more)!r:.60}, which is not known"
    else:
        required = hint.__required_keys__
    if missing := sorted(required - set(value)):
        return f"{where} lacks {missing[0]!r}"
    pairs = ((value[name], each, f"{where}.{name}") for name, each in hints.items() if name in value)
    return next(filter(None, (type_error(*each) for each in pairs)), "")


def _expected(where: str, value: Any, wanted: str) -> str:
    return f"{where} is {_display(value)}; wanted {wanted}"


def _display(value: Any) -> str:
    if isinstance(value, dict | list | tuple):
        return "an object" if isinstance(value, dict) else "a list"
    shown = "null" if value is None else repr(value)
    return shown if len(shown) <= 60 else f"{shown[:60]}..."


def range_error(value: Any, limits: Mapping[str, Any], where: str) -> str:
    """What of a value, or of one of a tuple of them, lies beyond the limits of its field, in a few words; nothing where all is
    within.

    limits: "minimum" and "maximum", allowed themselves, and "choices". None is within any; infinity and what is no number are
    beyond.
    """
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return next(filter(None, (range_error(each, limits, where) for each in value)), "")
    least, most, choices = map(limits.get, ("minimum", "maximum", "choices"))
    if value is None:
        return ""
    if isinstance(value, float) and not math.isfinite(value):
        return f"{where} is {value}; wanted a number"
    if choices is not None and value not in choices:
        return f"{where} is {_display(value)}; wanted {', '.join(choices)}"
    if (least is not None and not value >= least) or (most is not None and not value <= most):
        bounds = f"at least {least:g}" if most is None else f"{least:g} to {most:g}"
        return f"{where} is {_display(value)}; wanted {bounds}"
    return ""
