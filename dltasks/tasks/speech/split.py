"""Clips divided into train, val and test: by speaker, each recording on one side only."""

import hashlib
from collections.abc import Sequence

import numpy as np

from dltasks.data.batch import Batch, Splits
from dltasks.errors import DataError
from dltasks.tasks.speech.data import SILENCE, part_of
from dltasks.tasks.speech.sound import QUIET, Clip, level


def silent(examples: Batch, levels: Sequence[float]) -> list[int]:
    """Positions of clips that are said to hold a word and are silent. levels: of each clip, in decibels of full scale."""
    return [i for i, truth in enumerate(examples.labels) if truth != SILENCE and levels[i] < QUIET]


def divide(examples: Batch, samples: np.ndarray, config) -> Splits:
    """`divided`, of the samples float32 (count, samples) of the examples. Raises DataError."""
    return divided(examples, level(samples), [_digest(each) for each in samples], config)


def _digest(samples: np.ndarray) -> bytes:
    return hashlib.sha1(np.ascontiguousarray(samples).tobytes()).digest()


def divided(examples: Batch, levels: Sequence[float], digests: Sequence[bytes], config) -> Splits:
    """Positions of each part. Parts that the data declares stand; those it lacks are cut from train.

    levels: see silent. digests: equal for copies. Silent clips of words are in no part. Raises DataError
    for a word that is always silent, or with too few speakers, and for a speaker declared to be in two parts.
    """
    quiet = set(silent(examples, levels))
    _check_heard(examples, quiet)
    parts = {"train": [], "val": [], "test": []}
    noise: dict[str, list[int]] = {}
    declared = _declared(examples)
    for position, split in enumerate(examples.splits or [None] * len(examples)):
        raw = examples.inputs[position]
        if position in quiet:
            continue
        if split is None and isinstance(raw, Clip) and raw.start is not None:
            noise.setdefault(str(raw.path), []).append(position)
        else:
            parts[split or declared.get(_speaker(raw), "train")].append(position)
    shares = {
        name: share
        for name, share in (("test", config.test_split), ("val", config.validation_split))
        if not parts[name]
    }
    for positions in noise.values():
        for place, position in enumerate(positions):
            part = part_of(place, len(positions), shares.get("val", 0), shares.get("test", 0))
            parts[part].append(position)
    shares = {name: share for name, share in shares.items() if share}
    if shares:
        cut = {position for positions in noise.values() for position in positions}
        _cut(parts, [i for i in parts["train"] if i not in cut], examples, digests, shares, config.seed)
    return Splits(**{name: sorted(positions) for name, positions in parts.items()})


def _speaker(raw) -> str:
    """Who speaks; nothing where it is not known."""
    return getattr(raw, "speaker", "")


def _declared(examples: Batch) -> dict[str, str]:
    """The part of each speaker of whom the data says one. Raises DataError for two parts."""
    found: dict[str, str] = {}
    for raw, origin, split in zip(
        examples.inputs, examples.source_names, examples.splits or [None] * len(examples), strict=True
    ):
        if not split or not (speaker := _speaker(raw)):
            continue
        if found.setdefault(speaker, split) != split:
            raise DataError(
                f"{origin}: speaker {speaker!r} stands in {split} here and in {found[speaker]} elsewhere; put all "
                "clips of a speaker into one part"
            )
    return found


def _cut(parts, positions: list[int], examples: Batch, digests, shares: dict[str, float], seed: int) -> None:
    """Move speakers, in random order, from train to each part until it has its share of every word."""
    truths = examples.labels
    totals: dict[str, int] = {}
    for position in positions:
        totals[truths[position]] = totals.get(truths[position], 0) + 1
    wanted = {
        name: {w: max(1, round(share * n)) for w, n in totals.items()} for name, share in shares.items()
    }
    groups = list(_by_speaker(examples, digests, positions).values())
    moved: set[int] = set()
    for i in np.random.default_rng(seed).permutation(len(groups)):
        for name, missing in wanted.items():
            useful = sum(missing.get(truths[position], 0) > 0 for position in groups[i])
            if 2 * useful > len(groups[i]):
                for position in groups[i]:
                    missing[truths[position]] -= 1
                parts[name] += groups[i]
                moved.update(groups[i])
                break
    parts["train"] = [i for i in parts["train"] if i not in moved]
    _check_parts(parts, truths, totals, shares)


def _by_speaker(examples: Batch, digests: Sequence[bytes], positions: list[int]) -> dict[object, list[int]]:
    """Positions by speaker; where none is known, by sound, so that copies stay together."""
    groups: dict[object, list[int]] = {}
    for position in positions:
        groups.setdefault(_speaker(examples.inputs[position]) or digests[position], []).append(position)
    return groups


def _check_heard(examples: Batch, quiet: set[int]) -> None:
    for word in sorted(set(examples.labels)):
        positions = [i for i, truth in enumerate(examples.labels) if truth == word]
        if all(i in quiet for i in positions):
            raise DataError(
                f"all {len(positions)} clips of {word!r} are silent (below {QUIET:g} dB of full scale), "
                f"{examples.source_names[positions[0]]} for one; record them again, or name the folder {SILENCE}"
            )


def _check_parts(parts, truths, totals: dict[str, int], shares: dict[str, float]) -> None:
    for name in ("train", *shares):
        there = {truths[i] for i in parts[name]}
        for word, count in totals.items():
            if word not in there:
                raise DataError(
                    f"{word!r} has {count} clip{'s' * (count != 1)} of too few speakers (or copies of too few clips) for "
                    f"{len(shares) + 1} parts with different speakers; add some, or divide the data yourself into "
                    "train, val and test folders"
                )
