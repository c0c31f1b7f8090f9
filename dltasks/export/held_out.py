"""Held-out examples, and what a network or an exported file predicts for them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dltasks.data.batch import Batch
from dltasks.data.columns import concat, failed_indices
from dltasks.export.runners import run_in_batches
from dltasks.litert.runtime import Arrays, Run
from dltasks.protocols import run_network
from dltasks.task import Task


@dataclass(frozen=True)
class HeldOut:
    """Examples that an exported file is compared with its network on; `inputs` are encoded."""

    inputs: Arrays
    examples: Batch

    @property
    def has_labels(self) -> bool:
        """Whether scores can be computed."""
        return self.examples.labels is not None

    def __len__(self) -> int:
        return len(self.examples)


@dataclass(frozen=True)
class ModelOutputs:
    """Outputs for held-out examples, the predictions decoded from them, and scores with their intervals."""

    outputs: Arrays
    predictions: Sequence[Any]
    scores: dict[str, dict[str, float]]


def run_and_score(task: Task, run: Run, held_out: HeldOut) -> ModelOutputs:
    """Run a network on held-out examples, and score what it predicts for their raw inputs."""
    outputs = run_in_batches(lambda inputs: run_network(task, inputs, run), held_out.inputs)
    scores: dict[str, dict[str, float]] = {}
    if held_out.has_labels:
        batches = held_out.examples.chunks(task.batch_size)
        predictions = concat(task.predict(batch.inputs, run) for batch in batches)
        if not failed_indices(predictions):
            scores = _scores(task, predictions, held_out)
    return ModelOutputs(outputs, task.decode(outputs), scores)


def score_outputs(task: Task, outputs: Arrays, held_out: HeldOut) -> ModelOutputs:
    """Decode and score outputs for held-out examples, one prediction a row."""
    predictions = task.decode(outputs)
    scores = _scores(task, predictions, held_out) if held_out.has_labels else {}
    return ModelOutputs(outputs, predictions, scores)


def _scores(task: Task, predictions: Sequence[Any], held_out: HeldOut) -> dict[str, dict[str, float]]:
    scores = task.evaluate(predictions, held_out.examples.labels, tables=False).scores
    return {name: asdict(score) for name, score in scores.items()}
