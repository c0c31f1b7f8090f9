"""The training loop: epochs, the schedule of the learning rate, the best by the validation part."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from dltasks.config import TrainingConfig
from dltasks.errors import TrainingError
from dltasks.files import write_json
from dltasks.litert.runtime import Arrays
from dltasks.progress import Progress
from dltasks.task import Task
from dltasks.training.checkpoints import (
    RUN_FILE,
    TrainingState,
    load_checkpoint,
    prune_checkpoints,
    read_run,
    save_checkpoint,
    weights_path,
)
from dltasks.training.dataset import Dataset

WARM_UP = 0.1
"""Share of a run over which the learning rate rises; then it falls to nothing in a straight line."""


def fit(
    task: Task,
    network,
    data: Dataset,
    plan: TrainingConfig,
    work: Path,
    state: TrainingState,
    report: Progress,
    started: float,
) -> TrainingState:
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
        load_checkpoint(learner, weights_path(work, state.epoch))
        report.line(f"going on after epoch {state.epoch}")
    else:
        _validate(task, learner, val, plan, work, state, report, clock)
    try:
        while state.epoch < plan.epochs and not _is_over(plan, state, clock):
            _epoch(task, learner, data, targets, plan, state, report, clock)
            _validate(task, learner, val, plan, work, state, report, clock)
    except KeyboardInterrupt:
        state.interrupted = True
        report.line(f"interrupted; taking the best so far, of epoch {state.best_epoch}")
    load_checkpoint(learner, weights_path(work, state.best_epoch), weights_only=True)
    return state


@dataclass(frozen=True)
class Clock:
    """How much of a run's time is gone. Of a budget some is kept for writing and scoring the bundle."""

    plan: TrainingConfig
    started: float

    def seconds(self) -> float:
        return time.monotonic() - self.started

    def share(self) -> float:
        """Share of the time budget that is gone; 0 without one."""
        if not self.plan.minutes:
            return 0.0
        budget = 60 * self.plan.minutes
        return min(1.0, self.seconds() / (budget - min(45, 0.3 * budget)))


def _is_over(plan: TrainingConfig, state: TrainingState, clock: Clock) -> bool:
    waited = state.epoch - state.best_epoch
    return clock.share() >= 1 or waited >= plan.patience


def learning_rate_factor(progress: float) -> float:
    """Share of the plan's learning rate when `progress` (0 to 1) of the run is done."""
    if progress < WARM_UP:
        return max(0.05, progress / WARM_UP)
    return max(0.001, (1 - progress) / (1 - WARM_UP))


def _epoch(
    task, learner, data: Dataset, targets, plan: TrainingConfig, state: TrainingState, report, clock
) -> None:
    """One pass over the training part, or what the time budget leaves of it."""
    size = min(plan.batch_size, len(data.parts.train))
    steps = len(data.parts.train) // size
    whole = steps * plan.epochs
    augmentation = task.augmentation(plan, state.done)
    _reseed(augmentation, plan.seed, state.epoch)
    losses, began, examples = [], time.monotonic(), 0
    for step, (inputs, wanted) in enumerate(
        _prefetch(_batches(data, targets, plan.seed, state.epoch, size, augmentation))
    ):
        state.done = max((state.epoch * steps + step) / whole, clock.share())
        if state.done >= 1:
            break
        learner.optimizer.learning_rate = plan.highest_rate() * learning_rate_factor(state.done)
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
        raise TrainingError(
            f"the loss became {losses[-1]} in epoch {state.epoch}; try a lower --learning-rate"
        )


def _batches(data: Dataset, targets: Arrays, seed: int, epoch: int, size: int, augmentation):
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


def _prefetch(items: Iterator, count: int = 3) -> Iterator:
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


def _validate(task, learner, val, plan, work: Path, state: TrainingState, report: Progress, clock) -> None:
    """Score the validation part, and keep all that going on needs; the record names the epochs, so that it is written last."""
    inputs, targets = val
    size = max(64, plan.batch_size)
    found = learner.evaluate(inputs, targets, batch_size=size, verbose=0, return_dict=True)
    found = {name: float(value) for name, value in found.items()}
    save_checkpoint(learner, weights_path(work, state.epoch))
    better = state.best is None or _rank(task, found) > _rank(task, state.best)
    if better:
        state.best, state.best_epoch = found, state.epoch
    state.seconds = clock.seconds()
    if state.epoch:
        state.history[-1] |= {f"val_{name}": value for name, value in found.items()}
        write_json(work / RUN_FILE, read_run(work) | {"state": asdict(state)})
        prune_checkpoints(work, state)
        report.line(_epoch_line(task, state, plan, found, better, clock))
    elif np.isfinite(found["loss"]):
        report.line(f"before training: validation {task.monitor} {found[task.monitor]:.4f}")


def _rank(task: Task, scores: dict[str, float]) -> tuple[float, float]:
    return scores[task.monitor], -scores["loss"]


def _epoch_line(task, state: TrainingState, plan: TrainingConfig, found, better: bool, clock) -> str:
    last = state.history[-1]
    done = max(state.epoch / plan.epochs, clock.share())
    left = clock.seconds() / max(done, 1e-9) * (1 - done)
    return (
        f"epoch {state.epoch}/{plan.epochs}  loss {last['loss']:.4f}  "
        f"validation {task.monitor} {found[task.monitor]:.4f}{' (best)' if better else ''}  "
        f"{last['examples_per_second']:.0f} examples/s  {format_duration(left)} left"
    )


def format_duration(seconds: float) -> str:
    """Hours, minutes and seconds for people."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"
