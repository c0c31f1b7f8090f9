"""An hour of words at known times over noise, and what `dltasks listen` hears in it.

    python benchmarks/listening.py ../shared/data/speech_gsc12 [--hours 1] [--model commands] [--out mixed/]

The recording is mixed from the test part of a data set laid out as for training: commands and other words, about
360 of each an hour, over background sound 5 to 25 dB below them. Clips come again in it, with other noise, at other
loudness. --out keeps the recording and the list of its words.
"""

import argparse
import csv
import json
import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import soundfile
from measured import COMMAND, measured, progress

import dltasks
from dltasks.evaluation.metrics import poisson, wilson
from dltasks.tasks.speech.detector import Detection
from dltasks.tasks.speech.synthetic_stream import Mixture, Said, mixture_of, tally

SEED = 20261121


def mixture(task, data: str, hours: float) -> Mixture:
    """The recording, mixed of the clips to judge by."""
    examples = task.load_examples(data)
    if not examples.splits or "test" not in examples.splits:
        raise SystemExit(f"{data}: has no test part; a model may have been trained on any of it")
    examples = examples.take(i for i, split in enumerate(examples.splits) if split == "test")
    inputs, _ = task.encode(examples.inputs)
    return mixture_of(
        task.hearing.words, inputs["samples"], examples.labels, 3600 * hours, task.sample_rate, SEED
    )


def kept(model: str, data: str, hours: float, folder: Path) -> tuple[Said, ...]:
    """The words of a recording for this model, both written to the folder."""
    task = dltasks.load(model).task
    mixed = mixture(task, data, hours)
    folder.mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / "mixed.flac", mixed.samples, task.sample_rate)
    with open(folder / "words.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("time_seconds", "word"))
        writer.writerows((f"{each.seconds:.3f}", each.word) for each in mixed.said)
    return mixed.said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--model", default="commands")
    parser.add_argument("--out")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(given.out or name)
        # Mixed in a process of its own: the memory of this one is charged to the command it starts.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as apart:
            words = apart.submit(kept, given.model, given.data, given.hours, folder).result()
        ran = measured([COMMAND, "listen", str(folder / "mixed.flac"), "--model", given.model, "--json"])
    detections = [Detection(**json.loads(line)) for line in ran.output.splitlines()]
    found = tally(detections, words, dltasks.load(given.model).task.hearing.words, 3600 * given.hours)
    _tell(found, len(words), ran, given)


def _tell(found, words: int, ran, given) -> None:
    def row(name, said, hits, false):
        low, high = wilson(said - hits, said)
        least, most = (each / given.hours for each in poisson(false))
        missed = f"{(said - hits) / max(1, said):.1%} [{low:.1%}, {high:.1%}]"
        return name, str(said), str(hits), str(said - hits), missed, str(false), f"[{least:.1f}, {most:.1f}]"

    said, hits, false = (sum(each.values()) for each in (found.said, found.hits, found.false))
    rows = [row(each, found.said[each], found.hits[each], found.false[each]) for each in found.said]
    rows.append(row("all", said, hits, false))
    columns = ("command", "said", "detected", "missed", "share missed", "false alarms", "an hour, 95 %")
    result = {
        "hours": given.hours,
        "words": words,
        "said": found.said,
        "detected": found.hits,
        "false_alarms": found.false,
        "miss_rate": found.miss_rate(),
        "false_alarms_per_hour": found.false_per_hour(),
        "real_time_factor": ran.processor / (3600 * given.hours),
        "memory_MB": ran.memory,
    }
    progress("listening", result, rows, columns)
    streams = 3600 * given.hours / ran.processor
    print(f"{words - said} other words; {streams:.0f} streams' worth a core; {ran.memory:.0f} MB")


if __name__ == "__main__":
    main()
