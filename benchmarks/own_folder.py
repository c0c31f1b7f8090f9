"""A folder of five flowers: `dltasks train image` against the classic Keras tutorial, accuracy and time.

    python benchmarks/own_folder.py FLOWERS [--seed 0]

FLOWERS holds class folders and an index.csv of file, label and split (train, val, test). dltasks runs with
its defaults; the tutorial has the same patience, the number of epochs without a better validation accuracy
after which it stops. Times are those of whole processes.
Target: at least 85 % without downloaded weights; more than the tutorial, in less time.
"""

import argparse
import csv
import json
import shutil
import sys
import tempfile
from pathlib import Path

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


def copy_splits(flowers: Path, folder: Path) -> int:
    """Copy the photos to folders of their splits; returns the number of test photos."""
    with open(flowers / "index.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        target = folder / row["split"] / row["label"]
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(flowers / row["file"], target)
    return sum(row["split"] == "test" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("flowers", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        count = copy_splits(arguments.flowers, Path(folder, "data"))
        out = Path(folder, "bundle")
        seed = str(arguments.seed)
        train = [COMMAND, "train", "image", str(arguments.flowers), "--out", str(out)]
        ours = measure_process([*train, "--json", "--seed", seed])
        manifest = json.loads((out / "bundle.json").read_text())
        config = manifest["config"]
        settings = [str(MAX_EPOCHS), str(config["patience"]), seed]
        tutorial = measure_process([sys.executable, "-c", TUTORIAL, f"{folder}/data", *settings])
    theirs = json.loads(tutorial.output)
    score = json.loads(ours.output)["scores"]["accuracy"]
    low, high = wilson_interval(round(theirs["accuracy"] * count), count)
    result = {
        "dltasks": score | {"seconds": ours.wall, "epochs": manifest["training"]["epochs"], "config": config},
        "tutorial": {
            "value": theirs["accuracy"],
            "low": low,
            "high": high,
            "count": count,
            "seconds": tutorial.wall,
            "epochs": theirs["epochs"],
        },
        "ratios": {"time_of_tutorial": ours.wall / tutorial.wall},
    }
    rows = [
        (
            name,
            f"{scores['value']:.3f} [{scores['low']:.3f}, {scores['high']:.3f}]",
            f"{scores['seconds']:.0f}",
            str(scores["epochs"]),
        )
        for name, scores in result.items()
        if name != "ratios"
    ]
    rows.append(("ratio: time of tutorial", f"{result['ratios']['time_of_tutorial']:.2f}", "", ""))
    write_results("own_folder", result, rows, ("", f"accuracy on {count} test photos", "seconds", "epochs"))


if __name__ == "__main__":
    main()
