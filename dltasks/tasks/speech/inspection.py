"""What is wrong with a folder of recorded words."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np

from dltasks.data import labeled_files, near_duplicates
from dltasks.data.batch import Batch
from dltasks.doctor import class_balance, duplicates
from dltasks.doctor.duplicates import Items
from dltasks.doctor.findings import (
    ERROR,
    NOTE,
    WARNING,
    Finding,
    Inspection,
    count_of,
    group_equal,
    indices_by_value,
    map_inputs,
)
from dltasks.errors import DataError
from dltasks.files import read_file
from dltasks.progress import Progress
from dltasks.tasks.speech import data, sound, split
from dltasks.tasks.speech.data import BACKGROUND_NOISE, SILENCE, UNKNOWN

FULL = 0.999
"""Of full scale, from which a sample is at it."""

CLIPPED = 0.005
"""Share of a clip's samples at full scale from which it was recorded too loudly."""

SHORT = 0.2
"""Seconds below which a clip holds no whole word."""

DECIBELS = 1.0
"""That the likenesses of one recording differ by on average, at most."""

FRAME, BANDS, TIMES = 512, 8, 16

RARE = 0.05
"""Share of the clips that may be of another kind than the rest before that is how these clips are."""


@dataclass(frozen=True)
class Look:
    """What is heard of one clip. level: in decibels of full scale. clipped: share of its samples at full scale."""

    digest: bytes
    likeness: np.ndarray
    hash: np.ndarray
    level: float
    clipped: float
    seconds: float
    rate: int
    channels: int


def inspect(task, source, config, progress: Progress) -> Inspection:
    """Findings of a data set of spoken commands. Raises DataError where none can be looked at."""
    if str(source).startswith("tfds:"):
        found, examples = None, data.load_examples(source)
        raws = examples.inputs
        items = Items("recording", "recordings", examples.source_names, examples.labels, examples.splits)
    else:
        found, examples = labeled_files.find_labeled_files(source, data.SOUNDS), data.load_examples(source)
        raws, items = [data.clip(each) for each in found.rows], class_balance.labeled_items(found)
    task.adapt(examples, config)
    rate, length = task.sample_rate, round(config.seconds * task.sample_rate)
    looks = map_inputs(raws, lambda some: [_look(each, rate, length) for each in some], progress)
    kept = [i for i, each in enumerate(looks) if isinstance(each, Look)]
    failures = {i: each for i, each in enumerate(looks) if isinstance(each, DataError)}
    findings = [*class_balance.unreadable_findings(failures, items)]
    findings += class_balance.balance_findings(items, kept, aside=(UNKNOWN, SILENCE))
    if found:
        findings += class_balance.ignored_file_findings(found, _is_sound)
        findings += _noise(examples, found)
    if kept:
        findings += _copied(looks, items)
        findings += _unusual(looks, kept, items, task.sample_rate, config)
        findings += _missing(examples)
        findings += _parts([looks[i] for i in kept], [raws[i] for i in kept], kept, items, config)
    return Inspection("speech", len(raws), items.many, tuple(findings))


def _look(raw, rate: int, length: int) -> Look | DataError:
    try:
        samples = np.concatenate(list(sound.blocks(raw, rate)))
        seconds, own_rate, channels = len(samples) / rate, rate, 1
        if isinstance(raw, np.ndarray):
            digest = raw.tobytes()
        else:
            digest = raw if isinstance(raw, bytes) else read_file(Path(raw))
            seconds, own_rate, channels = sound.header(raw)
    except DataError as error:
        return error
    likeness, hash = described(sound.fitted(samples, length))
    clipped = float((np.abs(samples) >= FULL).mean())
    level = float(sound.level(sound.fitted(samples, length)))
    key = blake2b(digest, digest_size=16).digest()
    return Look(key, likeness, hash, level, clipped, seconds, own_rate, channels)


def described(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A likeness float32 (BANDS, TIMES) in decibels around its mean, and a difference hash uint64, of a clip (samples,).

    How loud a recording is changes neither.
    """
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[:: FRAME // 2] * np.hanning(FRAME)
    power = np.square(np.abs(np.fft.rfft(frames, axis=1)))[:, 1:]
    edges = np.geomspace(3, power.shape[1], BANDS + 1).astype(int)
    bands = np.add.reduceat(power, edges[:-1], axis=1).T
    # What lies 60 decibels below the loudest is noise of the recording's own.
    floor = max(float(bands.max()) * 1e-6, 1e-12)
    decibels = [
        10 * np.log10(bands @ near_duplicates.averaging_matrix(bands.shape[1], to).T + floor)
        for to in (TIMES, 9)
    ]
    likeness, wide = (each - each.mean() for each in decibels)
    rising = wide[:, 1:] > wide[:, :-1] + 0.5
    return likeness.astype(np.float32), near_duplicates.difference_hash(rising.reshape(1, 64))[0]


def _copied(looks, items: Items) -> Iterator[Finding]:
    digests = [each.digest if isinstance(each, Look) else None for each in looks]
    yield from duplicates.duplicate_findings(group_equal(digests), items, "identical")
    first = {digest: i for i, digest in reversed(list(enumerate(digests)))}
    heard = [
        i
        for i, each in enumerate(looks)
        # Stretches of one noise are near-copies, and meant to be.
        if isinstance(each, Look)
        and first[each.digest] == i
        and each.level >= sound.QUIET
        and items.labels[i] != SILENCE
    ]
    likenesses, hashes = [looks[i].likeness for i in heard], [looks[i].hash for i in heard]
    yield from duplicates.near_duplicate_findings(heard, likenesses, hashes, DECIBELS, items)[1]


def _unusual(looks, kept: list[int], items: Items, rate: int, config) -> Iterator[Finding]:
    words = [i for i in kept if items.labels[i] != SILENCE]
    silent = [i for i in words if looks[i].level < sound.QUIET]
    clipped = [i for i in words if looks[i].clipped > CLIPPED]
    short = [i for i in words if looks[i].seconds < SHORT]
    long = [i for i in words if looks[i].seconds > 2 * config.seconds]
    low = [i for i in kept if looks[i].rate < rate]
    rates = Counter(looks[i].rate for i in kept)
    odd = [i for i in kept if rates[looks[i].rate] <= RARE * len(kept) and i not in set(low)]
    for kind, severity, there, told, advice, examples in (
        (
            "silent",
            WARNING,
            silent,
            f"lie below {sound.QUIET:g} dB of full scale, and not in {SILENCE}",
            "training leaves them out; record them again, or take them out (--fix)",
            [f"{items.names[i]} {looks[i].level:.0f} dB" for i in silent],
        ),
        (
            "clipped",
            WARNING if len(clipped) > RARE * len(words) else NOTE,
            clipped,
            f"are at full scale for more than {CLIPPED:.1%} of their length",
            "record at a lower level",
            [f"{items.names[i]} {looks[i].clipped:.1%}" for i in clipped],
        ),
        (
            "short",
            WARNING,
            short,
            f"last less than {SHORT:g} s",
            "look whether a whole word is in them",
            [f"{items.names[i]} {looks[i].seconds:.2f} s" for i in short],
        ),
        (
            "long",
            WARNING if len(long) > RARE * len(kept) else NOTE,
            long,
            f"last more than twice as long as the network hears, {config.seconds:g} s; only the loudest stretch is used",
            "cut them into one word each",
            [f"{items.names[i]} {looks[i].seconds:.1f} s" for i in long],
        ),
        (
            "low rate",
            WARNING,
            low,
            f"have fewer than {rate:,} samples a second: their high frequencies are missing",
            "record at that rate; where only some classes are so, the network learns the microphone",
            [f"{items.names[i]} {looks[i].rate:,} Hz" for i in low],
        ),
        (
            "rare rate",
            NOTE,
            odd,
            "have another rate than most",
            "they are resampled; look whether they are all of one class",
            [f"{items.names[i]} {looks[i].rate:,} Hz" for i in odd],
        ),
    ):
        if there:
            yield Finding(
                kind,
                severity,
                len(there),
                items.count_phrase(len(there), told),
                advice,
                tuple(examples),
                items.removable(there) if kind == "silent" else (),
            )


def _parts(looks, raws, kept: list[int], items: Items, config) -> Iterator[Finding]:
    """What stands in the way of a division by speaker."""
    splits = items.splits and [items.splits[i] for i in kept]
    torn = list(_torn(raws, kept, items))
    if torn:
        yield Finding(
            "speaker across splits",
            ERROR,
            len(torn),
            f"{count_of(len(torn), 'speaker stands', 'speakers stand')} in two parts: scores would flatter",
            "put all recordings of a speaker into one part",
            tuple(torn),
            fatal=True,
        )
        return
    there = Batch(raws, [items.names[i] for i in kept], [items.labels[i] for i in kept], splits)
    try:
        split.divided(there, [each.level for each in looks], [each.digest for each in looks], config)
    except DataError as error:
        yield Finding("can't be divided", ERROR, 1, str(error), "", fatal=True)


def _torn(raws, kept: list[int], items: Items) -> Iterator[str]:
    """Speakers whom the data puts into two parts, each with a recording of both."""
    if items.splits is None:
        return
    spoken = indices_by_value([getattr(raw, "speaker", "") or None for raw in raws])
    for speaker, its in spoken.items():
        parts_of = {items.splits[kept[i]]: items.names[kept[i]] for i in its if items.splits[kept[i]]}
        if len(parts_of) > 1:
            yield f"{speaker}: {' and '.join(parts_of.values())}"


def _missing(examples) -> Iterator[Finding]:
    """What a listener needs beside its words."""
    if SILENCE not in examples.labels:
        yield Finding(
            "no background",
            NOTE,
            1,
            "no recordings of the place where it will listen",
            f"put some into {BACKGROUND_NOISE}/; silence is only white noise now",
        )
    if UNKNOWN not in examples.labels:
        yield Finding(
            "no other words",
            NOTE,
            1,
            f"no {UNKNOWN} folder of other words",
            "every word will be taken for one of these (or name the commands with --words)",
        )


def _noise(examples, found: labeled_files.LabeledFiles) -> Iterator[Finding]:
    """Recordings of noise that can't be read, or hold nothing."""
    paths = dict.fromkeys(raw.path for raw in examples.inputs if raw.start is not None)
    bad = {}
    for path in paths:
        try:
            samples = np.concatenate(list(sound.blocks(path, sound.RATES[0])))
            if sound.level(samples) < sound.QUIET:
                bad[path] = f"{path}: silent ({sound.level(samples):.0f} dB)"
        except DataError as error:
            bad[path] = str(error)
    if bad:
        yield Finding(
            "useless noise",
            WARNING,
            len(bad),
            f"{count_of(len(bad), 'recording', 'recordings')} of {BACKGROUND_NOISE}/ can't be used",
            "record them again; true silence teaches nothing",
            tuple(bad.values()),
        )


def _is_sound(path: Path) -> bool:
    try:
        return bool(sound.header(path))
    except DataError:
        return False
