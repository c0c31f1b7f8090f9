"""Parity: how closely an exported file reproduces the predictions and scores of its network."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dltasks.config import QUANTIZATION_MODES
from dltasks.data.columns import Columns
from dltasks.errors import ExportError
from dltasks.evaluation.results import round_floats
from dltasks.export.held_out import HeldOut, ModelOutputs, run_and_score
from dltasks.export.latency import task_latency
from dltasks.litert.runtime import Runtime
from dltasks.task import Task

PARITY_FILE = "parity.json"
"""File of a bundle, and end of the name of the file beside an export, that holds the whole comparison."""

MIN_AGREEMENT = 0.98
"""Minimum top-1 agreement of a file with its network."""

MAX_SCORE_DROP = 0.01
"""Maximum loss of a file in the network's first score."""

MAX_WORST_INPUTS = 20
"""Maximum number of inputs listed for the largest differences."""

MIN_CLASS_SIZE = 5
"""Minimum number of examples of a class that can be named as the worst."""


@dataclass(frozen=True)
class Parity:
    """How far an exported file agrees with its network.

    Attributes:
        quantize: quantization mode of the file, or "saved-model".
        agreement: top-1 agreement, 0 to 1, on `count` examples.
        max_difference: largest difference of an output value.
        count: number of examples compared.
        bytes: size of the file.
        latency: median milliseconds of one example on one thread; 0 if not measured.
        mean_difference: mean over the examples of each one's largest difference.
        scores: by name, those of the "network" and of the "file"; empty without labels.
        worst_class: the class with the lowest agreement.
        worst: the inputs whose outputs differ most.
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
        """How much lower the file's first score is than the network's; None without labels."""
        first = next(iter(self.scores.values()), None)
        return first["network"]["value"] - first["file"]["value"] if first else None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return round_floats(asdict(self))

    def summary(self) -> dict[str, Any]:
        """Plain values, without single inputs."""
        return {name: value for name, value in self.to_json().items() if name != "worst"}


def compare(
    task: Task,
    quantize: str,
    network: ModelOutputs,
    file: ModelOutputs,
    held_out: HeldOut,
    size: int,
    latency: float,
) -> Parity:
    """The Parity of a file of `size` bytes."""
    pairs = zip(network.predictions, file.predictions, strict=True)
    agreements = np.array([task.same_prediction(*pair) for pair in pairs], bool)
    differences = np.stack(
        [_row_differences(network.outputs[name], file.outputs[name]) for name in network.outputs]
    )
    scores = {
        name: {"network": score, "file": file.scores[name]}
        for name, score in network.scores.items()
        if name in file.scores
    }
    return Parity(
        quantize=quantize,
        agreement=float(agreements.mean()),
        max_difference=float(differences.max()),
        count=len(agreements),
        bytes=size,
        latency=latency,
        mean_difference=float(differences.mean()),
        scores=scores,
        worst_class=_worst_class(held_out, agreements),
        worst=tuple(_worst_inputs(network, file, held_out, differences.max(axis=0))),
    )


def measure_parity(
    task: Task, network: ModelOutputs, model: bytes, held_out: HeldOut, quantize: str
) -> Parity:
    """Run a .tflite on held-out examples, and compare it with the outputs of its network."""
    run = Runtime(model).run
    latency = task_latency(task, run, held_out)
    file = run_and_score(task, run, held_out)
    return compare(task, quantize, network, file, held_out, len(model), latency)


def threshold_failure(parity: Parity, min_agreement: float, max_score_drop: float) -> str:
    """The threshold that a file does not meet; empty if it meets both."""
    if parity.agreement < min_agreement:
        return (
            f"agrees with the network on {parity.agreement:.1%} of {parity.count} examples, below the "
            f"threshold of {min_agreement:.1%}"
        )
    if parity.score_drop is not None and parity.score_drop > max_score_drop:
        name = next(iter(parity.scores))
        return (
            f"loses {parity.score_drop:.4f} of the network's {name.replace('_', ' ')} "
            f"({parity.scores[name]['network']['value']:.4f}) on {parity.count} examples; at most "
            f"{max_score_drop:g} is allowed"
        )
    return ""


def check_parity(
    parity: Parity, min_agreement: float = MIN_AGREEMENT, max_score_drop: float = MAX_SCORE_DROP
) -> None:
    """Raises ExportError, with the next quantization mode to try, if a file does not meet the thresholds."""
    failure = threshold_failure(parity, min_agreement, max_score_drop)
    if not failure:
        return
    known = parity.quantize in QUANTIZATION_MODES
    better = QUANTIZATION_MODES[: QUANTIZATION_MODES.index(parity.quantize)] if known else ()
    fix = f"try --quantize {better[-1]}, or auto, which tries all" if better else "the file can't be trusted"
    raise ExportError(f"{parity.quantize}: {failure}; nothing was written; {fix}")


def class_names(labels: Sequence[Any]) -> list[str] | None:
    """The class of each label; None where labels are not classes."""
    if isinstance(labels, Columns):
        return labels.class_names()
    return list(labels) if all(isinstance(label, str) for label in labels) else None


def _row_differences(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The largest absolute difference in each row: float64 (rows,)."""
    return np.abs(first.astype(np.float64) - second).reshape(len(first), -1).max(axis=1)


def _worst_class(held_out: HeldOut, agreements: np.ndarray) -> dict[str, Any] | None:
    """The class of at least MIN_CLASS_SIZE examples with the lowest agreement."""
    if not held_out.has_labels or (classes := class_names(held_out.examples.labels)) is None:
        return None
    counts = Counter(classes)
    large = sorted(name for name, count in counts.items() if count >= MIN_CLASS_SIZE)
    if len(large) < 2:
        return None
    proportions = {name: float(agreements[[label == name for label in classes]].mean()) for name in large}
    worst = min(large, key=lambda name: proportions[name])
    return {"class": worst, "agreement": proportions[worst], "count": counts[worst]}


def _worst_inputs(
    network: ModelOutputs, file: ModelOutputs, held_out: HeldOut, differences: np.ndarray
) -> Iterator[dict[str, Any]]:
    """The inputs whose outputs differ most, the worst first."""
    names = _relative_names([str(name) for name in held_out.examples.source_names])
    for row in np.argsort(-differences, kind="stable")[:MAX_WORST_INPUTS].tolist():
        if differences[row] == 0:
            return
        yield {
            "input": names[row],
            "row": row,
            "difference": float(differences[row]),
            "network": _brief(network.predictions[row]),
            "file": _brief(file.predictions[row]),
        }


def _brief(prediction: Any) -> str:
    """A prediction in a few words."""
    return " ".join(prediction.display_rows()[0]) if hasattr(prediction, "display_rows") else str(prediction)


def _relative_names(names: list[str]) -> list[str]:
    """File names relative to their common folder, so that no folder above it is published."""
    try:
        root = Path(os.path.commonpath([os.path.abspath(name) for name in names]))  # noqa: PTH100
    except ValueError:  # on several drives
        return names
    root = root if root.is_dir() else root.parent
    return [os.path.relpath(name, root) for name in names]
