"""Splits of the clips by speaker: each speaker, and each recording, is in one split only."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from dltasks.data.batch import Batch, Splits
from dltasks.errors import DataError
from dltasks.tasks.speech.audio import SILENCE_LEVEL, level_db
from dltasks.tasks.speech.audio_files import Clip
from dltasks.tasks.speech.config import SpeechConfig
from dltasks.tasks.speech.data import SILENCE, silent_words, split_of_stretch

Indices = dict[str, list[int]]
"""Indices of examples by split or by recording."""


def split_examples(examples: Batch, samples: np.ndarray, config: SpeechConfig) -> Splits:
    """`split_by_speaker` for samples float32 (count, samples) of the examples. Raises DataError."""
    return split_by_speaker(examples, level_db(samples), [_digest(clip) for clip in samples], config)


def _digest(samples: np.ndarray) -> bytes:
    return hashlib.sha1(np.ascontiguousarray(samples).tobytes()).digest()


def split_by_speaker(
    examples: Batch,
    levels: Sequence[float] | np.ndarray,
    digests: Sequence[bytes],
    config: SpeechConfig,
) -> Splits:
    """Indices of each split: those of the data, if any, and the missing ones taken from train.

    levels: of the clips, in dBFS. digests: equal for copies. Silent clips of words are in no split. Raises
    DataError for a word that is always silent or has too few speakers, and for a speaker in two splits.
    """
    silent = set(silent_words(examples, levels))
    _check_audible(examples, silent)
    splits, noise = _assign_declared(examples, silent)
    sizes = {"test": config.test_split, "val": config.validation_split}
    fractions = {name: fraction for name, fraction in sizes.items() if not splits[name]}
    for indices in noise.values():
        for order, index in enumerate(indices):
            split = split_of_stretch(order, len(indices), fractions.get("val", 0), fractions.get("test", 0))
            splits[split].append(index)
    fractions = {name: fraction for name, fraction in fractions.items() if fraction}
    if fractions:
        stretches = {index for indices in noise.values() for index in indices}
        clips = [i for i in splits["train"] if i not in stretches]
        _hold_out(splits, clips, examples, digests, fractions, config.seed)
    return Splits(**{name: sorted(indices) for name, indices in splits.items()})


def _assign_declared(examples: Batch, silent: set[int]) -> tuple[Indices, Indices]:
    """Clips by the split of the data or of their speaker, train otherwise; and unassigned noise by file."""
    splits: Indices = {"train": [], "val": [], "test": []}
    noise: Indices = {}
    declared = _declared_splits(examples)
    for index, split in enumerate(examples.splits or [None] * len(examples)):
        source = examples.inputs[index]
        if index in silent:
            continue
        if split is None and isinstance(source, Clip) and source.start is not None:
            noise.setdefault(str(source.path), []).append(index)
        else:
            splits[split or declared.get(_speaker(source), "train")].append(index)
    return splits, noise


def _speaker(source: Any) -> str:
    """Name of the speaker; empty if unknown."""
    return getattr(source, "speaker", "")


def _declared_splits(examples: Batch) -> dict[str, str]:
    """The split in the data of each speaker who has one. Raises DataError for a speaker in two."""
    declared: dict[str, str] = {}
    splits = examples.splits or [None] * len(examples)
    for source, name, split in zip(examples.inputs, examples.source_names, splits, strict=True):
        if not split or not (speaker := _speaker(source)):
            continue
        if declared.setdefault(speaker, split) != split:
            raise DataError(
                f"{name}: speaker {speaker!r} is in {split} here and in {declared[speaker]} elsewhere; put "
                "all clips of a speaker into one split"
            )
    return declared


def _hold_out(
    splits: Indices,
    indices: list[int],
    examples: Batch,
    digests: Sequence[bytes],
    fractions: dict[str, float],
    seed: int,
) -> None:
    """Move speakers, in random order, from train to each split until it has its fraction of every word."""
    labels = examples.labels
    totals: dict[str, int] = {}
    for index in indices:
        totals[labels[index]] = totals.get(labels[index], 0) + 1
    missing_counts = {
        name: {word: max(1, round(fraction * count)) for word, count in totals.items()}
        for name, fraction in fractions.items()
    }
    groups = list(_group_by_speaker(examples, digests, indices).values())
    moved: set[int] = set()
    for i in np.random.default_rng(seed).permutation(len(groups)):
        for name, missing in missing_counts.items():
            useful = sum(missing.get(labels[index], 0) > 0 for index in groups[i])
            if 2 * useful > len(groups[i]):
                for index in groups[i]:
                    missing[labels[index]] -= 1
                splits[name] += groups[i]
                moved.update(groups[i])
                break
    splits["train"] = [i for i in splits["train"] if i not in moved]
    _check_all_words(splits, labels, totals, fractions)


def _group_by_speaker(
    examples: Batch, digests: Sequence[bytes], indices: list[int]
) -> dict[object, list[int]]:
    """Indices by speaker; of clips without one by content, so that copies stay together."""
    groups: dict[object, list[int]] = {}
    for index in indices:
        groups.setdefault(_speaker(examples.inputs[index]) or digests[index], []).append(index)
    return groups


def _check_audible(examples: Batch, silent: set[int]) -> None:
    for word in sorted(set(examples.labels)):
        indices = [i for i, label in enumerate(examples.labels) if label == word]
        if all(i in silent for i in indices):
            raise DataError(
                f"all {len(indices)} clips of {word!r} are silent (below {SILENCE_LEVEL:g} dBFS), "
                f"{examples.source_names[indices[0]]} for example; record them again, or rename the folder "
                f"to {SILENCE}"
            )


def _check_all_words(
    splits: Indices, labels: Sequence[str], totals: dict[str, int], fractions: dict[str, float]
) -> None:
    for name in ("train", *fractions):
        words = {labels[i] for i in splits[name]}
        for word, count in totals.items():
            if word not in words:
                raise DataError(
                    f"{word!r} has {count} clip{'s' * (count != 1)} from too few speakers (or copies of too "
                    f"few clips) for {len(fractions) + 1} splits with different speakers; add more, or split "
                    "the data into train, val and test folders yourself"
                )
