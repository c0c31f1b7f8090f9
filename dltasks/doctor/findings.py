"""What an inspection finds: findings, their severity, where the items are, and how to fix them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dltasks.errors import DataError
from dltasks.parallel import parallel_map
from dltasks.progress import Progress

ERROR, WARNING, NOTE = SEVERITIES = ("error", "warning", "note")
"""An error would end the training or make its scores wrong; a warning costs quality; a note is good to know."""

MAX_EXAMPLES, MAX_WIDTH = 5, 160
"""Examples of a finding that people are shown, and the characters of one."""


CHUNK_SIZE = 32
"""Items that are looked at as one piece of work."""

TOO_MANY = "look whether the data is what it should be"


@dataclass(frozen=True)
class Location:
    """Where an item of a data set stands: a file, or a row of one, counted as the task counts them."""

    path: Path
    row: int | None = None


@dataclass(frozen=True)
class Finding:
    """One thing that is out of order.

    kind: its name. count: items it touches. found, advice: a line each, what it is and what to do. named: these items, or
    groups of them. offenders: what a fix takes out of the data; nothing where only a person can say. fatal: whether training
    can't be done at all.
    """

    kind: str
    severity: str
    count: int
    message: str
    fix: str
    affected_items: tuple[str, ...] = field(default=(), repr=False)
    removable: tuple[Location, ...] = field(default=(), repr=False)
    fatal: bool = False

    @property
    def examples(self) -> tuple[str, ...]:
        """The first that are named, long ones cut."""
        return tuple(
            each if len(each) <= MAX_WIDTH else each[: MAX_WIDTH - 3] + "..."
            for each in self.affected_items[:MAX_EXAMPLES]
        )

    def __str__(self) -> str:
        shown = (
            f" ({', '.join(self.examples[:3])}{', ...' if len(self.affected_items) > 3 else ''})"
            if self.affected_items
            else ""
        )
        return f"{self.message}{shown}{f'; {self.fix}' if self.fix else ''}"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        plain = {name: getattr(self, name) for name in ("kind", "severity", "count", "message", "fix")}
        return plain | {
            "examples": list(self.examples),
            "fixable": len(self.removable),
            "affected_items": list(self.affected_items),
        }


@dataclass(frozen=True)
class Inspection:
    """What was found in `count` items ("photos", say) of a data set, the worst first.

    failure: why nothing could be looked at, if so; it is among the findings too.
    """

    task: str
    count: int
    unit: str
    findings: tuple[Finding, ...]
    failure: DataError | None = None

    @property
    def errors(self) -> list[Finding]:
        """The findings that a training stops at."""
        return [each for each in self.findings if each.severity == ERROR]

    def summary(self) -> str:
        """How many of each severity, for people."""
        parts = []
        for severity in SEVERITIES:
            count = sum(each.severity == severity for each in self.findings)
            parts.append(f"{count} {severity}{'s' * (count != 1)}")
        return f"{self.count:,} {self.unit}: {', '.join(parts)}"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        findings = [each.to_json() for each in self.findings]
        return {"task": self.task, "count": self.count, "unit": self.unit, "findings": findings}


def map_inputs(
    raws: Sequence[Any], look: Callable[[Sequence[Any]], list[Any]], progress: Progress
) -> list[Any]:
    """What `look` gives for each raw input, or the DataError in its place; it is given some at a time, on all cores."""
    chunks = [raws[at : at + CHUNK_SIZE] for at in range(0, len(raws), CHUNK_SIZE)]
    looks: list[Any] = []
    for found in parallel_map(look, chunks):
        looks += found
        progress.update("inspecting", len(looks), len(raws))
    return looks


def count_of(count: int, one: str, many: str) -> str:
    """ "1 photo" or "12 photos"."""
    return f"{count:,} {one if count == 1 else many}"


def indices_by_value(values: Sequence[Any]) -> dict[Any, list[int]]:
    """Positions by what stands there; None is no value."""
    places: dict[Any, list[int]] = {}
    for position, value in enumerate(values):
        if value is not None:
            places.setdefault(value, []).append(position)
    return places


def group_equal(values: Sequence[Any]) -> Iterator[list[int]]:
    """Groups of two or more positions where the same stands."""
    return (places for places in indices_by_value(values).values() if len(places) > 1)
