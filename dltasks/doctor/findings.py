"""The findings of an inspection: how bad each is, which items it affects, and how to fix it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dltasks.errors import DataError
from dltasks.parallel import parallel_map
from dltasks.progress import Progress

ERROR, WARNING, NOTE = SEVERITIES = ("error", "warning", "note")
"""An error would end the training or spoil its scores; a warning costs quality; a note is good to know."""

MAX_EXAMPLES = 5
"""Maximum number of affected items shown for a finding."""

MAX_WIDTH = 160
"""Maximum number of characters shown of an affected item."""

CHUNK_SIZE = 32
"""Number of items inspected in one piece of work."""

TOO_MANY = "check that this is the right data"
"""End of the fix of a finding that affects too many items to remove them."""


@dataclass(frozen=True)
class Location:
    """The place of an item in a data set: a file, or a row of one, numbered as the task numbers them."""

    path: Path
    row: int | None = None


@dataclass(frozen=True)
class Finding:
    """A problem of a data set.

    Attributes:
        kind: its name.
        severity: one of SEVERITIES.
        count: number of affected items.
        message: what is wrong, on one line.
        fix: what to do, on one line.
        affected_items: the items, or groups of them.
        removable: what `doctor --fix` removes; empty where a person has to decide.
        fatal: whether training is impossible.
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
        """The first affected items, shortened."""
        return tuple(
            item if len(item) <= MAX_WIDTH else item[: MAX_WIDTH - 3] + "..."
            for item in self.affected_items[:MAX_EXAMPLES]
        )

    def __str__(self) -> str:
        shown = ""
        if self.affected_items:
            more = ", ..." if len(self.affected_items) > 3 else ""
            shown = f" ({', '.join(self.examples[:3])}{more})"
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
    """The result of an inspection.

    Attributes:
        task: name of the task that the data is for.
        count: number of items inspected.
        unit: what the items are called ("photos").
        findings: the most severe first.
        failure: why nothing could be inspected, if so; it is among the findings too.
    """

    task: str
    count: int
    unit: str
    findings: tuple[Finding, ...]
    failure: DataError | None = None

    @property
    def errors(self) -> list[Finding]:
        """The findings that stop a training."""
        return [finding for finding in self.findings if finding.severity == ERROR]

    def summary(self) -> str:
        """The number of findings of each severity, for people."""
        counts = []
        for severity in SEVERITIES:
            count = sum(finding.severity == severity for finding in self.findings)
            counts.append(f"{count} {severity}{'s' * (count != 1)}")
        return f"{self.count:,} {self.unit}: {', '.join(counts)}"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        findings = [finding.to_json() for finding in self.findings]
        return {"task": self.task, "count": self.count, "unit": self.unit, "findings": findings}


def map_inputs(
    inputs: Sequence[Any], function: Callable[[Sequence[Any]], list[Any]], progress: Progress
) -> list[Any]:
    """The results of `function` for all inputs, computed on all cores.

    function: from up to CHUNK_SIZE inputs to a result, or a DataError, for each of them.
    """
    chunks = [inputs[start : start + CHUNK_SIZE] for start in range(0, len(inputs), CHUNK_SIZE)]
    results: list[Any] = []
    for chunk in parallel_map(function, chunks):
        results += chunk
        progress.update("inspecting", len(results), len(inputs))
    return results


def count_of(count: int, one: str, many: str) -> str:
    """A number with its unit: "1 photo" or "12 photos"."""
    return f"{count:,} {one if count == 1 else many}"


def indices_by_value(values: Sequence[Any]) -> dict[Any, list[int]]:
    """The indices at which each value stands, without None."""
    indices: dict[Any, list[int]] = {}
    for index, value in enumerate(values):
        if value is not None:
            indices.setdefault(value, []).append(index)
    return indices


def group_equal(values: Sequence[Any]) -> Iterator[list[int]]:
    """Groups of two or more indices with the same value."""
    return (indices for indices in indices_by_value(values).values() if len(indices) > 1)
