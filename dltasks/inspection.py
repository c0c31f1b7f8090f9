"""What is wrong with a data set, found before anything is trained on it: findings, and what to do about each."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dltasks import tasks
from dltasks.errors import DataError, RowsError
from dltasks.labelled import require_there
from dltasks.plan import Plan
from dltasks.report import Report
from dltasks.runtime import in_order

ERROR, WARNING, NOTE = SEVERITIES = ("error", "warning", "note")
"""An error would end the training or make its scores wrong; a warning costs quality; a note is good to know."""

SHOWN, WIDE = 5, 160
"""Examples of a finding that people are shown, and the characters of one."""


CHUNK = 32
"""Items that are looked at as one piece of work."""

SO_MANY = "look whether the data is what it should be"


@dataclass(frozen=True)
class Place:
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
    found: str
    advice: str
    named: tuple[str, ...] = field(default=(), repr=False)
    offenders: tuple[Place, ...] = field(default=(), repr=False)
    fatal: bool = False

    @property
    def examples(self) -> tuple[str, ...]:
        """The first that are named, long ones cut."""
        return tuple(each if len(each) <= WIDE else each[: WIDE - 3] + "..." for each in self.named[:SHOWN])

    def __str__(self) -> str:
        shown = (
            f" ({', '.join(self.examples[:3])}{', ...' if len(self.named) > 3 else ''})" if self.named else ""
        )
        return f"{self.found}{shown}{f'; {self.advice}' if self.advice else ''}"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        plain = {name: getattr(self, name) for name in ("kind", "severity", "count", "found", "advice")}
        return plain | {
            "examples": list(self.examples),
            "fixable": len(self.offenders),
            "named": list(self.named),
        }


@dataclass(frozen=True)
class Inspection:
    """What was found in `count` items ("photos", say) of a data set, the worst first.

    failure: why nothing could be looked at, if so; it is among the findings too.
    """

    task: str
    count: int
    things: str
    findings: tuple[Finding, ...]
    failure: DataError | None = None

    @property
    def errors(self) -> list[Finding]:
        """The findings that a training stops at."""
        return [each for each in self.findings if each.severity == ERROR]

    def told(self) -> str:
        """How many of each severity, for people."""
        parts = []
        for severity in SEVERITIES:
            count = sum(each.severity == severity for each in self.findings)
            parts.append(f"{count} {severity}{'s' * (count != 1)}")
        return f"{self.count:,} {self.things}: {', '.join(parts)}"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        findings = [each.to_json() for each in self.findings]
        return {"task": self.task, "count": self.count, "things": self.things, "findings": findings}


def inspect(task: str, source: Any, plan: Plan | None = None, report: Report | None = None) -> Inspection:
    """Look at the data that `task` is to be trained on, with the settings of `plan`; nothing is changed.

    Raises ModelError where there is no such task; what is wrong with the data is in the findings.
    """
    kind = tasks.find(task)
    try:
        found = kind().inspect(source, plan or kind.plan(), report or Report())
    except DataError as error:
        rows = error.rows if isinstance(error, RowsError) else ()
        places = tuple(Place(Path(error.path), row) for row in rows)
        advice = "mend them, or take them out (--fix)" if places else ""
        unusable = Finding("unusable", ERROR, max(1, len(rows)), str(error), advice, (), places, True)
        return Inspection(task, 0, "examples", (unusable,), error)
    known = [_moderate(each, found.count) for each in found.findings]
    ordered = sorted(known, key=lambda each: SEVERITIES.index(each.severity))
    return Inspection(task, found.count, found.things, tuple(ordered))


def _moderate(finding: Finding, count: int) -> Finding:
    """The finding; one that touches half of the data is no matter of taking things out."""
    if 2 * len(finding.offenders) < count:
        return finding
    return replace(finding, offenders=(), advice=f"so many: {SO_MANY}")


def task_for(source: Any) -> str:
    """The one task whose data this looks like. Raises DataError."""
    require_there(source)
    found = [name for name in tasks.names() if tasks.find(name).holds(source)]
    if len(found) == 1:
        return found[0]
    why = f"it may be for {' or '.join(found)}" if found else "it looks like none that a task knows"
    raise DataError(
        f"{source}: which task is this data for? {why}; say it with --task ({', '.join(tasks.names())})"
    )


def looked_at(raws: Sequence[Any], look: Callable[[Sequence[Any]], list[Any]], report: Report) -> list[Any]:
    """What `look` gives for each raw input, or the DataError in its place; it is given some at a time, on all cores."""
    chunks = [raws[at : at + CHUNK] for at in range(0, len(raws), CHUNK)]
    looks: list[Any] = []
    for found in in_order(look, chunks):
        looks += found
        report.step("inspecting", len(looks), len(raws))
    return looks


def counted(count: int, one: str, many: str) -> str:
    """ "1 photo" or "12 photos"."""
    return f"{count:,} {one if count == 1 else many}"


def by_value(values: Sequence[Any]) -> dict[Any, list[int]]:
    """Positions by what stands there; None is no value."""
    places: dict[Any, list[int]] = {}
    for position, value in enumerate(values):
        if value is not None:
            places.setdefault(value, []).append(position)
    return places


def same(values: Sequence[Any]) -> Iterator[list[int]]:
    """Groups of two or more positions where the same stands."""
    return (places for places in by_value(values).values() if len(places) > 1)
