"""Checks of plain values, such as those of JSON, against type annotations and the limits of fields."""

import math
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

MAX_INTEGER = 2**63
"""Magnitude from which on a whole number is refused: nothing measured here is so large."""

TYPE_NAMES = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    type(None): "null",
}


def type_error(value: Any, annotation: Any, name: str) -> str:
    """How a value differs from its type annotation, in a few words; empty if it does not.

    Tuples may be given as lists and dataclasses as mappings; a TypedDict may have more keys than it declares.

    Args:
        value: A plain value.
        annotation: Its expected type.
        name: What the message calls the value.
    """
    if annotation is Any:
        return ""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        errors = [type_error(value, member, name) for member in arguments]
        return "" if "" in errors else max(errors, key=len)
    if annotation in TYPE_NAMES:
        return _scalar_error(value, annotation, name)
    if typing.is_typeddict(annotation) or is_dataclass(annotation):
        return _object_error(value, annotation, name)
    if origin is tuple or origin is list:
        if not isinstance(value, list | tuple):
            return _mismatch(name, value, "a list")
        return _first_type_error((item, arguments[0], f"{name}[{i}]") for i, item in enumerate(value))
    if not isinstance(value, dict):
        return _mismatch(name, value, "an object")
    if not arguments:
        return ""
    return _first_type_error((item, arguments[1], f"{name}.{key}") for key, item in value.items())


def _first_type_error(checks: Iterable[tuple[Any, Any, str]]) -> str:
    return next(filter(None, (type_error(*check) for check in checks)), "")


def _scalar_error(value: Any, annotation: type, name: str) -> str:
    if annotation in (int, float):
        numbers = int if annotation is int else int | float
        matches = isinstance(value, numbers) and not isinstance(value, bool)
    else:
        matches = type(value) is annotation
    if not matches:
        return _mismatch(name, value, TYPE_NAMES[annotation])
    if isinstance(value, int) and abs(value) >= MAX_INTEGER:
        return f"{name} is out of range: its magnitude is {MAX_INTEGER:.0g} or more"
    return ""


def _object_error(value: Any, annotation: Any, name: str) -> str:
    if not isinstance(value, Mapping):
        return _mismatch(name, value, "an object")
    annotations = typing.get_type_hints(annotation)
    if is_dataclass(annotation):
        required = {
            field.name
            for field in fields(annotation)
            if field.default is MISSING and field.default_factory is MISSING
        }
        if unknown := set(value) - set(annotations):
            return f"{name} has an unknown key {min(unknown)!r:.60}"
    else:
        required = annotation.__required_keys__
    if missing := sorted(required - set(value)):
        return f"{name} lacks {missing[0]!r}"
    return _first_type_error(
        (value[key], member, f"{name}.{key}") for key, member in annotations.items() if key in value
    )


def _mismatch(name: str, value: Any, expected: str) -> str:
    return f"{name} is {_display(value)}; expected {expected}"


def _display(value: Any) -> str:
    if isinstance(value, dict | list | tuple):
        return "an object" if isinstance(value, dict) else "a list"
    text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def range_error(value: Any, limits: Mapping[str, Any], name: str) -> str:
    """How a value, or an item of a list or mapping, exceeds the limits of its field; empty if it does not.

    None is always within the limits; infinite numbers and nan never are.

    Args:
        value: A value of the field's type.
        limits: "minimum" and "maximum" (inclusive), "above" (exclusive) and "choices", all optional.
        name: What the message calls the value.
    """
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return next(filter(None, (range_error(item, limits, name) for item in value)), "")
    if value is None:
        return ""
    if isinstance(value, float) and not math.isfinite(value):
        return _mismatch(name, value, "a finite number")
    minimum, maximum, above, choices = map(limits.get, ("minimum", "maximum", "above", "choices"))
    if choices and value not in choices:
        return _mismatch(name, value, f"one of {', '.join(choices)}")
    if (
        (minimum is not None and value < minimum)
        or (maximum is not None and value > maximum)
        or (above is not None and value <= above)
    ):
        return _mismatch(name, value, _describe_range(minimum, maximum, above))
    return ""


def _describe_range(minimum: float | None, maximum: float | None, above: float | None) -> str:
    if minimum is not None and maximum is not None:
        return f"{minimum:g} to {maximum:g}"
    bounds = (("at least", minimum), ("more than", above), ("at most", maximum))
    return " and ".join(f"{words} {bound:g}" for words, bound in bounds if bound is not None)
