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
from dltasks.protocols import hooks_of
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
    config: TrainingConfig,
    work: Path,
    state: TrainingState,
    progress: Progress,
    started: float,
) -> TrainingState:
    """Train `network` in place; its weights are then the best by the validation part."""
    targets = task.target(data.examples.labels)
    train_targets = {name: values[data.splits.train] for name, values in targets.items()}
    clock = Clock(config, started - state.seconds)
    if not state.epoch:
        hooks_of(task).warm_start(network, config, data.take(data.splits.train), train_targets)
    training_model = task.training_model(network, config, train_targets)
    training_model.optimizer.build(training_model.trainable_variables)
    val = data.take(data.splits.val), {k: v[data.splits.val] for k, v in targets.items()}
    if state.epoch:
        load_checkpoint(training_model, weights_path(work, state.epoch))
        progress.log(f"going on after epoch {state.epoch}")
    else:
        _validate(task, training_model, val, config, work, state, progress, clock)
    try:
        while state.epoch < config.epochs and not _is_over(config, state, clock):
            _epoch(task, training_model, data, targets, config, state, progress, clock)
            _validate(task, training_model, val, config, work, state, progress, clock)
    except KeyboardInterrupt:
        state.interrupted = True
        progress.log(f"interrupted; taking the best so far, of epoch {state.best_epoch}")
    load_checkpoint(training_model, weights_path(work, state.best_epoch), weights_only=True)
    return state


@dataclass(frozen=True)
class Clock:
    """How much of a run's time is gone. Of a budget some is kept for writing and scoring the bundle."""

    config: TrainingConfig
    started: float

    def seconds(self) -> float:
        return time.monotonic() - self.started

    def share(self) -> float:
        """Share of the time budget that is gone; 0 without one."""
        if not self.config.time_limit:
            return 0.0
        budget = 60 * self.config.time_limit
        return min(1.0, self.seconds() / (budget - min(45, 0.3 * budget)))


def _is_over(config: TrainingConfig, state: TrainingState, clock: Clock) -> bool:
    waited = state.epoch - state.best_epoch
    return clock.share() >= 1 or waited >= config.patience


def learning_rate_factor(progress: float) -> float:
    """Share of the plan's learning rate when `progress` (0 to 1) of the run is done."""
    if progress < WARM_UP:
        return max(0.05, progress / WARM_UP)
    return max(0.001, (1 - progress) / (1 - WARM_UP))


def _epoch(
    task,
    training_model,
    data: Dataset,
    targets,
    config: TrainingConfig,
    state: TrainingState,
    progress,
    clock,
) -> None:
    """One pass over the training part, or what the time budget leaves of it."""
    size = min(config.batch_size, len(data.splits.train))
    steps = len(data.splits.train) // size
    whole = steps * config.epochs
    augmentation = hooks_of(task).augmentation(config, state.done)
    _reseed(augmentation, config.seed, state.epoch)
    losses, began, examples = [], time.monotonic(), 0
    for step, (inputs, wanted) in enumerate(
        _prefetch(_batches(data, targets, config.seed, state.epoch, size, augmentation))
    ):
        state.done = max((state.epoch * steps + step) / whole, clock.share())
        if state.done >= 1:
            break
        training_model.optimizer.learning_rate = config.peak_learning_rate() * learning_rate_factor(
            state.done
        )
        losses.append(float(training_model.train_on_batch(inputs, wanted, return_dict=True)["loss"]))
        examples += size
        progress.update(f"epoch {state.epoch + 1}", step + 1, steps)
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
    order = np.random.default_rng((seed, epoch)).permutation(data.splits.train)
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


def _validate(
    task, training_model, val, config, work: Path, state: TrainingState, progress: Progress, clock
) -> None:
    """Score the validation part, and keep all that going on needs; the record names the epochs, so that it is written last."""
    inputs, targets = val
    size = max(64, config.batch_size)
    found = training_model.evaluate(inputs, targets, batch_size=size, verbose=0, return_dict=True)
    found = {name: float(value) for name, value in found.items()}
    save_checkpoint(training_model, weights_path(work, state.epoch))
    better = state.best is None or _rank(task, found) > _rank(task, state.best)
    if better:
        state.best, state.best_epoch = found, state.epoch
    state.seconds = clock.seconds()
    if state.epoch:
        state.history[-1] |= {f"val_{name}": value for name, value in found.items()}
        write_json(work / RUN_FILE, read_run(work) | {"state": asdict(state)})
        prune_checkpoints(work, state)
        progress.log(_epoch_line(task, state, config, found, better, clock))
    elif np.isfinite(found["loss"]):
        progress.log(f"before training: validation {task.monitor} {found[task.monitor]:.4f}")


def _rank(task: Task, scores: dict[str, float]) -> tuple[float, float]:
    return scores[task.monitor], -scores["loss"]


def _epoch_line(task, state: TrainingState, config: TrainingConfig, found, better: bool, clock) -> str:
    last = state.history[-1]
    done = max(state.epoch / config.epochs, clock.share())
    left = clock.seconds() / max(done, 1e-9) * (1 - done)
    return (
        f"epoch {state.epoch}/{config.epochs}  loss {last['loss']:.4f}  "
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
