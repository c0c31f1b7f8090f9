"""A folder of five flowers: `dltasks train image` against the classic Keras tutorial, accuracy and time.

    python benchmarks/own_folder.py FLOWERS [--seed 0] [--only tutorial|linear|few] [TRAINING OPTIONS]

FLOWERS holds class folders and an index.csv of file, label and split (train, val, test). dltasks runs with
its defaults; the tutorial has the same patience, the number of epochs without a better validation accuracy
after which it stops. `linear` is logistic regression with scikit-learn's defaults on the standardized
features of the frozen backbone, the usual first try. `few` trains on 5, 10 and 20 photos a class, of which
one in ten but at least one is for validation, and scores the same test photos; medians of five draws. Times
are those of whole processes.
Target: at least 95 %; more than the tutorial, in less time; 80, 86 and 90 % with few photos.
"""

import argparse
import csv
import json
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from measure import COMMAND, measure_process, write_results

from dltasks.evaluation.metrics import wilson_interval

MAX_EPOCHS = 200
"""Maximum number of epochs of the tutorial."""

TUTORIAL = """
import json, sys
import keras
import numpy as np
from keras import layers
folder, epochs, patience, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
keras.utils.set_random_seed(seed)
def load(name, shuffle=False):
    return keras.utils.image_dataset_from_directory(
        f"{folder}/{name}", image_size=(180, 180), batch_size=32, shuffle=shuffle, seed=seed, verbose=False
    )
train = load("train", True).cache().shuffle(1000).prefetch(2)
val, test = load("val").cache(), load("test").cache()
model = keras.Sequential([
    keras.Input((180, 180, 3)),
    layers.RandomFlip("horizontal"), layers.RandomRotation(0.1), layers.RandomZoom(0.1),
    layers.Rescaling(1 / 255),
    layers.Conv2D(16, 3, padding="same", activation="relu"), layers.MaxPooling2D(),
    layers.Conv2D(32, 3, padding="same", activation="relu"), layers.MaxPooling2D(),
    layers.Conv2D(64, 3, padding="same", activation="relu"), layers.MaxPooling2D(),
    layers.Dropout(0.2), layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dense(5),
])
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
stop = keras.callbacks.EarlyStopping("val_accuracy", patience=patience, restore_best_weights=True)
history = model.fit(train, validation_data=val, epochs=epochs, callbacks=[stop], verbose=0)
accuracy = model.evaluate(test, verbose=0, return_dict=True)["accuracy"]
print(json.dumps({"accuracy": accuracy, "epochs": len(history.history["loss"])}))
"""


FEW, DRAWS = (5, 10, 20), 5
"""Numbers of photos a class, and number of draws of each."""


def read_index(flowers: Path) -> list[dict[str, str]]:
    """The rows of the index."""
    with open(flowers / "index.csv", newline="") as file:
        return list(csv.DictReader(file))


def copy_splits(flowers: Path, folder: Path) -> int:
    """Copy the photos to folders of their splits; returns the number of test photos."""
    rows = read_index(flowers)
    for row in rows:
        target = folder / row["split"] / row["label"]
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(flowers / row["file"], target)
    return sum(row["split"] == "test" for row in rows)


def train(data: Path, out: Path, seed: int, options: list[str]) -> dict[str, Any]:
    """Scores, seconds and epochs of a training run of dltasks."""
    command = [COMMAND, "train", "image", str(data), "--out", str(out), "--seed", str(seed), "--json"]
    process = measure_process([*command, *options])
    manifest = json.loads((out / "bundle.json").read_text())
    score = json.loads(process.output)["scores"]["accuracy"]
    size = {"bytes": (out / "model.tflite").stat().st_size}
    about = {"epochs": manifest["training"]["best_epoch"], "config": manifest["config"]}
    return score | {"seconds": process.wall} | size | about


def run_tutorial(flowers: Path, folder: Path, config: dict[str, Any], seed: int) -> dict[str, Any]:
    """Scores, seconds and epochs of the tutorial."""
    count = copy_splits(flowers, folder / "data")
    settings = [str(MAX_EPOCHS), str(config["patience"]), str(seed)]
    process = measure_process([sys.executable, "-c", TUTORIAL, f"{folder}/data", *settings])
    result = json.loads(process.output)
    low, high = wilson_interval(round(result["accuracy"] * count), count)
    scores = {"value": result["accuracy"], "low": low, "high": high, "count": count}
    return scores | {"seconds": process.wall, "epochs": result["epochs"]}


def fit_linear(flowers: Path) -> dict[str, Any]:
    """Scores and seconds of logistic regression on the frozen features of `objects`."""
    import keras
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from dltasks.bundle.storage import find_bundle
    from dltasks.export.networks import load_network
    from dltasks.export.outputs import OutputComputer
    from dltasks.tasks.image import pixels

    start = time.perf_counter()
    network = load_network(find_bundle("objects"))
    photos = keras.Input((None, None, 3), dtype="uint8", name="pixels")
    backbone = keras.Model({"pixels": photos}, {"features": network.get_layer("backbone")(photos)})
    rows = read_index(flowers)
    size = network.input["pixels"].shape[1]
    inputs = {"pixels": np.stack([pixels.load(flowers / row["file"], size) for row in rows])}
    features = OutputComputer()(backbone, inputs)["features"]
    labels = np.array([row["label"] for row in rows])
    is_test = np.array([row["split"] == "test" for row in rows])
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(features[~is_test], labels[~is_test])
    hits = int((model.predict(features[is_test]) == labels[is_test]).sum())
    low, high = wilson_interval(hits, int(is_test.sum()))
    scores = {"value": hits / int(is_test.sum()), "low": low, "high": high, "count": int(is_test.sum())}
    return scores | {"seconds": time.perf_counter() - start, "epochs": 0}


def train_on_few(flowers: Path, folder: Path, count: int, options: list[str]) -> dict[str, Any]:
    """The median scores and seconds of trainings on `count` photos a class."""
    rows = read_index(flowers)
    by_label = defaultdict(list)
    for row in rows:
        if row["split"] == "train":
            by_label[row["label"]].append(row)
    results = []
    for draw in range(DRAWS):
        drawn = [row for members in by_label.values() for row in random.Random(draw).sample(members, count)]
        data = folder / f"few-{count}-{draw}"
        data.mkdir()
        with open(data / "index.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("file", "label", "split"))
            for row in [*drawn, *(row for row in rows if row["split"] == "test")]:
                split = "test" if row["split"] == "test" else ""
                writer.writerow((flowers.resolve() / row["file"], row["label"], split))
        results.append(train(data, folder / f"few-bundle-{count}-{draw}", draw, options))
    values = sorted(result["value"] for result in results)
    middle = next(result for result in results if result["value"] == values[DRAWS // 2])
    seconds = statistics.median(result["seconds"] for result in results)
    return middle | {"seconds": seconds, "draws": values}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("flowers", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("tutorial", "linear", "few"))
    arguments, options = parser.parse_known_args()
    only, result = arguments.only, {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if only in (None, "tutorial"):
            result["dltasks"] = train(arguments.flowers, folder / "bundle", arguments.seed, options)
            config = result["dltasks"]["config"]
            result["tutorial"] = run_tutorial(arguments.flowers, folder, config, arguments.seed)
        if only in (None, "linear"):
            result["linear on frozen features"] = fit_linear(arguments.flowers)
        for count in FEW if only in (None, "few") else ():
            result[f"{count} photos a class"] = train_on_few(arguments.flowers, folder, count, options)
    rows = [
        (
            name,
            f"{scores['value']:.3f} [{scores['low']:.3f}, {scores['high']:.3f}]",
            f"{scores['seconds']:.0f}",
            str(scores["epochs"]),
        )
        for name, scores in result.items()
    ]
    if "tutorial" in result:
        ratio = result["dltasks"]["seconds"] / result["tutorial"]["seconds"]
        result["ratios"] = {"time_of_tutorial": ratio}
        rows.append(("ratio: time of tutorial", f"{ratio:.2f}", "", ""))
    columns = ("", "accuracy on the test photos", "seconds", "epochs")
    write_results(f"own_folder_{only}" if only else "own_folder", result, rows, columns)


if __name__ == "__main__":
    main()
