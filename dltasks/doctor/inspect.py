"""Inspect a data set before training."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from dltasks import registry
from dltasks.config import TrainingConfig
from dltasks.data.labeled_files import check_exists
from dltasks.doctor.findings import ERROR, SEVERITIES, TOO_MANY, Finding, Inspection, Location
from dltasks.errors import DataError, RowsError
from dltasks.progress import Progress
from dltasks.protocols import DataDoctor


def inspect(
    task: str, source: Any, config: TrainingConfig | None = None, progress: Progress | None = None
) -> Inspection:
    """Look at the data that `task` is to be trained on, with the settings of `plan`; nothing is changed.

    Raises ModelError where there is no such task; what is wrong with the data is in the findings.
    """
    kind = registry.find_task(task)
    if not issubclass(kind, DataDoctor):
        return Inspection(task, 0, "examples", ())
    try:
        found = kind().inspect(source, config or kind.config(), progress or Progress())
    except DataError as error:
        rows = error.rows if isinstance(error, RowsError) else ()
        places = tuple(Location(Path(error.path), row) for row in rows)
        advice = "mend them, or take them out (--fix)" if places else ""
        unusable = Finding("unusable", ERROR, max(1, len(rows)), str(error), advice, (), places, True)
        return Inspection(task, 0, "examples", (unusable,), error)
    known = [_limit_removal(each, found.count) for each in found.findings]
    ordered = sorted(known, key=lambda each: SEVERITIES.index(each.severity))
    return Inspection(task, found.count, found.unit, tuple(ordered))


def _limit_removal(finding: Finding, count: int) -> Finding:
    """The finding; one that touches half of the data is no matter of taking things out."""
    if 2 * len(finding.removable) < count:
        return finding
    return replace(finding, removable=(), fix=f"so many: {TOO_MANY}")


def detect_task(source: Any) -> str:
    """The one task whose data this looks like. Raises DataError."""
    check_exists(source)
    kinds = {name: registry.find_task(name) for name in registry.task_names()}
    found = [name for name, kind in kinds.items() if issubclass(kind, DataDoctor) and kind.can_load(source)]
    if len(found) == 1:
        return found[0]
    why = f"it may be for {' or '.join(found)}" if found else "it looks like none that a task knows"
    raise DataError(
        f"{source}: which task is this data for? {why}; say it with --task ({', '.join(registry.task_names())})"
    )
