"""Parity: how closely an exported file reproduces the predictions and scores of its network."""

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from dltasks.config import QUANTIZATION_MODES
from dltasks.data.batch import Batch
from dltasks.data.columns import Columns, concat, failed_indices
from dltasks.errors import ExportError
from dltasks.evaluation.results import round_floats
from dltasks.litert.runtime import Arrays, Run, Runtime
from dltasks.protocols import run_network
from dltasks.task import Task

PARITY_FILE = "parity.json"

MIN_AGREEMENT, MAX_SCORE_DROP = 0.98, 0.01
"""The least share of equal first answers that a file may have, and how much of the network's first score it may lose."""

MAX_WORST = 20
"""Inputs that are named, those whose outputs differ most."""

MIN_CLASS_SIZE = 5
"""Examples of a class that is named as the worst."""


LATENCY_ROUNDS = 3
"""Of measuring files against each other, as what else a machine does slows one of them down."""


@dataclass(frozen=True)
class HeldOut:
    """Examples that a file is compared with its network on. inputs: encoded. scored: whether they have truths."""

    inputs: Arrays
    examples: Batch

    @property
    def has_labels(self) -> bool:
        """Whether truths are known."""
        return self.examples.labels is not None

    def __len__(self) -> int:
        return len(self.examples)


@dataclass(frozen=True)
class ModelOutputs:
    """What a network or a file says of held examples: outputs, answers to these, and scores with their intervals."""

    outputs: Arrays
    predictions: Sequence[Any]
    scores: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Parity:
    """How far an exported file answers as the network it came from.

    agreement: share of equal first answers, of `count` examples. difference, mean_difference: of output values, the largest
    and the mean. latency: median milliseconds of one example on one thread; 0 where not measured. scores: of each name the
    network's and the file's, where truths are known. worst_class: that with the least agreement. worst: the inputs whose
    outputs differ most.
    """

    quantize: str
    agreement: float
    max_difference: float
    count: int
    bytes: int
    latency: float
    mean_difference: float = 0.0
    scores: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    worst_class: dict[str, Any] | None = None
    worst: tuple[dict[str, Any], ...] = ()

    @property
    def score_drop(self) -> float | None:
        """How much lower the file's first score is than the network's; None where no truths are known."""
        first = next(iter(self.scores.values()), None)
        return first["network"]["value"] - first["file"]["value"] if first else None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return round_floats(asdict(self))

    def summary(self) -> dict[str, Any]:
        """Plain values, without single inputs."""
        return {name: each for name, each in self.to_json().items() if name != "worst"}


def run_and_score(task: Task, run: Run, held: HeldOut) -> ModelOutputs:
    """What `run` says of held examples."""
    outputs = run_in_batches(lambda rows: run_network(task, rows, run), held.inputs)
    scores = {}
    if held.has_labels:
        batches = held.examples.chunks(task.batch_size)
        answers = concat(task.predict(batch.inputs, run) for batch in batches)
        if not failed_indices(answers):
            found = task.evaluate(answers, held.examples.labels, tables=False).scores
            scores = {name: asdict(each) for name, each in found.items()}
    return ModelOutputs(outputs, task.decode(outputs), scores)


def score_outputs(task: Task, outputs: Arrays, held: HeldOut) -> ModelOutputs:
    """What these outputs say of held examples, each as a whole."""
    answers = task.decode(outputs)
    found = task.evaluate(answers, held.examples.labels, tables=False).scores if held.has_labels else {}
    return ModelOutputs(outputs, answers, {name: asdict(each) for name, each in found.items()})


def compare(
    task: Task,
    level: str,
    network: ModelOutputs,
    file: ModelOutputs,
    held: HeldOut,
    size: int,
    latency: float,
) -> Parity:
    """The Parity of a file of `size` bytes."""
    agree = np.array(
        [task.same_prediction(*each) for each in zip(network.predictions, file.predictions, strict=True)],
        bool,
    )
    apart = np.stack(
        [_row_differences(network.outputs[name], file.outputs[name]) for name in network.outputs]
    )
    both = {
        name: {"network": each, "file": file.scores[name]}
        for name, each in network.scores.items()
        if name in file.scores
    }
    return Parity(
        quantize=level,
        agreement=float(agree.mean()),
        max_difference=float(apart.max()),
        count=len(agree),
        bytes=size,
        latency=latency,
        mean_difference=float(apart.mean()),
        scores=both,
        worst_class=_worst_class(task, held, agree),
        worst=tuple(_worst_inputs(task, network, file, held, apart.max(axis=0))),
    )


def class_names(labels: Sequence[Any]) -> list[str] | None:
    """The class of each label; None where labels are no classes."""
    if isinstance(labels, Columns):
        return labels.class_names()
    return list(labels) if all(isinstance(label, str) for label in labels) else None


def _brief(prediction: Any) -> str:
    """A prediction in a few words."""
    return " ".join(prediction.display_rows()[0]) if hasattr(prediction, "display_rows") else str(prediction)


def _row_differences(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The largest difference of each row."""
    return np.abs(one.astype(np.float64) - other).reshape(len(one), -1).max(axis=1)


def _worst_class(task: Task, held: HeldOut, agree: np.ndarray) -> dict[str, Any] | None:
    if not held.has_labels or (classes := class_names(held.examples.labels)) is None:
        return None
    counts = Counter(classes)
    many = [name for name, count in counts.items() if count >= MIN_CLASS_SIZE]
    if len(many) < 2:
        return None
    shares = {name: float(agree[[each == name for each in classes]].mean()) for name in sorted(many)}
    worst = min(shares, key=shares.get)
    return {"class": worst, "agreement": shares[worst], "count": counts[worst]}


def _worst_inputs(task: Task, network: ModelOutputs, file: ModelOutputs, held: HeldOut, apart: np.ndarray):
    names = _relative_names([str(each) for each in held.examples.source_names])
    for i in np.argsort(-apart, kind="stable")[:MAX_WORST]:
        if apart[i] == 0:
            return
        said = (_brief(each.predictions[int(i)]) for each in (network, file))
        yield {
            "input": names[int(i)],
            "row": int(i),
            "difference": float(apart[i]),
            **dict(zip(("network", "file"), said, strict=True)),
        }


def _relative_names(origins: list[str]) -> list[str]:
    """Names of files as from the folder that all of them stand in: what lies above it is nobody's business."""
    try:
        root = os.path.commonpath([os.path.abspath(each) for each in origins])
    except ValueError:  # on several drives
        return origins
    root = root if os.path.isdir(root) else os.path.dirname(root)
    return [os.path.relpath(each, root) for each in origins]


def run_in_batches(run, inputs: Arrays, size: int = 32) -> Arrays:
    """What `run` gives for these inputs, a few at a time."""
    count = len(next(iter(inputs.values())))
    parts = [
        run({name: np.ascontiguousarray(values[at : at + size]) for name, values in inputs.items()})
        for at in range(0, count, size)
    ]
    return {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in parts[0]}


def measure_latency(run: Callable[[Arrays], Arrays], inputs: Arrays, rounds: int = 30) -> float:
    """Median milliseconds of one input."""
    one = {name: values[:1] for name, values in inputs.items()}
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        run(one)
        times.append(1000 * (time.perf_counter() - began))
    return round(sorted(times)[rounds // 2], 3)


def threshold_failure(parity: Parity, min_agreement: float, max_loss: float) -> str:
    """Why a file is not to be trusted; nothing where it is."""
    if parity.agreement < min_agreement:
        return (
            f"agrees with the network on {parity.agreement:.1%} of {parity.count} examples, below the floor of "
            f"{min_agreement:.1%}"
        )
    if parity.score_drop is not None and parity.score_drop > max_loss:
        name = next(iter(parity.scores))
        return (
            f"loses {parity.score_drop:.4f} of the network's {name.replace('_', ' ')} "
            f"({parity.scores[name]['network']['value']:.4f}) on {parity.count} examples; at most {max_loss:g} may be lost"
        )
    return ""


def check_parity(
    parity: Parity, min_agreement: float = MIN_AGREEMENT, max_loss: float = MAX_SCORE_DROP
) -> None:
    """Raises ExportError, naming the next level to try, if the file is not to be trusted."""
    why = threshold_failure(parity, min_agreement, max_loss)
    if not why:
        return
    better = (
        QUANTIZATION_MODES[: QUANTIZATION_MODES.index(parity.quantize)]
        if parity.quantize in QUANTIZATION_MODES
        else ()
    )
    cure = f"try --quantize {better[-1]}, or auto, which tries all" if better else "the file can't be trusted"
    raise ExportError(f"{parity.quantize}: {why}; nothing was written; {cure}")


def measure_parity(task: Task, network: ModelOutputs, model: bytes, held: HeldOut, level: str) -> Parity:
    """Run the file on held examples, and compare it with what its network said of them."""
    run = Runtime(model).run
    latency = task_latency(task, run, held)
    return compare(task, level, network, run_and_score(task, run, held), held, len(model), latency)


def task_latency(task: Task, run: Run, held: HeldOut) -> float:
    """Median milliseconds of one held example."""
    return measure_latency(lambda one: run_network(task, one, run), held.inputs)


def compare_latencies(task: Task, models: dict[str, bytes], held: HeldOut) -> dict[str, float]:
    """Milliseconds of one held example by each of the files: the least median of ROUNDS, measured in turn."""
    runs = {name: Runtime(model).run for name, model in models.items()}
    rounds = [
        {name: task_latency(task, run, held) for name, run in runs.items()} for _ in range(LATENCY_ROUNDS)
    ]
    return {name: min(each[name] for each in rounds) for name in runs}
