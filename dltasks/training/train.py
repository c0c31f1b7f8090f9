"""Train a task's network: from a data set to a bundle, resumable."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dltasks import registry
from dltasks.bundle.storage import MANIFEST_FILE
from dltasks.config import TrainingConfig, with_overrides
from dltasks.data.batch import Batch
from dltasks.data.labeled_files import check_exists
from dltasks.doctor import findings
from dltasks.doctor.inspect import inspect as inspect_data
from dltasks.errors import DataError, DltasksError, TrainingError
from dltasks.export.networks import load_pretrained
from dltasks.files import check_writable, os_errors_as, recover
from dltasks.frameworks import import_frameworks, require_extra
from dltasks.progress import Progress
from dltasks.protocols import TrainingHooks, hooks_of
from dltasks.task import Task
from dltasks.training.checkpoints import (
    RunDirectory,
    TrainingState,
    locked,
    partial_folder,
    save_run,
    start_or_resume,
)
from dltasks.training.dataset import Dataset, prepare_dataset
from dltasks.training.loop import fit
from dltasks.training.save import TrainingSummary, save_bundle


def train(
    task: str,
    source: Any,
    out: Any,
    *,
    config: TrainingConfig | None = None,
    resume: bool = False,
    data_description: str = "",
    inspect: bool = True,
    progress: Progress | None = None,
    **settings: Any,
) -> None:
    """Train the task's network on `source` and write a bundle to `out`: see dltasks.train."""
    started = time.monotonic()
    require_extra()
    task_class, out = registry.find_task(task), Path(out)
    check_exists(source)
    config = with_overrides(config or task_class.config(), {} if resume else settings)
    request = TrainRequest(task, source, out, config, settings, resume, data_description, inspect)
    check_out(out)
    check_writable(out, TrainingError)
    with locked(partial_folder(out)) as run_directory:
        _train(request, run_directory, progress or Progress(), started)


@dataclass(frozen=True)
class TrainRequest:
    """The arguments of `train`."""

    task: str
    source: Any
    out: Path
    config: TrainingConfig
    settings: dict[str, Any]
    resume: bool
    data_description: str
    inspect: bool


@dataclass(frozen=True)
class DataSource:
    """The data of a run: its path as recorded in the bundle, a description, and a fingerprint."""

    source: str
    data_description: str
    fingerprint: dict[str, int | str]


def _train(request: TrainRequest, run_directory: RunDirectory, progress: Progress, started: float) -> None:
    """Run a training, and say in `run_directory` whether its folder is needed to resume it."""
    source, out, folder = request.source, request.out, run_directory.folder
    with os_errors_as(TrainingError, out):
        recover(folder, out)
        state, config, data_description = start_or_resume(
            folder, request.task, request.config, request.settings, request.resume, request.data_description
        )
    task = registry.find_task(request.task)()
    import_frameworks()
    hooks_of(task).check_config(config)
    if request.inspect and not request.resume:
        _inspect(request.task, source, config, progress)
    run_directory.keep = True
    import keras

    keras.utils.set_random_seed(config.seed)
    if out.exists():
        progress.log(f"note: {out} is a bundle already; it stays until the new one replaces it")
    try:
        if not request.resume:
            with os_errors_as(TrainingError, folder):
                save_run(folder, request.task, config, state, data_description)
        examples = _load_examples(task, source, config, progress)
        data_source = DataSource(relative_source(source, out), data_description, examples.fingerprint())
        with os_errors_as(TrainingError, folder):
            task, dataset = prepare_dataset(task, examples, config, folder, progress)
            config = config.resolve_epochs(len(dataset.splits.train))
            network = task.network(config, load_pretrained)
            state = fit(task, network, dataset, config, folder, state, progress, started)
        progress.log("writing the bundle")
        task = _calibrate(task, network, config, dataset)
        start = hooks_of(task).start(config)
        summary = _summary(config, data_source, dataset, state, start)
        save_bundle(task, network, dataset, summary, folder, out, progress)
    except (DltasksError, KeyboardInterrupt):
        run_directory.keep = bool(state.epoch)
        raise
    run_directory.keep = state.interrupted


def _load_examples(task: Task, source: Any, config: TrainingConfig, progress: Progress) -> Batch:
    """The labeled examples of the data set; its notes are logged. Raises DataError."""
    with os_errors_as(DataError, source):
        examples = task.load_examples(source, config)
    for note in examples.notes:
        progress.log(f"note: {note}")
    return examples


def _inspect(task: str, source: Any, config: TrainingConfig, progress: Progress) -> None:
    """Log the warnings and errors of the data; notes are left to `dltasks doctor`.

    Raises DataError if there are errors.
    """
    inspection = inspect_data(task, source, config, progress)
    if inspection.failure:
        raise inspection.failure
    for finding in inspection.findings:
        if finding.severity == findings.WARNING:
            progress.log(f"warning: {finding}")
    if not (errors := inspection.errors):
        return
    for error in errors[:-1]:
        progress.log(f"error: {error}")
    fixes = ["dltasks doctor shows details"]
    if any(error.removable for error in errors):
        fixes.append("dltasks doctor --fix moves the affected data away")
    if not any(error.fatal for error in errors):
        fixes.append("--no-inspect trains on the data as it is")
    raise DataError(f"{source}: {errors[-1]} ({'; '.join(fixes)})")


def relative_source(source: Any, out: Path) -> str:
    """The source relative to `out`, so that both can be moved together; a name stays as it is."""
    return os.path.relpath(source, out) if Path(source).exists() else str(source)


def check_out(out: Path) -> None:
    """Raises TrainingError if `out` exists and is not a bundle that may be replaced."""
    if out.name in ("", ".."):
        raise TrainingError(
            f"{out}: has no name of its own; expected the name of the folder that becomes the bundle"
        )
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / MANIFEST_FILE).is_file()):
        raise TrainingError(f"{out}: already exists and is not a bundle; choose another --out")


def _calibrate(task: Task, network: Any, config: TrainingConfig, dataset: Dataset) -> Task:
    """The task, calibrated on the validation split if it does that."""
    if not isinstance(task, TrainingHooks):
        return task
    validation = dataset.splits.val
    return task.calibrate(network, config, dataset.take(validation), dataset.examples.take(validation))


def _summary(
    config: TrainingConfig,
    data_source: DataSource,
    dataset: Dataset,
    state: TrainingState,
    start: dict[str, str] | None,
) -> TrainingSummary:
    splits = dataset.splits
    return TrainingSummary(
        source=data_source.source,
        data_description=data_source.data_description,
        config=config,
        epochs=state.epoch,
        best_epoch=state.best_epoch,
        seconds=round(state.seconds, 1),
        interrupted=state.interrupted,
        history=state.history,
        validation=state.best_metrics or {},
        counts={"train": len(splits.train), "val": len(splits.val), "test": len(splits.test)},
        fingerprint=data_source.fingerprint,
        origins={"start": start} if start else {},
    )
