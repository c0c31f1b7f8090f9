"""A folder of five flowers: `dltasks train image` against the classic Keras tutorial, accuracy and time.

    python benchmarks/own_folder.py FLOWERS [--seed 0]

FLOWERS holds class folders and an index.csv of file, label and split (train, val, test). Both train on train, choose
by val and are judged on test. dltasks runs with its defaults; the tutorial stops after as many epochs without a better
validation accuracy as dltasks would (its patience). Times are of whole processes.
Wanted: at least 85 % without downloaded weights; more than the tutorial, in less time.
"""

import argparse
import csv
import json
import shutil
import sys
import tempfile
from pathlib import Path

from measured import COMMAND, measured, progress

from dltasks.evaluation.metrics import wilson

MOST_EPOCHS = 200

TUTORIAL = """
import json, sys
import keras
import numpy as np
from keras import layers
folder, epochs, patience, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
keras.utils.set_random_seed(seed)
def part(name, shuffle=False):
    return keras.utils.image_dataset_from_directory(
        f"{folder}/{name}", image_size=(180, 180), batch_size=32, shuffle=shuffle, seed=seed, verbose=False
    )
train, val, test = part("train", True).cache().shuffle(1000).prefetch(2), part("val").cache(), part("test").cache()
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


def divided(flowers: Path, place: Path) -> int:
    """train, val and test folders as index.csv says; gives the number of test photos."""
    with open(flowers / "index.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        target = place / row["split"] / row["label"]
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(flowers / row["file"], target)
    return sum(row["split"] == "test" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("flowers", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        count = divided(given.flowers, Path(folder, "data"))
        out = Path(folder, "bundle")
        ours = measured(
            [
                COMMAND,
                "train",
                "image",
                str(given.flowers),
                "--out",
                str(out),
                "--json",
                "--seed",
                str(given.seed),
            ]
        )
        record = json.loads((out / "bundle.json").read_text())
        config = record["config"]
        tutorial = measured(
            [
                sys.executable,
                "-c",
                TUTORIAL,
                f"{folder}/data",
                str(MOST_EPOCHS),
                str(config["patience"]),
                str(given.seed),
            ]
        )
    theirs = json.loads(tutorial.output)
    score = json.loads(ours.output)["scores"]["accuracy"]
    low, high = wilson(round(theirs["accuracy"] * count), count)
    result = {
        "dltasks": score | {"seconds": ours.wall, "epochs": record["training"]["epochs"], "plan": config},
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
            f"{each['value']:.3f} [{each['low']:.3f}, {each['high']:.3f}]",
            f"{each['seconds']:.0f}",
            str(each["epochs"]),
        )
        for name, each in result.items()
        if name != "ratios"
    ]
    rows.append(("ratio: time of tutorial", f"{result['ratios']['time_of_tutorial']:.2f}", "", ""))
    progress("own_folder", result, rows, ("", f"accuracy on {count} test photos", "seconds", "epochs"))


if __name__ == "__main__":
    main()
