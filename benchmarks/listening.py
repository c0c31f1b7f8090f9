"""Detections of `dltasks listen` in an hour of words at known times over noise.

    python benchmarks/listening.py ../shared/data/speech_gsc12 [--hours 1] [--model commands] [--out mixed/]

The recording is mixed from the test split of a data set laid out as for training: commands and other words,
about 360 of each per hour, over background sound 5 to 25 dB below them. Clips occur several times, with
different noise and at different levels. --out saves the recording and the list of its words.
"""

import argparse
import csv
import json
import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import soundfile
from measure import COMMAND, Process, measure_process, write_results

import dltasks
from dltasks.evaluation.metrics import poisson_interval, wilson_interval
from dltasks.tasks.speech.detector import Detection
from dltasks.tasks.speech.synthetic_stream import (
    DetectionCounts,
    SyntheticStream,
    WordEvent,
    count_detections,
    synthesize_stream,
)

SEED = 20261121
COLUMNS = ("command", "spoken", "detected", "missed", "fraction missed", "false alarms", "per hour, 95 %")


def mix_test_split(task: Any, data: str, hours: float) -> SyntheticStream:
    """A recording mixed from the clips of the test split."""
    examples = task.load_examples(data)
    if not examples.splits or "test" not in examples.splits:
        raise SystemExit(f"{data}: has no test split; a model may have been trained on any of it")
    examples = examples.take(i for i, split in enumerate(examples.splits) if split == "test")
    encoded, _ = task.encode(examples.inputs)
    commands = task.detector_config.command_names
    return synthesize_stream(
        commands, encoded["samples"], examples.labels, 3600 * hours, task.sample_rate, SEED
    )


def save_stream(model: str, data: str, hours: float, folder: Path) -> tuple[WordEvent, ...]:
    """The words of a recording for this model; both are saved in the folder."""
    task = dltasks.load(model).task
    stream = mix_test_split(task, data, hours)
    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / "mixed.flac", stream.samples, task.sample_rate)
    with open(folder / "words.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("time_seconds", "word"))
        writer.writerows((f"{event.seconds:.3f}", event.word) for event in stream.events)
    return stream.events


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--model", default="commands")
    parser.add_argument("--out")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(arguments.out or name)
        # Mixed in a separate process: the memory of this one counts towards the command it starts.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            job = pool.submit(save_stream, arguments.model, arguments.data, arguments.hours, folder)
            events = job.result()
        recording = str(folder / "mixed.flac")
        process = measure_process([COMMAND, "listen", recording, "--model", arguments.model, "--json"])
    detections = [Detection(**json.loads(line)) for line in process.output.splitlines()]
    commands = dltasks.load(arguments.model).task.detector_config.command_names
    counts = count_detections(detections, events, commands, 3600 * arguments.hours)
    _report(counts, len(events), process, arguments.hours)


def _report(counts: DetectionCounts, words: int, process: Process, hours: float) -> None:
    rows = [
        _row(word, counts.spoken[word], counts.hits[word], counts.false_alarms[word], hours)
        for word in counts.spoken
    ]
    spoken, hits, false_alarms = (
        sum(values.values()) for values in (counts.spoken, counts.hits, counts.false_alarms)
    )
    rows.append(_row("all", spoken, hits, false_alarms, hours))
    result = {
        "hours": hours,
        "words": words,
        "spoken": counts.spoken,
        "detected": counts.hits,
        "false_alarms": counts.false_alarms,
        "miss_rate": counts.miss_rate(),
        "false_alarms_per_hour": counts.false_alarms_per_hour(),
        "real_time_factor": process.processor / (3600 * hours),
        "memory_MB": process.memory,
    }
    write_results("listening", result, rows, COLUMNS)
    streams = 3600 * hours / process.processor
    print(f"{words - spoken} other words; {streams:.0f} streams per core; {process.memory:.0f} MB")


def _row(name: str, spoken: int, hits: int, false_alarms: int, hours: float) -> tuple[str, ...]:
    missed = spoken - hits
    low, high = wilson_interval(missed, spoken)
    least, most = (value / hours for value in poisson_interval(false_alarms))
    fraction = f"{missed / max(1, spoken):.1%} [{low:.1%}, {high:.1%}]"
    interval = f"[{least:.1f}, {most:.1f}]"
    return name, str(spoken), str(hits), str(missed), fraction, str(false_alarms), interval


if __name__ == "__main__":
    main()
