"""Training a task's network on a person's own data: from a data set to a bundle, resumable."""

import hashlib
import json
import os
import shutil
import time
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from dltasks import tasks
from dltasks.errors import DataError, DltasksError, MissingExtraError, PlanError
from dltasks.files import check_place, damage_as, recover, replacing, write_json
from dltasks.plan import Plan, changed
from dltasks.quiet import quiet
from dltasks.report import Report
from dltasks.runtime import in_order
from dltasks.task import Arrays, Batch, Parts, Task, kept

WARM_UP = 0.1
"""Share of a run over which the learning rate rises; then it falls to nothing in a straight line."""

CHUNK = 64
"""Examples decoded as one piece of work."""

RUN, INPUTS = "run.json", "inputs.json"
"""What is recorded of a run, and of the inputs it has encoded; of a folder without them nothing is used."""


@dataclass(frozen=True)
class Data:
    """Encoded examples: named arrays with a row for each; the examples themselves, and their division. places: of each in the data as it was read."""

    inputs: Arrays
    examples: Batch
    parts: Parts
    places: Sequence[int]

    def part(self, positions: Sequence[int]) -> Arrays:
        """The inputs at these positions, in memory."""
        return {name: np.asarray(values[positions]) for name, values in self.inputs.items()}


@dataclass
class State:
    """How far a run has come."""

    epoch: int = 0
    done: float = 0.0
    best: dict[str, float] | None = None
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False


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
    report, out = report or Report(), Path(out)
    kind = tasks.find(task)
    plan = changed(plan or kind.plan(), {} if resume else settings)
    check_out(out)
    check_place(out, PlanError)
    with _alone(work_folder(out)) as work:
        return _trained(
            kind, source, out, work, task, plan, settings, resume, about, inspect, report, started
        )


def _trained(kind, source, out, work: "Work", task, plan, settings, resume, about, inspect, report, started):
    with damage_as(PlanError, out):
        recover(work.folder, out)
        state, plan, about = _begun(work.folder, task, plan, settings, resume, about)
    import_frameworks()
    kind().check(plan)
    if inspect and not resume:
        _inspect(task, source, plan, report)
    work.kept = True
    import keras

    keras.utils.set_random_seed(plan.seed)
    if out.exists():
        report.line(f"note: {out} is a bundle already; it stands until the new one takes its place")
    try:
        if not resume:
            with damage_as(PlanError, work.folder):
                _save_run(work.folder, task, plan, state, about)
        with damage_as(DataError, source):
            examples = kind().examples(source, plan)
        for note in examples.notes:
            report.line(f"note: {note}")
        with damage_as(PlanError, work.folder):
            found, data = prepare(kind(), examples, plan, work.folder, report)
            plan = plan.for_examples(len(data.parts.train))
            network = found.network(plan)
            state = fit(found, network, data, plan, work.folder, state, report, started)
        bundle = _finish(
            found, network, data, plan, work.folder, out, state, report, located(source, out), about, examples
        )
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
        raise DataError(
            f"{source}: {errors[-1]} (dltasks doctor says more and mends; --no-inspect trains on it as it is)"
        )


@dataclass
class Work:
    """The folder of a run. kept: whether it stays when the run ends, to go on from."""

    folder: Path
    kept: bool


@contextmanager
def _alone(folder: Path) -> Iterator[Work]:
    """The folder of a run that no other run works in meanwhile. Raises PlanError."""
    from filelock import FileLock, Timeout

    work = Work(folder, folder.is_dir())
    lock = FileLock(folder / "lock")
    with damage_as(PlanError, folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(blocking=False)
        except Timeout as error:
            raise PlanError(
                f"{folder}: another run works there; wait for its end, or choose another --out"
            ) from error
    try:
        yield work
    finally:
        if not work.kept:
            _remove(folder)
        lock.release()
        if not work.kept:
            with suppress(OSError):  # Windows keeps a lock that is held
                folder.rmdir()


def _remove(folder: Path) -> None:
    """The records first: if this is cut off, nothing is made of what is left."""
    for name in (RUN, INPUTS):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


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


def work_folder(out: Path) -> Path:
    """Where a run that is to write `out` keeps what it needs to go on."""
    return out.with_name(out.name + ".partial")


def _begun(work: Path, task: str, plan: Plan, settings: dict, resume: bool, about: str):
    """The state to start from, the plan and the card's text: new, or those of the interrupted run.

    Of a run that goes on only what is `late` can be set anew.
    """
    if resume:
        run = _recorded(work)
        if not run:
            raise PlanError(f"{work}: no interrupted run here to go on with; leave out --resume")
        if run["task"] != task:
            raise PlanError(f"{work}: an interrupted run of {run['task']}, not of {task}")
        recorded = type(plan)(**run["plan"])
        late = [each.name for each in fields(plan) if each.metadata.get("late")]
        fixed = [k for k, v in settings.items() if k not in late and v != getattr(recorded, k, None)]
        if fixed:
            raise PlanError(
                f"--resume goes on with the run's own settings, {fixed[0]} {getattr(recorded, fixed[0], None)} "
                f"among them; only {', '.join(late)} can be changed"
            )
        return State(**run["state"]), changed(recorded, settings), about or run["about"]
    if _reached(work):
        raise PlanError(f"{work}: an interrupted run; go on with --resume, or remove that folder")
    return State(), plan, about


def _recorded(work: Path) -> dict:
    """What is recorded of the run in this folder; nothing where there is none."""
    if not (work / RUN).is_file():
        return {}
    try:
        return json.loads((work / RUN).read_text())
    except ValueError as error:
        raise PlanError(f"{work / RUN}: damaged; remove its folder and train anew") from error


def _reached(work: Path) -> int:
    """The last epoch that the run in this folder has kept."""
    return _recorded(work).get("state", {}).get("epoch", 0)


def _save_run(work: Path, task: str, plan: Plan, state: State, about: str) -> None:
    write_json(
        work / RUN,
        {"task": task, "plan": asdict(plan), "state": asdict(state), "about": about},
    )


def prepare(task: Task, examples: Batch, plan: Plan, work: Path, report: Report) -> tuple[Task, Data]:
    """The task as it learned from the examples, and the examples encoded once into `work`, divided."""
    task = task.learn(examples, plan)
    inputs, kept = _encoded(task, examples, work, report)
    if not kept:
        raise DataError(f"none of the {len(examples)} examples could be read")
    good = examples.take(kept)
    task = task.learn(good, plan)
    for note in task.notes(good, inputs):
        report.line(f"note: {note}")
    parts = task.split(good, inputs, plan)
    for name, positions in (("train", parts.train), ("val", parts.val)):
        if not len(positions):
            raise DataError(f"no examples to {'train on' if name == 'train' else 'choose by'}")
    report.line(
        f"{len(parts.train)} examples to train on, {len(parts.val)} to choose by, {len(parts.test)} to judge by"
    )
    return task, Data(inputs, good, parts, kept)


def _encoded(task: Task, examples: Batch, work: Path, report: Report) -> tuple[Arrays, list[int]]:
    """Memory-mapped inputs of the examples that can be read, and the positions of these."""
    record, key = work / INPUTS, _inputs_key(task, examples)
    if record.is_file():
        found = json.loads(record.read_text())
        if found["key"] == key:
            return _mapped(work, found["names"], len(found["kept"])), found["kept"]
        if _reached(work):
            raise PlanError(
                f"{work}: the data is not what this run began with; restore it, or remove that folder and train "
                "anew"
            )
        record.unlink()
    files: dict[str, np.memmap] = {}
    kept: list[int] = []
    size = max(CHUNK, task.batch_size)
    chunks = [range(at, min(at + size, len(examples))) for at in range(0, len(examples), size)]
    encode = _chunk_encoder(task, examples)
    for chunk, (inputs, failures) in zip(chunks, in_order(encode, chunks), strict=True):
        good = [position for i, position in enumerate(chunk) if i not in failures]
        for name, values in inputs.items():
            if name not in files:
                files[name] = _new_map(work / f"{name}.npy", values, len(examples))
            files[name][len(kept) : len(kept) + len(good)] = values
        for error in failures.values():
            report.line(f"skipped: {error}")
        kept += good
        report.step("reading", chunk[-1] + 1, len(examples))
    for values in files.values():
        values.flush()
    write_json(record, {"key": key, "names": list(files), "kept": kept})
    return _mapped(work, list(files), len(kept)), kept


def _chunk_encoder(task: Task, examples: Batch):
    return lambda chunk: task.encode(examples.take(chunk).raws)


def _new_map(path: Path, values: np.ndarray, count: int) -> np.memmap:
    """A new .npy of this many rows; its disk space is taken now, as a full disk later would kill the process."""
    shape = (count, *values.shape[1:])
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=values.dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return rows


def _mapped(work: Path, names: list[str], count: int) -> Arrays:
    return {name: np.load(work / f"{name}.npy", mmap_mode="r")[:count] for name in names}


def _inputs_key(task: Task, examples: Batch) -> str:
    """Changes when the files or what the task makes of them do."""
    seen = hashlib.sha256(f"{task!r} {len(examples)}".encode())
    for content in kept(task).values():
        seen.update(content)
    for origin in () if examples.files else examples.origins:
        seen.update(origin.encode(errors="surrogateescape"))
    for raw in examples.files or examples.raws:
        if isinstance(raw, str | os.PathLike):
            with suppress(OSError):  # what is gone is told when it is read
                status = os.stat(raw)
                seen.update(f"{status.st_size} {status.st_mtime_ns}".encode())
    return seen.hexdigest()


def fit(
    task: Task,
    network,
    data: Data,
    plan: Plan,
    work: Path,
    state: State,
    report: Report,
    started: float,
) -> State:
    """Train `network` in place; its weights are then the best by the validation part."""
    targets = task.target(data.examples.truths)
    train_targets = {name: values[data.parts.train] for name, values in targets.items()}
    clock = Clock(plan, started - state.seconds)
    if not state.epoch:
        task.begin(network, plan, data.part(data.parts.train), train_targets)
    learner = task.learner(network, plan, train_targets)
    learner.optimizer.build(learner.trainable_variables)
    val = data.part(data.parts.val), {k: v[data.parts.val] for k, v in targets.items()}
    if state.epoch:
        _restore(learner, _weights_of(work, state.epoch))
        report.line(f"going on after epoch {state.epoch}")
    else:
        _judge(task, learner, val, plan, work, state, report, clock)
    try:
        while state.epoch < plan.epochs and not _over(plan, state, clock):
            _epoch(task, learner, data, targets, plan, state, report, clock)
            _judge(task, learner, val, plan, work, state, report, clock)
    except KeyboardInterrupt:
        state.interrupted = True
        report.line(f"interrupted; taking the best so far, of epoch {state.best_epoch}")
    _restore(learner, _weights_of(work, state.best_epoch), weights_only=True)
    return state


@dataclass(frozen=True)
class Clock:
    """How much of a run's time is gone. Of a budget some is kept for writing and scoring the bundle."""

    plan: Plan
    started: float

    def seconds(self) -> float:
        return time.monotonic() - self.started

    def share(self) -> float:
        """Share of the time budget that is gone; 0 without one."""
        if not self.plan.minutes:
            return 0.0
        budget = 60 * self.plan.minutes
        return min(1.0, self.seconds() / (budget - min(45, 0.3 * budget)))


def _over(plan: Plan, state: State, clock: Clock) -> bool:
    waited = state.epoch - state.best_epoch
    return clock.share() >= 1 or waited >= plan.patience


def rate(progress: float) -> float:
    """Share of the plan's learning rate when `progress` (0 to 1) of the run is done."""
    if progress < WARM_UP:
        return max(0.05, progress / WARM_UP)
    return max(0.001, (1 - progress) / (1 - WARM_UP))


def _epoch(task, learner, data: Data, targets, plan: Plan, state: State, report, clock) -> None:
    """One pass over the training part, or what the time budget leaves of it."""
    size = min(plan.batch_size, len(data.parts.train))
    steps = len(data.parts.train) // size
    whole = steps * plan.epochs
    augmentation = task.augmentation(plan, state.done)
    _reseed(augmentation, plan.seed, state.epoch)
    losses, began, examples = [], time.monotonic(), 0
    for step, (inputs, wanted) in enumerate(
        _ahead(_batches(data, targets, plan.seed, state.epoch, size, augmentation))
    ):
        state.done = max((state.epoch * steps + step) / whole, clock.share())
        if state.done >= 1:
            break
        learner.optimizer.learning_rate = plan.highest_rate() * rate(state.done)
        losses.append(float(learner.train_on_batch(inputs, wanted, return_dict=True)["loss"]))
        examples += size
        report.step(f"epoch {state.epoch + 1}", step + 1, steps)
    state.epoch += 1
    state.history.append(
        {
            "epoch": state.epoch,
            "loss": float(np.mean(losses)) if losses else float("nan"),
            "examples_per_second": examples / (time.monotonic() - began),
        }
    )
    if losses and not np.isfinite(losses[-1]):
        raise PlanError(f"the loss became {losses[-1]} in epoch {state.epoch}; try a lower --learning-rate")


def _batches(data: Data, targets: Arrays, seed: int, epoch: int, size: int, augmentation):
    """Shuffled batches of inputs and targets; the order depends on seed and epoch alone."""
    order = np.random.default_rng((seed, epoch)).permutation(data.parts.train)
    for start in range(0, len(order) - size + 1, size):
        rows = np.sort(order[start : start + size])
        inputs = {name: values[rows] for name, values in data.inputs.items()}
        wanted = {name: values[rows] for name, values in targets.items()}
        if augmentation is not None:
            mixed = augmentation.predict_on_batch(inputs | wanted)
            inputs = {name: mixed[name] for name in inputs}
            wanted = {name: mixed[name] for name in wanted}
        yield inputs, wanted


def _ahead(items: Iterator, count: int = 3) -> Iterator:
    """The items, made on one other thread a few ahead of their use."""
    end = object()
    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(next, items, end) for _ in range(count)]
        while (item := waiting.pop(0).result()) is not end:
            waiting.append(pool.submit(next, items, end))
            yield item


def _reseed(augmentation, seed: int, epoch: int) -> None:
    """Random numbers depend on seed and epoch alone, so a run that goes on goes as one that was not cut."""
    for position, layer in enumerate(augmentation.layers if augmentation else ()):
        if hasattr(layer, "random"):
            layer.random.state.assign([seed * 1000 + position, epoch])


def _judge(task, learner, val, plan, work: Path, state: State, report: Report, clock) -> None:
    """Score the validation part, and keep all that going on needs; the record names the epochs, so that it is written last."""
    inputs, targets = val
    size = max(64, plan.batch_size)
    found = learner.evaluate(inputs, targets, batch_size=size, verbose=0, return_dict=True)
    found = {name: float(value) for name, value in found.items()}
    _store(learner, _weights_of(work, state.epoch))
    better = state.best is None or _rank(task, found) > _rank(task, state.best)
    if better:
        state.best, state.best_epoch = found, state.epoch
    state.seconds = clock.seconds()
    if state.epoch:
        state.history[-1] |= {f"val_{name}": value for name, value in found.items()}
        write_json(work / RUN, _recorded(work) | {"state": asdict(state)})
        _forget(work, state)
        report.line(_told(task, state, plan, found, better, clock))
    elif np.isfinite(found["loss"]):
        report.line(f"before training: validation {task.monitor} {found[task.monitor]:.4f}")


def _rank(task: Task, scores: dict[str, float]) -> tuple[float, float]:
    return scores[task.monitor], -scores["loss"]


def _told(task, state: State, plan: Plan, found, better: bool, clock) -> str:
    last = state.history[-1]
    done = max(state.epoch / plan.epochs, clock.share())
    left = clock.seconds() / max(done, 1e-9) * (1 - done)
    return (
        f"epoch {state.epoch}/{plan.epochs}  loss {last['loss']:.4f}  "
        f"validation {task.monitor} {found[task.monitor]:.4f}{' (best)' if better else ''}  "
        f"{last['examples_per_second']:.0f} examples/s  {duration(left)} left"
    )


def duration(seconds: float) -> str:
    """Hours, minutes and seconds for people."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"


def _weights_of(work: Path, epoch: int) -> Path:
    return work / f"epoch-{epoch}.npz"


def _forget(work: Path, state: State) -> None:
    """Remove the weights of epochs that are neither the last nor the best."""
    wanted = [_weights_of(work, epoch) for epoch in (state.epoch, state.best_epoch)]
    for path in work.glob("epoch-*.npz"):
        if path not in wanted:
            path.unlink()


def _store(learner, path: Path) -> None:
    """Weights and the optimizer's state, written whole or not at all."""
    arrays = {f"w{i}": np.asarray(v) for i, v in enumerate(_variables(learner))}
    arrays |= {f"o{i}": np.asarray(v) for i, v in enumerate(learner.optimizer.variables)}
    with replacing(path) as file:
        np.savez(file, **arrays)


def _restore(learner, path: Path, weights_only: bool = False) -> None:
    """Raises PlanError where these weights are not there, or not whole."""
    variables = {f"w{i}": each for i, each in enumerate(_variables(learner))}
    if not weights_only:
        variables |= {f"o{i}": each for i, each in enumerate(learner.optimizer.variables)}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            for name, variable in variables.items():
                variable.assign(arrays[name])
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise PlanError(f"{path}: missing or damaged; remove its folder and train anew") from error


def _variables(learner) -> list:
    """Weights, and the states of random layers."""
    return learner.trainable_variables + learner.non_trainable_variables


def _finish(task, network, data, plan, work, out, state, report, source, about, examples):
    """Calibrate, export, judge with the exported file, and write the bundle."""
    from dltasks.writing import Training, write

    report.line("writing the bundle")
    val = data.parts.val
    task = task.calibrate(network, plan, data.part(val), data.examples.take(val))
    training = Training(
        source=source,
        about=about,
        plan=plan,
        epochs=state.epoch,
        best_epoch=state.best_epoch,
        seconds=round(state.seconds, 1),
        interrupted=state.interrupted,
        history=state.history,
        validation=state.best or {},
        counts={name: len(getattr(data.parts, name)) for name in ("train", "val", "test")},
        fingerprint=examples.fingerprint(),
    )
    return write(task, network, data, training, work, out, report)
