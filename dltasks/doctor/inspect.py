"""Inspect a data set with the task that it is for."""

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
    """Inspect the data that `task` is to be trained on, with the settings of `config`; nothing is changed.

    Problems of the data are in the findings. Raises ModelError where there is no such task.
    """
    task_class = registry.find_task(task)
    if not issubclass(task_class, DataDoctor):
        return Inspection(task, 0, "examples", ())
    try:
        inspection = task_class().inspect(source, config or task_class.config(), progress or Progress())
    except DataError as error:
        return Inspection(task, 0, "examples", (_unusable(error),), error)
    findings = [_limit_removal(finding, inspection.count) for finding in inspection.findings]
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return replace(inspection, task=task, findings=tuple(findings))


def _unusable(error: DataError) -> Finding:
    """The finding for data that can't be read at all."""
    locations: tuple[Location, ...] = ()
    if isinstance(error, RowsError):
        locations = tuple(Location(Path(error.path), row) for row in error.rows)
    fix = "fix these rows, or remove them (--fix)" if locations else ""
    return Finding("unusable", ERROR, max(1, len(locations)), str(error), fix, (), locations, True)


def _limit_removal(finding: Finding, count: int) -> Finding:
    """The finding; if it affects half of the data or more, nothing is removable."""
    if 2 * len(finding.removable) < count:
        return finding
    return replace(finding, removable=(), fix=f"too many to remove: {TOO_MANY}")


def detect_task(source: Any) -> str:
    """The one task whose data this looks like. Raises DataError."""
    check_exists(source)
    names = registry.task_names()
    matching = [name for name in names if _can_load(name, source)]
    if len(matching) == 1:
        return matching[0]
    reason = f"it may be for {' or '.join(matching)}" if matching else "no task recognizes it"
    raise DataError(
        f"{source}: which task is this data for? {reason}; name one with --task ({', '.join(names)})"
    )


def _can_load(task: str, source: Any) -> bool:
    task_class = registry.find_task(task)
    return issubclass(task_class, DataDoctor) and task_class.can_load(source)
