"""The bundled `objects` on pictures that nobody here made: right answers, and pictures of what it can't know.

    python benchmarks/make_photos.py SETS
    python benchmarks/objects.py SETS [--photos FOLDER]

An answer is right if it is one of the picture's labels, or a group that contains one. The confidence
threshold and the temperature were set on every second picture; only the others are scored here. With
--photos, the ported network is compared with the original in PyTorch (extra `port`) on 500 photos of any
kind, and every quantization mode with the network.
Target: of things among the labels at most 15 % of right answers called uncertain, of other pictures at least
80 %; logits within 0.001 of the original's; at most 8 MB and 25 ms.
"""

import argparse
import csv
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from measure import ROOT, write_results

import dltasks
from dltasks.config import QUANTIZATION_MODES
from dltasks.evaluation import metrics
from dltasks.evaluation.results import proportion
from dltasks.litert.runtime import Runtime

LEVEL = 0
"""Member of the EfficientNet-Lite family that `objects` is."""


def read_rows(sets: Path, name: str) -> tuple[list[dict[str, str]], list[Path]]:
    """The rows of a set that were not used for calibration, and their pictures."""
    with open(sets / f"{name}.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[1::2]
    return rows, [sets / name / row["file"] for row in rows]


def score_sets(model: Any, sets: Path) -> tuple[dict[str, Any], list[tuple[str, ...]]]:
    """Scores on both sets, as JSON and as rows of a table."""
    task = model.task
    synonyms = {name: label for label, names in task.synonyms.items() for name in names}
    rows, paths = read_rows(sets, "known")
    labels = [{synonyms.get(name, name) for name in row["labels"].split("|")} for row in rows]
    predictions = model.predict(*paths)
    right = np.array([task.is_right(*pair) for pair in zip(predictions, labels, strict=True)])
    pairs = list(zip(predictions, labels, strict=True))
    first = [prediction.labels[0].label in names for prediction, names in pairs]
    top_five = [any(label.label in names for label in prediction.labels) for prediction, names in pairs]
    confidence = np.array([prediction.answer.probability for prediction in predictions])
    uncertain = np.array([prediction.uncertain for prediction in predictions])
    other_rows, other_paths = read_rows(sets, "unknown")
    refused = [prediction.uncertain for prediction in model.predict(*other_paths)]
    by_kind = defaultdict(list)
    for row, is_refused in zip(other_rows, refused, strict=True):
        by_kind[row["kind"]].append(is_refused)
    scores = {
        "right answers": proportion(int(right.sum()), len(right)),
        "right labels (top-1)": proportion(sum(first), len(first)),
        "right label among five": proportion(sum(top_five), len(top_five)),
        "right answers called uncertain": proportion(int((right & uncertain).sum()), int(right.sum())),
        "wrong answers called uncertain": proportion(int((~right & uncertain).sum()), int((~right).sum())),
        "pictures of nothing it knows called uncertain": proportion(sum(refused), len(refused)),
    }
    scores |= {
        f"of which {kind}": proportion(sum(values), len(values)) for kind, values in sorted(by_kind.items())
    }
    error = metrics.expected_calibration_error(confidence, right)
    low, high = metrics.bootstrap_interval(
        lambda index: metrics.expected_calibration_error(confidence[index], right[index]), len(right)
    )
    result = {name: vars(score) for name, score in scores.items()}
    result["expected calibration error"] = {"value": error, "low": low, "high": high, "count": len(right)}
    table = [
        (name, f"{score['value']:.3f}", f"{score['low']:.3f} to {score['high']:.3f}", str(score["count"]))
        for name, score in result.items()
    ]
    return result, table


def compare_networks(model: Any, folder: Path) -> tuple[dict[str, Any], list[tuple[str, ...]]]:
    """The ported network beside the original, and each quantization mode beside the network."""
    sys.path.insert(0, str(ROOT / "models" / "port"))
    import port_efficientnet_lite as port

    from dltasks.export.convert import to_tflite
    from dltasks.export.networks import load_network
    from dltasks.protocols import default_signature

    paths = port.find_photos(folder, port.COMPARED_PHOTOS)
    inputs, _ = model.task.encode(paths)
    difference, agreement = port.compare(port.port_network(LEVEL), LEVEL, inputs["pixels"])
    result: dict[str, Any] = {"photos": len(paths), "logit_difference": difference, "same_top_1": agreement}
    table = [("logits beside PyTorch's", f"{difference:.1e}", f"same top-1 {agreement:.1%}", str(len(paths)))]
    network = load_network(model.path)
    expected = None
    for mode in QUANTIZATION_MODES:
        content = to_tflite(default_signature(network), mode, {"pixels": inputs["pixels"][::3]})
        probabilities, milliseconds = run_one_by_one(Runtime(content), inputs["pixels"])
        expected = probabilities if expected is None else expected
        same = proportion(int((probabilities.argmax(1) == expected.argmax(1)).sum()), len(probabilities))
        largest = float(np.abs(probabilities - expected).max())
        result[mode] = {"bytes": len(content), "milliseconds": milliseconds, "same_top_1": vars(same)}
        result[mode]["largest_difference"] = largest
        about = f"{len(content) / 1e6:.2f} MB, {milliseconds:.1f} ms, largest difference {largest:.3f}"
        table.append((f"{mode}: same top-1", f"{same.value:.3f}", about, str(same.count)))
    return result, table


def run_one_by_one(runtime: Runtime, photos: np.ndarray) -> tuple[np.ndarray, float]:
    """The probabilities of each photo, and the median time of one on one thread, in milliseconds."""
    outputs, times = [], []
    for photo in photos:
        start = time.perf_counter()
        outputs.append(runtime.run({"pixels": photo[None]})["probabilities"])
        times.append(time.perf_counter() - start)
    return np.concatenate(outputs), 1000 * float(np.median(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", type=Path)
    parser.add_argument("--photos", type=Path)
    arguments = parser.parse_args()
    model = dltasks.load("objects")
    result, rows = score_sets(model, arguments.sets)
    if arguments.photos:
        networks, more = compare_networks(model, arguments.photos)
        result["networks"] = networks
        rows += more
    write_results("objects", result, rows, ("", "value", "95 % interval", "pictures"))


if __name__ == "__main__":
    main()
