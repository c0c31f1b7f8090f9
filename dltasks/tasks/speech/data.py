"""Where recordings and their labels stand: folders, CSV files, TensorFlow Datasets; and recordings of noise."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dltasks.data import labeled_files
from dltasks.data.batch import Batch
from dltasks.errors import DataError
from dltasks.tasks.speech.sound import Clip, describe, header, is_sound

BACKGROUND_NOISE = "_background_noise_"
"""The folder of long recordings without words."""

UNKNOWN, SILENCE = "_unknown_", "_silence_"
"""Labels of words that are no command, and of no word."""

SOUNDS = labeled_files.FileKind(
    "recording",
    "recordings",
    is_sound,
    describe,
    ".wav",
    "audio",
    passed=(BACKGROUND_NOISE,),
    columns=("speaker",),
)

APART = 0.1
"""Share of each recording of noise to judge by, and to choose by, where the clips come divided."""


def load_examples(source) -> Batch:
    """All clips of a data set with their labels, and their splits where they are given. Raises DataError.

    Recordings of noise come as stretches of a second, labelled as silence.
    """
    if str(source).startswith("tfds:"):
        name = str(source).removeprefix("tfds:")
        return labeled_files.from_tensorflow_datasets(name, SOUNDS, _sixteen_bit, lambda _: None)
    found = labeled_files.find_labeled_files(source, SOUNDS)
    rows, notes = [(clip(each), each.label, each.split) for each in found.rows], found.notes()
    noise = list(_noise(Path(source), divided=found.splits() is not None))
    if noise:
        notes = (*notes, f"{len(noise)} stretches of a second from {BACKGROUND_NOISE}/ count as {SILENCE}")
    rows += noise
    raws, labels, splits = (list(column) for column in zip(*rows, strict=True))
    return Batch(raws, [describe(each) for each in raws], labels, splits if any(splits) else None, notes)


def _sixteen_bit(samples: np.ndarray) -> np.ndarray:
    return samples.astype(np.int16) if samples.dtype.kind == "i" else samples.astype(np.float32)


def clip(row: labeled_files.LabeledFile) -> Clip:
    """A labelled recording, and who speaks, if the data says that."""
    return Clip(row.path, speaker=row.more[0] or _speaker(row.path))


def _speaker(path: Path) -> str:
    """As files of Speech Commands are named: speaker_nohash_number."""
    speaker, found, _ = path.stem.partition("_nohash_")
    return speaker if found else ""


def _noise(source: Path, divided: bool) -> Iterator[tuple[Clip, str, str | None]]:
    """Stretches of the recordings of noise; the last ones of each are kept apart if the clips come divided."""
    top = source if source.is_dir() else source.parent
    for folder in sorted([*top.glob(BACKGROUND_NOISE), *top.glob(f"*/{BACKGROUND_NOISE}")]):
        own = labeled_files.SPLIT_NAMES.get(folder.parent.name.lower()) if folder.parent != top else None
        for path in filter(is_sound, labeled_files.walk_files(folder)):
            count = int(_seconds(path))
            for second in range(count):
                split = own or (part_of(second, count, APART, APART) if divided else None)
                yield Clip(path, start=float(second)), SILENCE, split


def _seconds(path: Path) -> float:
    """Length of a recording; one that can't be read counts as a second, so that its failure is told later."""
    try:
        return header(path)[0]
    except DataError:
        return 1.0


def part_of(position: int, count: int, val: float, test: float) -> str:
    """The part of one stretch of `count`: the last `test` to judge by, the `val` before them to choose by."""
    if position >= count - round(count * test):
        return "test"
    return "val" if position >= count - round(count * test) - round(count * val) else "train"
