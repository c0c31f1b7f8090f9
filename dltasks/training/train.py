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
from dltasks.files import check_writable, os_errors_as, recover
from dltasks.frameworks import import_frameworks, require_extra
from dltasks.progress import Progress
from dltasks.training.checkpoints import RunDirectory, locked, partial_folder, save_run, start_or_resume
from dltasks.training.dataset import prepare_dataset
from dltasks.training.loop import fit


def train(
    task: str,
    source,
    out,
    *,
    plan: TrainingConfig | None = None,
    resume: bool = False,
    about: str = "",
    inspect: bool = True,
    report: Progress | None = None,
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
    plan = with_overrides(plan or kind.plan(), {} if resume else settings)
    order = TrainRequest(task, source, out, plan, settings, resume, about, inspect)
    check_out(out)
    check_writable(out, TrainingError)
    with locked(partial_folder(out)) as work:
        return _train(order, work, report or Progress(), started)


@dataclass(frozen=True)
class TrainRequest:
    """What a run is asked for; see train."""

    task: str
    source: Any
    out: Path
    plan: TrainingConfig
    settings: dict[str, Any]
    resume: bool
    about: str
    inspect: bool


def _train(order: TrainRequest, work: RunDirectory, report: Progress, started: float):
    kind, source, out = registry.find_task(order.task), order.source, order.out
    with os_errors_as(TrainingError, out):
        recover(work.folder, out)
        state, plan, about = start_or_resume(
            work.folder, order.task, order.plan, order.settings, order.resume, order.about
        )
    import_frameworks()
    kind().check(plan)
    if order.inspect and not order.resume:
        _inspect(order.task, source, plan, report)
    work.kept = True
    import keras

    keras.utils.set_random_seed(plan.seed)
    if out.exists():
        report.line(f"note: {out} is a bundle already; it stands until the new one takes its place")
    try:
        if not order.resume:
            with os_errors_as(TrainingError, work.folder):
                save_run(work.folder, order.task, plan, state, about)
        with os_errors_as(DataError, source):
            examples = kind().examples(source, plan)
        for note in examples.notes:
            report.line(f"note: {note}")
        origin = DataSource(relative_source(source, out), about, examples.fingerprint())
        with os_errors_as(TrainingError, work.folder):
            found, data = prepare_dataset(kind(), examples, plan, work.folder, report)
            plan = plan.for_examples(len(data.parts.train))
            network = found.network(plan)
            state = fit(found, network, data, plan, work.folder, state, report, started)
        bundle = _finish(found, network, data, plan, origin, state, work.folder, out, report)
    except (DltasksError, KeyboardInterrupt):
        work.kept = bool(state.epoch)
        raise
    work.kept = state.interrupted
    return bundle


def _inspect(task: str, source, plan: TrainingConfig, report: Progress) -> None:
    """Tell what is wrong with the data; notes are left to who asks for them. Raises DataError for errors."""
    from dltasks.doctor import findings
    from dltasks.doctor.inspect import inspect

    found = inspect(task, source, plan, report)
    if found.failure:
        raise found.failure
    for each in found.findings:
        if each.severity == findings.WARNING:
            report.line(f"warning: {each}")
    if errors := found.errors:
        for each in errors[:-1]:
            report.line(f"error: {each}")
        cures = ["dltasks doctor says more"]
        if any(each.offenders for each in errors):
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
    about: str
    fingerprint: dict[str, object]


def _finish(task, network, data, plan, origin: DataSource, state, work: Path, out: Path, report):
    """Calibrate, export, judge with the exported file, and write the bundle."""
    from dltasks.training.save import TrainingSummary, save_bundle

    report.line("writing the bundle")
    val = data.parts.val
    task = task.calibrate(network, plan, data.part(val), data.examples.take(val))
    training = TrainingSummary(
        source=origin.source,
        about=origin.about,
        plan=plan,
        epochs=state.epoch,
        best_epoch=state.best_epoch,
        seconds=round(state.seconds, 1),
        interrupted=state.interrupted,
        history=state.history,
        validation=state.best or {},
        counts={name: len(getattr(data.parts, name)) for name in ("train", "val", "test")},
        fingerprint=origin.fingerprint,
    )
    return save_bundle(task, network, data, training, work, out, report)
