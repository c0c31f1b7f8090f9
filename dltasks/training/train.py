"""Train a task's network on your own data: from a data set to a bundle, resumable."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dltasks import registry
from dltasks.config import TrainingConfig, with_overrides
from dltasks.data.labeled_files import check_exists
from dltasks.errors import DataError, DltasksError, TrainingError
from dltasks.export.networks import load_pretrained
from dltasks.files import check_writable, os_errors_as, recover
from dltasks.frameworks import import_frameworks, require_extra
from dltasks.progress import Progress
from dltasks.protocols import TrainingHooks, hooks_of
from dltasks.training.checkpoints import RunDirectory, locked, partial_folder, save_run, start_or_resume
from dltasks.training.dataset import prepare_dataset
from dltasks.training.loop import fit


def train(
    task: str,
    source,
    out,
    *,
    config: TrainingConfig | None = None,
    resume: bool = False,
    data_description: str = "",
    inspect: bool = True,
    progress: Progress | None = None,
    **settings,
):
    """Train the task's network on `source` and write a bundle to the folder `out`; gives the Bundle.

    plan: where the settings start from; the task's own by default. settings: fields of the plan.
    resume: go on with the interrupted run that was to write `out`. about: text for the card. inspect: look through the data
    first and raise DataError where something would end the training or spoil its scores.
    A run that is interrupted after its first epoch still writes the best it has.
    Raises DataError, PlanError, ModelError, ExportError, MissingExtraError.
    """
    started = time.monotonic()
    require_extra()
    kind, out = registry.find_task(task), Path(out)
    check_exists(source)
    config = with_overrides(config or kind.config(), {} if resume else settings)
    order = TrainRequest(task, source, out, config, settings, resume, data_description, inspect)
    check_out(out)
    check_writable(out, TrainingError)
    with locked(partial_folder(out)) as work:
        return _train(order, work, progress or Progress(), started)


@dataclass(frozen=True)
class TrainRequest:
    """What a run is asked for; see train."""

    task: str
    source: Any
    out: Path
    config: TrainingConfig
    settings: dict[str, Any]
    resume: bool
    data_description: str
    inspect: bool


def _train(order: TrainRequest, work: RunDirectory, progress: Progress, started: float):
    kind, source, out = registry.find_task(order.task), order.source, order.out
    with os_errors_as(TrainingError, out):
        recover(work.folder, out)
        state, config, data_description = start_or_resume(
            work.folder, order.task, order.config, order.settings, order.resume, order.data_description
        )
    import_frameworks()
    hooks_of(kind()).check_config(config)
    if order.inspect and not order.resume:
        _inspect(order.task, source, config, progress)
    work.keep = True
    import keras

    keras.utils.set_random_seed(config.seed)
    if out.exists():
        progress.log(f"note: {out} is a bundle already; it stands until the new one takes its place")
    try:
        if not order.resume:
            with os_errors_as(TrainingError, work.folder):
                save_run(work.folder, order.task, config, state, data_description)
        with os_errors_as(DataError, source):
            examples = kind().load_examples(source, config)
        for note in examples.notes:
            progress.log(f"note: {note}")
        origin = DataSource(relative_source(source, out), data_description, examples.fingerprint())
        with os_errors_as(TrainingError, work.folder):
            found, data = prepare_dataset(kind(), examples, config, work.folder, progress)
            config = config.resolve_epochs(len(data.splits.train))
            network = found.network(config, load_pretrained)
            state = fit(found, network, data, config, work.folder, state, progress, started)
        bundle = _finish(found, network, data, config, origin, state, work.folder, out, progress)
    except (DltasksError, KeyboardInterrupt):
        work.keep = bool(state.epoch)
        raise
    work.keep = state.interrupted
    return bundle


def _inspect(task: str, source, config: TrainingConfig, progress: Progress) -> None:
    """Tell what is wrong with the data; notes are left to who asks for them. Raises DataError for errors."""
    from dltasks.doctor import findings
    from dltasks.doctor.inspect import inspect

    found = inspect(task, source, config, progress)
    if found.failure:
        raise found.failure
    for each in found.findings:
        if each.severity == findings.WARNING:
            progress.log(f"warning: {each}")
    if errors := found.errors:
        for each in errors[:-1]:
            progress.log(f"error: {each}")
        cures = ["dltasks doctor says more"]
        if any(each.removable for each in errors):
            cures.append("dltasks doctor --fix takes it out of the way")
        if not any(each.fatal for each in errors):
            cures.append("--no-inspect trains on it as it is")
        raise DataError(f"{source}: {errors[-1]} ({'; '.join(cures)})")


def relative_source(source, out: Path) -> str:
    """The source as seen from the folder `out`, so that both can be moved together; a name as it is."""
    return os.path.relpath(source, out) if os.path.exists(source) else str(source)


def check_out(out: Path) -> None:
    """Raises PlanError if `out` is there and is not a bundle that may be replaced."""
    if out.name in ("", ".."):
        raise TrainingError(
            f"{out}: has no name of its own; wanted that of the folder that becomes the bundle"
        )
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / "bundle.json").is_file()):
        raise TrainingError(f"{out}: there already, and not a bundle; choose another --out")


@dataclass(frozen=True)
class DataSource:
    """Where the data of a run is, what people say of it, and its fingerprint as the run found it."""

    source: str
    data_description: str
    fingerprint: dict[str, object]


def _finish(task, network, data, config, origin: DataSource, state, work: Path, out: Path, progress):
    """Calibrate, export, judge with the exported file, and write the bundle."""
    from dltasks.training.save import TrainingSummary, save_bundle

    progress.log("writing the bundle")
    val = data.splits.val
    if isinstance(task, TrainingHooks):
        task = task.calibrate(network, config, data.take(val), data.examples.take(val))
    training = TrainingSummary(
        source=origin.source,
        data_description=origin.data_description,
        config=config,
        epochs=state.epoch,
        best_epoch=state.best_epoch,
        seconds=round(state.seconds, 1),
        interrupted=state.interrupted,
        history=state.history,
        validation=state.best or {},
        counts={name: len(getattr(data.splits, name)) for name in ("train", "val", "test")},
        fingerprint=origin.fingerprint,
    )
    return save_bundle(task, network, data, training, work, out, progress)
