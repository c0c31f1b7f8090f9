"""Training a task's network on a person's own data: from a data set to a bundle, resumable."""

import os
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dltasks import tasks
from dltasks.errors import DataError, DltasksError, MissingExtraError, PlanError
from dltasks.files import check_place, damage_as, recover
from dltasks.fitting import fit
from dltasks.inputs import prepare
from dltasks.labelled import require_there
from dltasks.plan import Plan, changed
from dltasks.quiet import quiet
from dltasks.report import Report
from dltasks.run_folder import Work, alone, begun, save, work_folder


def train(
    task: str,
    source,
    out,
    *,
    plan: Plan | None = None,
    resume: bool = False,
    about: str = "",
    inspect: bool = True,
    report: Report | None = None,
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
    kind, out = tasks.find(task), Path(out)
    require_there(source)
    plan = changed(plan or kind.plan(), {} if resume else settings)
    order = Order(task, source, out, plan, settings, resume, about, inspect)
    check_out(out)
    check_place(out, PlanError)
    with alone(work_folder(out)) as work:
        return _trained(order, work, report or Report(), started)


@dataclass(frozen=True)
class Order:
    """What a run is asked for; see train."""

    task: str
    source: Any
    out: Path
    plan: Plan
    settings: dict[str, Any]
    resume: bool
    about: str
    inspect: bool


def _trained(order: Order, work: Work, report: Report, started: float):
    kind, source, out = tasks.find(order.task), order.source, order.out
    with damage_as(PlanError, out):
        recover(work.folder, out)
        state, plan, about = begun(
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
            with damage_as(PlanError, work.folder):
                save(work.folder, order.task, plan, state, about)
        with damage_as(DataError, source):
            examples = kind().examples(source, plan)
        for note in examples.notes:
            report.line(f"note: {note}")
        origin = Origin(located(source, out), about, examples.fingerprint())
        with damage_as(PlanError, work.folder):
            found, data = prepare(kind(), examples, plan, work.folder, report)
            plan = plan.for_examples(len(data.parts.train))
            network = found.network(plan)
            state = fit(found, network, data, plan, work.folder, state, report, started)
        bundle = _finish(found, network, data, plan, origin, state, work.folder, out, report)
    except (DltasksError, KeyboardInterrupt):
        work.kept = bool(state.epoch)
        raise
    work.kept = state.interrupted
    return bundle


def _inspect(task: str, source, plan: Plan, report: Report) -> None:
    """Tell what is wrong with the data; notes are left to who asks for them. Raises DataError for errors."""
    from dltasks import inspection

    found = inspection.inspect(task, source, plan, report)
    if found.failure:
        raise found.failure
    for each in found.findings:
        if each.severity == inspection.WARNING:
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


def located(source, out: Path) -> str:
    """The source as seen from the folder `out`, so that both can be moved together; a name as it is."""
    return os.path.relpath(source, out) if os.path.exists(source) else str(source)


def require_extra() -> None:
    """Raises MissingExtraError where the half that trains is not installed."""
    missing = [name for name in ("keras", "tensorflow") if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"this needs Keras and TensorFlow ({missing[0]} is not installed): pip install 'dltasks[train]'"
        )


def import_frameworks() -> None:
    """Import Keras and TensorFlow without what they print of themselves."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet():
        import keras  # noqa: F401
        import tensorflow  # noqa: F401


def check_out(out: Path) -> None:
    """Raises PlanError if `out` is there and is not a bundle that may be replaced."""
    if out.name in ("", ".."):
        raise PlanError(f"{out}: has no name of its own; wanted that of the folder that becomes the bundle")
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / "bundle.json").is_file()):
        raise PlanError(f"{out}: there already, and not a bundle; choose another --out")


@dataclass(frozen=True)
class Origin:
    """Where the data of a run is, what people say of it, and its fingerprint as the run found it."""

    source: str
    about: str
    fingerprint: dict[str, object]


def _finish(task, network, data, plan, origin: Origin, state, work: Path, out: Path, report):
    """Calibrate, export, judge with the exported file, and write the bundle."""
    from dltasks.writing import Training, write

    report.line("writing the bundle")
    val = data.parts.val
    task = task.calibrate(network, plan, data.part(val), data.examples.take(val))
    training = Training(
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
    return write(task, network, data, training, work, out, report)
