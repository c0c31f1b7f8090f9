"""Labeled recordings from folders, CSV files and TensorFlow Datasets, and the labels of a model."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dltasks.data import labeled_files, tfds
from dltasks.data.batch import Batch
from dltasks.errors import DataError
from dltasks.tasks.speech.audio import SILENCE_LEVEL
from dltasks.tasks.speech.audio_files import Clip, is_audio_file, read_header, source_name

BACKGROUND_NOISE = "_background_noise_"
"""Folder of long recordings without words."""

UNKNOWN, SILENCE = "_unknown_", "_silence_"
"""Labels of words that are not commands, and of clips without words."""

RECORDINGS = labeled_files.FileKind(
    "recording",
    "recordings",
    is_audio_file,
    source_name,
    ".wav",
    "audio",
    skipped_folders=(BACKGROUND_NOISE,),
    columns=("speaker",),
)

NOISE_FRACTION = 0.1
"""Fraction of each background recording for validation, and for the test, if the clips come with splits."""

MAX_SHOWN = 3
"""Maximum number of clips listed in a note."""


def load_examples(source: Any) -> Batch:
    """All clips of a data set with their labels, and their splits if the data has any. Raises DataError.

    Background noise becomes stretches of one second, labeled as silence.
    """
    if str(source).startswith("tfds:"):
        name = str(source).removeprefix("tfds:")
        return tfds.from_tensorflow_datasets(name, RECORDINGS, _from_tfds, lambda _: None)
    recordings = labeled_files.find_labeled_files(source, RECORDINGS)
    rows = [(to_clip(row), row.label, row.split) for row in recordings.rows]
    notes = recordings.notes()
    noise = list(_cut_noise(Path(source), has_splits=recordings.splits() is not None))
    if noise:
        notes = (*notes, f"{len(noise)} one-second stretches of {BACKGROUND_NOISE}/ count as {SILENCE}")
    rows += noise
    clips, labels, splits = (list(column) for column in zip(*rows, strict=True))
    return Batch(clips, [source_name(clip) for clip in clips], labels, splits if any(splits) else None, notes)


def _from_tfds(samples: np.ndarray) -> np.ndarray:
    return samples.astype(np.int16) if samples.dtype.kind == "i" else samples.astype(np.float32)


def to_clip(row: labeled_files.LabeledFile) -> Clip:
    """A labeled recording with its speaker, if the data has one."""
    return Clip(row.path, speaker=row.extra[0] or _speaker_in_name(row.path))


def _speaker_in_name(path: Path) -> str:
    """The speaker in a name of Speech Commands: speaker_nohash_number."""
    speaker, separator, _ = path.stem.partition("_nohash_")
    return speaker if separator else ""


def _cut_noise(source: Path, has_splits: bool) -> Iterator[tuple[Clip, str, str | None]]:
    """Stretches of background noise; the last ones are held out if the clips come with splits."""
    top = source if source.is_dir() else source.parent
    for folder in sorted([*top.glob(BACKGROUND_NOISE), *top.glob(f"*/{BACKGROUND_NOISE}")]):
        parent = folder.parent
        folder_split = labeled_files.SPLIT_NAMES.get(parent.name.lower()) if parent != top else None
        for path in filter(is_audio_file, labeled_files.walk_files(folder)):
            count = int(_duration(path))
            for second in range(count):
                split = (
                    split_of_stretch(second, count, NOISE_FRACTION, NOISE_FRACTION) if has_splits else None
                )
                yield Clip(path, start=float(second)), SILENCE, folder_split or split


def _duration(path: Path) -> float:
    """Seconds of a recording; one for an unreadable file, so that its error is reported later."""
    try:
        return read_header(path)[0]
    except DataError:
        return 1.0


def split_of_stretch(index: int, count: int, validation: float, test: float) -> str:
    """The split of one stretch of `count`: the last fraction is for the test, that before for validation."""
    if index >= count - round(count * test):
        return "test"
    return "val" if index >= count - round(count * test) - round(count * validation) else "train"


def silent_words(examples: Batch, levels: Sequence[float] | np.ndarray) -> list[int]:
    """Indices of clips with the label of a word that are silent. levels: of the clips, in dBFS."""
    return [i for i, label in enumerate(examples.labels) if label != SILENCE and levels[i] < SILENCE_LEVEL]


def select_labels(labels: Sequence[str], words: str | None) -> tuple[str, ...]:
    """Labels of a model for training clips with these labels, sorted.

    words: the commands, separated by commas; all if None. Raises DataError.
    """
    available = set(labels)
    if BACKGROUND_NOISE in available:
        raise DataError(f"{BACKGROUND_NOISE} is used as a label; label clips without words as {SILENCE}")
    commands = available - {UNKNOWN, SILENCE}
    if words:
        selected = _select_words(words, available)
        others, commands = commands - selected, selected
        available |= {UNKNOWN} if others else set()
    if not commands:
        raise DataError(f"no commands, only {', '.join(sorted(available))}; expected one folder per word")
    if len(commands) == 1 and UNKNOWN not in available:
        raise DataError(
            f"only one word ({min(commands)!r}); expected two or more, or other words in {UNKNOWN}/"
        )
    return tuple(sorted({*commands, SILENCE, *(available & {UNKNOWN})}))


def _select_words(words: str, available: set[str]) -> set[str]:
    selected = {word.strip() for word in words.split(",")}
    if reserved := sorted(selected & {UNKNOWN, SILENCE}):
        raise DataError(f"--words: {reserved[0]} is not a command; list words")
    if missing := sorted(selected - available):
        raise DataError(
            f"--words: no clips of {', '.join(missing)}; available: {', '.join(sorted(available))}"
        )
    return selected


def training_notes(examples: Batch, labels: Sequence[str], levels: Sequence[float] | np.ndarray) -> list[str]:
    """Notes on the training data. labels: of the model; levels: of the clips, in dBFS."""
    notes = []
    if silent := silent_words(examples, levels):
        names = [examples.source_names[i] for i in silent[:MAX_SHOWN]]
        shown = ", ".join([*names, "..."] if len(silent) > MAX_SHOWN else names)
        clips = "1 clip of a word is" if len(silent) == 1 else f"{len(silent)} clips of words are"
        notes.append(f"{clips} silent (below {SILENCE_LEVEL:g} dBFS) and left out: {shown}")
    if SILENCE not in examples.labels:
        notes.append(
            "no background recordings, so silence is trained on white noise only; add recordings from the "
            f"place of use to {BACKGROUND_NOISE}/"
        )
    if UNKNOWN not in labels:
        notes.append(f"no {UNKNOWN} folder of other words: any word will be taken for a command")
    return notes
