"""1,000 photos: `predict_each` on all cores against the limit of the processor, and against keras.Model.predict.

    python benchmarks/throughput.py FOLDER [--rounds 5]

FOLDER holds photos of any kind (JPEG). The limit is the time one core needs to decode and run each photo in one
thread, divided by the number of cores. Wanted: at least 85 % of the limit.
"""

import argparse
import os
import statistics
import time
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from measured import progress

import dltasks
from dltasks.frameworks import suppress_native_output
from dltasks.parallel import available_cores

COUNT = 1000


def ours(model, photos: list[Path]) -> float:
    began = time.perf_counter()
    assert sum(1 for _ in model.iter_predictions(photos)) == len(photos)
    return time.perf_counter() - began


def on_one_core(model, photos: list[Path]) -> float:
    """Processor seconds of decoding and running every photo, batch by batch, in this thread."""
    began = time.thread_time()
    for batch in model.task.read(photos):
        inputs, _ = model.task.encode(batch.inputs)
        model.runtime.run(inputs)
    return time.thread_time() - began


def keras_pipeline(network, size: int, photos: list[Path]):
    import tensorflow as tf

    def decoded(path):
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        image = tf.image.resize(image, (size, size), antialias=True, preserve_aspect_ratio=False)
        return {"pixels": tf.cast(image, tf.uint8)}

    data = tf.data.Dataset.from_tensor_slices([str(each) for each in photos])
    data = data.map(decoded, num_parallel_calls=tf.data.AUTOTUNE).batch(32).prefetch(tf.data.AUTOTUNE)

    def run() -> float:
        began = time.perf_counter()
        assert len(network.predict(data, verbose=0)["probabilities"]) == len(photos)
        return time.perf_counter() - began

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    found = sorted(given.folder.rglob("*.jpg"))
    photos = list(islice(cycle(found), COUNT))
    model = dltasks.load("objects")
    with suppress_native_output():
        from dltasks.export.networks import load_network

        keras_run = keras_pipeline(load_network(model.path), model.task.size, photos)
        keras_run()
    ours(model, photos[:100])
    times = {"dltasks": [], "one core": [], "keras": []}
    for _ in range(given.rounds):
        times["one core"].append(on_one_core(model, photos))
        times["dltasks"].append(ours(model, photos))
        times["keras"].append(keras_run())
    medians = {name: statistics.median(each) for name, each in times.items()}
    limit = medians["one core"] / available_cores()
    share = float(
        np.median(
            [
                one / available_cores() / our
                for one, our in zip(times["one core"], times["dltasks"], strict=True)
            ]
        )
    )
    ratios = {"share_of_limit": share, "times_faster_than_keras": medians["keras"] / medians["dltasks"]}
    rates = {
        "dltasks": COUNT / medians["dltasks"],
        f"limit of {available_cores()} cores": COUNT / limit,
        "keras.Model.predict, tf.data": COUNT / medians["keras"],
    }
    rows = [(name, f"{rate:.0f}") for name, rate in rates.items()]
    rows += [(f"ratio: {name.replace('_', ' ')}", f"{value:.2f}") for name, value in ratios.items()]
    result = {"photos_per_second": rates, "ratios": ratios, "photos": COUNT, "load": os.getloadavg()[0]}
    progress("throughput", result, rows, ("", "photos/s"))


if __name__ == "__main__":
    main()
