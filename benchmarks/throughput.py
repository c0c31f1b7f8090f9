"""1,000 photos: `iter_predictions` on all cores compared with the limit of the processor and with Keras.

    python benchmarks/throughput.py FOLDER [--rounds 5]

FOLDER is any folder of JPEG photos. The limit is the time that one core takes to decode and run all photos,
divided by the number of cores. Target: at least 85 % of the limit.
"""

import argparse
import os
import statistics
import time
from itertools import cycle, islice
from pathlib import Path

from measure import write_results

import dltasks
from dltasks.frameworks import suppress_native_output
from dltasks.parallel import available_cores

COUNT = 1000
"""Number of photos."""


def time_dltasks(model, photos: list[Path]) -> float:
    """Wall seconds of all predictions."""
    start = time.perf_counter()
    assert sum(1 for _ in model.iter_predictions(photos)) == len(photos)
    return time.perf_counter() - start


def time_one_core(model, photos: list[Path]) -> float:
    """Processor seconds of decoding and running all photos, batch by batch, in this thread."""
    start = time.thread_time()
    for batch in model.task.read_inputs(photos):
        encoded, _ = model.task.encode(batch.inputs)
        model.runtime.run(encoded)
    return time.thread_time() - start


def build_keras_pipeline(network, size: int, photos: list[Path]):
    """A function that predicts all photos with Keras and returns the wall seconds."""
    import tensorflow as tf

    def decode(path):
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        image = tf.image.resize(image, (size, size), antialias=True, preserve_aspect_ratio=False)
        return {"pixels": tf.cast(image, tf.uint8)}

    data = tf.data.Dataset.from_tensor_slices([str(photo) for photo in photos])
    data = data.map(decode, num_parallel_calls=tf.data.AUTOTUNE).batch(32).prefetch(tf.data.AUTOTUNE)

    def run() -> float:
        start = time.perf_counter()
        assert len(network.predict(data, verbose=0)["probabilities"]) == len(photos)
        return time.perf_counter() - start

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    paths = sorted(arguments.folder.rglob("*.jpg"))
    photos = list(islice(cycle(paths), COUNT))
    model = dltasks.load("objects")
    with suppress_native_output():
        from dltasks.export.networks import load_network

        time_keras = build_keras_pipeline(load_network(model.path), model.task.size, photos)
        time_keras()
    time_dltasks(model, photos[:100])
    times: dict[str, list[float]] = {"dltasks": [], "one core": [], "keras": []}
    for _ in range(arguments.rounds):
        times["one core"].append(time_one_core(model, photos))
        times["dltasks"].append(time_dltasks(model, photos))
        times["keras"].append(time_keras())
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    limit = medians["one core"] / available_cores()
    pairs = zip(times["one core"], times["dltasks"], strict=True)
    fraction = statistics.median(one_core / available_cores() / dltasks_ for one_core, dltasks_ in pairs)
    ratios = {"fraction_of_limit": fraction, "times_faster_than_keras": medians["keras"] / medians["dltasks"]}
    rates = {
        "dltasks": COUNT / medians["dltasks"],
        f"limit of {available_cores()} cores": COUNT / limit,
        "keras.Model.predict, tf.data": COUNT / medians["keras"],
    }
    rows = [(name, f"{rate:.0f}") for name, rate in rates.items()]
    rows += [(f"ratio: {name.replace('_', ' ')}", f"{value:.2f}") for name, value in ratios.items()]
    result = {"photos_per_second": rates, "ratios": ratios, "photos": COUNT, "load": os.getloadavg()[0]}
    write_results("throughput", result, rows, ("", "photos/s"))


if __name__ == "__main__":
    main()
