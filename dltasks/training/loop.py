"""The training loop: epochs, the learning rate schedule, and the best epoch by validation."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dltasks.config import TrainingConfig
from dltasks.errors import TrainingError
from dltasks.export.outputs import OutputComputer
from dltasks.litert.runtime import Arrays
from dltasks.progress import Progress
from dltasks.protocols import hooks_of
from dltasks.task import Task
from dltasks.training.checkpoints import (
    TrainingState,
    load_checkpoint,
    prune_checkpoints,
    save_checkpoint,
    save_state,
    weights_path,
)
from dltasks.training.dataset import Dataset
from dltasks.training.learning_rate import learning_rate_factor

PREFETCHED_BATCHES = 3
"""Number of batches prepared ahead of their use."""


def fit(
    task: Task,
    network: Any,
    dataset: Dataset,
    config: TrainingConfig,
    folder: Path,
    state: TrainingState,
    progress: Progress,
    started: float,
) -> TrainingState:
    """Train `network` in place, and leave it with the weights of the best epoch.

    folder: of the run, for checkpoints. state: new, or that of a run to resume; it is updated. started:
    time.monotonic() at the start of the run. Raises TrainingError.
    """
    splits = dataset.splits
    targets = task.target(dataset.examples.labels)
    train_targets = _take_rows(targets, splits.train)
    clock = Clock(config, started - state.seconds)
    validation = dataset.take(splits.val), _take_rows(targets, splits.val)
    compute_outputs = OutputComputer()
    if not state.epoch:
        training = dataset.take(splits.train), train_targets
        hooks_of(task).warm_start(network, config, compute_outputs, training, validation)
    frozen = FrozenPart(hooks_of(task).frozen_part(network, config), compute_outputs)
    validation = frozen(validation[0]), validation[1]
    model = task.training_model(network, config, train_targets)
    model.optimizer.build(model.trainable_variables)
    epochs = config.epochs or config.epoch_schedule().epochs_for(len(splits.train))
    loop = TrainingLoop(
        task, model, frozen, dataset, targets, validation, config, epochs, folder, state, clock, progress
    )
    loop.run()
    return state


@dataclass(frozen=True)
class Clock:
    """The time of a run; `started` is on the clock of time.monotonic()."""

    config: TrainingConfig
    started: float

    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def fraction(self) -> float:
        """Fraction of the time budget that is used, 0 to 1; 0 without a budget.

        Up to 45 seconds of the budget are reserved for the bundle.
        """
        if not self.config.time_limit:
            return 0.0
        budget = 60 * self.config.time_limit
        return min(1.0, self.seconds() / (budget - min(45, 0.3 * budget)))


class FrozenPart:
    """Runs the part of a network that is not trained, from the network's inputs to those of the rest.

    Attributes:
        part: A Keras model; None if the whole network is trained.
    """

    def __init__(self, part: Any, compute_outputs: OutputComputer) -> None:
        self.part = part
        self._compute_outputs = compute_outputs
        if part is not None:
            compute_outputs.convert(part)

    def __call__(self, inputs: Arrays) -> Arrays:
        """The inputs of the part that is trained."""
        return inputs if self.part is None else self._compute_outputs(self.part, inputs)


@dataclass(frozen=True)
class TrainingLoop:
    """One run of the training loop.

    Attributes:
        task: the adapted task.
        model: the compiled Keras model that is trained.
        frozen: runs the part of the network below it.
        dataset: inputs and splits.
        targets: of all examples, by name.
        validation: inputs of the model and targets of the validation split.
        config: the training config.
        epochs: maximum number of epochs.
        folder: of the run.
        state: updated after each epoch.
        clock: the time budget.
        progress: gets a line for each epoch.
    """

    task: Task
    model: Any
    frozen: "FrozenPart"
    dataset: Dataset
    targets: Arrays
    validation: tuple[Arrays, Arrays]
    config: TrainingConfig
    epochs: int
    folder: Path
    state: TrainingState
    clock: Clock
    progress: Progress

    def run(self) -> None:
        """Train to the last epoch, an interrupt or a limit; then load the weights of the best epoch."""
        state = self.state
        if state.epoch:
            load_checkpoint(self.model, weights_path(self.folder, state.epoch))
            self.progress.log(f"resuming after epoch {state.epoch}")
        else:
            self.finish_epoch()
        try:
            while state.epoch < self.epochs and not self.is_over():
                self.train_epoch()
                self.finish_epoch()
        except KeyboardInterrupt:
            state.interrupted = True
            self.progress.log(f"interrupted; the best epoch so far, {state.best_epoch}, is used")
        load_checkpoint(self.model, weights_path(self.folder, state.best_epoch), weights_only=True)

    def is_over(self) -> bool:
        """Whether the time limit or the patience is used up."""
        waited = self.state.epoch - self.state.best_epoch
        return self.clock.fraction() >= 1 or waited >= self.config.patience

    def train_epoch(self) -> None:
        """Train on the training split once, or as far as the time limit allows. Raises TrainingError."""
        state, config = self.state, self.config
        count = len(self.dataset.splits.train)
        batch_size = min(config.batch_size, count)
        steps = count // batch_size
        augmentation = hooks_of(self.task).augmentation(config, state.completed)
        _reseed(augmentation, config.seed, state.epoch)
        losses: list[float] = []
        started, examples = time.monotonic(), 0
        batches = prefetch(self.batches(batch_size, augmentation), PREFETCHED_BATCHES)
        for step, (inputs, targets) in enumerate(batches):
            completed = (state.epoch * steps + step) / (steps * self.epochs)
            state.completed = max(completed, self.clock.fraction())
            if state.completed >= 1:
                break
            self.model.optimizer.learning_rate = config.peak_learning_rate() * learning_rate_factor(
                state.completed
            )
            metrics = self.model.train_on_batch(inputs, targets, return_dict=True)
            losses.append(float(metrics["loss"]))
            examples += batch_size
            self.progress.update(f"epoch {state.epoch + 1}", step + 1, steps)
        state.epoch += 1
        state.history.append(
            {
                "epoch": state.epoch,
                "loss": float(np.mean(losses)) if losses else float("nan"),
                "examples_per_second": examples / (time.monotonic() - started),
            }
        )
        if losses and not np.isfinite(losses[-1]):
            raise TrainingError(
                f"the loss became {losses[-1]} in epoch {state.epoch}; try a lower --learning-rate"
            )

    def batches(self, batch_size: int, augmentation: Any) -> Iterator[tuple[Arrays, Arrays]]:
        """Shuffled batches of inputs and targets; the order depends only on the seed and the epoch."""
        random = np.random.default_rng((self.config.seed, self.state.epoch))
        order = random.permutation(self.dataset.splits.train)
        for start in range(0, len(order) - batch_size + 1, batch_size):
            indices = np.sort(order[start : start + batch_size])
            inputs = _take_rows(self.dataset.inputs, indices)
            targets = _take_rows(self.targets, indices)
            if augmentation is not None:
                augmented = augmentation.predict_on_batch(inputs | targets)
                inputs = {name: augmented[name] for name in inputs}
                targets = {name: augmented[name] for name in targets}
            yield self.frozen(inputs), targets

    def finish_epoch(self) -> None:
        """Score the validation split, and save all that a resumed run needs.

        The state refers to checkpoints by their epoch, so it is written last.
        """
        state, folder = self.state, self.folder
        metrics = self.validation_metrics()
        save_checkpoint(self.model, weights_path(folder, state.epoch))
        is_best = state.best_metrics is None or self.rank(metrics) > self.rank(state.best_metrics)
        if is_best:
            state.best_metrics, state.best_epoch = metrics, state.epoch
        state.seconds = self.clock.seconds()
        if state.epoch:
            state.history[-1] |= {f"val_{name}": value for name, value in metrics.items()}
            save_state(folder, state)
            prune_checkpoints(folder, state)
            self.progress.log(self.epoch_line(metrics, is_best))
        elif np.isfinite(metrics["loss"]):
            monitor = self.task.monitor
            self.progress.log(f"before the first epoch: validation {monitor} {metrics[monitor]:.4f}")

    def validation_metrics(self) -> dict[str, float]:
        """Loss and metrics of the model on the validation split."""
        inputs, targets = self.validation
        batch_size = max(64, self.config.batch_size)
        metrics = self.model.evaluate(inputs, targets, batch_size=batch_size, verbose=0, return_dict=True)
        return {name: float(value) for name, value in metrics.items()}

    def rank(self, metrics: dict[str, float]) -> tuple[float, float]:
        """What epochs are compared by: the monitored metric, then the loss."""
        return metrics[self.task.monitor], -metrics["loss"]

    def epoch_line(self, metrics: dict[str, float], is_best: bool) -> str:
        """The line that reports an epoch."""
        state, monitor = self.state, self.task.monitor
        last = state.history[-1]
        completed = max(state.epoch / self.epochs, self.clock.fraction())
        left = self.clock.seconds() / max(completed, 1e-9) * (1 - completed)
        return (
            f"epoch {state.epoch}/{self.epochs}  loss {last['loss']:.4f}  "
            f"validation {monitor} {metrics[monitor]:.4f}{' (best)' if is_best else ''}  "
            f"{last['examples_per_second']:.0f} examples/s  {format_duration(left)} left"
        )


def prefetch(items: Iterator[Any], count: int) -> Iterator[Any]:
    """The items, prepared on another thread up to `count` ahead of their use."""
    end = object()
    with ThreadPoolExecutor(1) as pool:
        pending = [pool.submit(next, items, end) for _ in range(count)]
        while (item := pending.pop(0).result()) is not end:
            pending.append(pool.submit(next, items, end))
            yield item


def _take_rows(arrays: Arrays, indices: Any) -> Arrays:
    return {name: values[indices] for name, values in arrays.items()}


def _reseed(augmentation: Any, seed: int, epoch: int) -> None:
    """Seed the random layers from the seed and the epoch, so that a resumed run equals an unbroken one."""
    for index, layer in enumerate(augmentation.layers if augmentation else ()):
        if hasattr(layer, "random"):
            layer.random.state.assign([seed * 1000 + index, epoch])


def format_duration(seconds: float) -> str:
    """Hours, minutes and seconds for people."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"
