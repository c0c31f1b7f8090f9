"""Problems of a data set of recorded words."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dltasks.data import labeled_files
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
from dltasks.progress import Progress
from dltasks.tasks.speech import data
from dltasks.tasks.speech.audio import SILENCE_LEVEL, level_db, read_blocks
from dltasks.tasks.speech.audio_files import MIN_SAMPLE_RATE, read_header
from dltasks.tasks.speech.clip_rules import apply_rules, expected_clip
from dltasks.tasks.speech.clip_stats import ClipStats, measure_clip
from dltasks.tasks.speech.config import SpeechConfig
from dltasks.tasks.speech.data import BACKGROUND_NOISE, SILENCE, UNKNOWN
from dltasks.tasks.speech.split import split_by_speaker

MAX_COPY_DECIBELS = 1.0
"""Maximum mean difference between the fingerprints of near-identical clips."""

Stats = Sequence[ClipStats | DataError]
Labels = Sequence[str]


def inspect(task: Any, source: Any, config: SpeechConfig, progress: Progress) -> Inspection:
    """Findings of a data set of spoken commands. Raises DataError if nothing in it can be inspected."""
    recordings = None
    examples = data.load_examples(source)
    if str(source).startswith("tfds:"):
        clips, labels, names = examples.inputs, examples.labels, examples.source_names
        items = Items("recording", "recordings", names, labels, examples.splits)
    else:
        recordings = labeled_files.find_labeled_files(source, data.RECORDINGS)
        clips = [data.to_clip(row) for row in recordings.rows]
        labels = [row.label for row in recordings.rows]
        items = class_balance.labeled_items(recordings)
    task.adapt(examples, config)
    rate, length = task.sample_rate, round(config.seconds * task.sample_rate)
    stats = map_inputs(clips, lambda chunk: [measure_clip(clip, rate, length) for clip in chunk], progress)
    readable = {i: clip for i, clip in enumerate(stats) if isinstance(clip, ClipStats)}
    failures = {i: clip for i, clip in enumerate(stats) if isinstance(clip, DataError)}
    findings = [*class_balance.unreadable_findings(failures, items)]
    findings += class_balance.balance_findings(items, list(readable), (UNKNOWN, SILENCE))
    if recordings:
        findings += class_balance.ignored_file_findings(recordings, _has_header)
        findings += _check_noise(examples)
    if readable:
        findings += _find_duplicates(stats, labels, items)
        findings += apply_rules(readable, labels, items, expected_clip(readable, config.seconds, rate))
        findings += _check_missing_labels(examples)
        findings += _check_splits(readable, clips, labels, items, config)
    return Inspection("speech", len(clips), items.many, tuple(findings))


def _find_duplicates(stats: Stats, labels: Labels, items: Items) -> Iterator[Finding]:
    digests = [clip.digest if isinstance(clip, ClipStats) else None for clip in stats]
    yield from duplicates.duplicate_findings(group_equal(digests), items, "identical")
    first = {digest: i for i, digest in reversed(list(enumerate(digests)))}
    candidates = {
        i: clip
        for i, clip in enumerate(stats)
        # Stretches of one noise are near-identical by design.
        if isinstance(clip, ClipStats)
        and first[clip.digest] == i
        and clip.level >= SILENCE_LEVEL
        and labels[i] != SILENCE
    }
    fingerprints = [clip.fingerprint for clip in candidates.values()]
    hashes = [clip.hash for clip in candidates.values()]
    yield from duplicates.near_duplicate_findings(
        list(candidates), fingerprints, hashes, MAX_COPY_DECIBELS, items
    )[1]


def _check_splits(
    readable: dict[int, ClipStats], clips: Sequence[Any], labels: Labels, items: Items, config: SpeechConfig
) -> Iterator[Finding]:
    """What prevents a split by speaker."""
    speakers = list(_speakers_across_splits(readable, clips, items))
    if speakers:
        yield Finding(
            "speaker across splits",
            ERROR,
            len(speakers),
            f"{count_of(len(speakers), 'speaker is', 'speakers are')} in two splits: the scores are inflated",
            "put all recordings of a speaker into one split",
            tuple(speakers),
            fatal=True,
        )
        return
    examples = Batch(
        [clips[i] for i in readable],
        [items.names[i] for i in readable],
        [labels[i] for i in readable],
        items.splits and [items.splits[i] for i in readable],
    )
    levels, digests = zip(*((clip.level, clip.digest) for clip in readable.values()), strict=True)
    try:
        split_by_speaker(examples, levels, digests, config)
    except DataError as error:
        yield Finding("cannot be split", ERROR, 1, str(error), "", fatal=True)


def _speakers_across_splits(
    readable: dict[int, ClipStats], clips: Sequence[Any], items: Items
) -> Iterator[str]:
    """Speakers in two splits of the data, with a recording from each."""
    splits = items.splits
    if splits is None:
        return
    positions = list(readable)
    by_speaker = indices_by_value([getattr(clips[i], "speaker", "") or None for i in positions])
    for speaker, members in by_speaker.items():
        indices = [positions[member] for member in members]
        examples = {splits[i]: items.names[i] for i in indices if splits[i]}
        if len(examples) > 1:
            yield f"{speaker}: {' and '.join(examples.values())}"


def _check_missing_labels(examples: Batch) -> Iterator[Finding]:
    """Missing recordings that a detector needs beside its words."""
    if SILENCE not in examples.labels:
        yield Finding(
            "no background noise",
            NOTE,
            1,
            "no recordings from the place of use",
            f"add some to {BACKGROUND_NOISE}/; silence is trained on white noise only",
        )
    if UNKNOWN not in examples.labels:
        yield Finding(
            "no other words",
            NOTE,
            1,
            f"no {UNKNOWN} folder of other words",
            "any word will be taken for a command; add some, or list the commands with --words",
        )


def _check_noise(examples: Batch) -> Iterator[Finding]:
    """Recordings of background noise that are unreadable or silent."""
    unusable = {}
    for path in dict.fromkeys(clip.path for clip in examples.inputs if clip.start is not None):
        try:
            level = level_db(np.concatenate(list(read_blocks(path, MIN_SAMPLE_RATE))))
            if level < SILENCE_LEVEL:
                unusable[path] = f"{path}: silent ({level:.0f} dB)"
        except DataError as error:
            unusable[path] = str(error)
    if unusable:
        yield Finding(
            "unusable noise",
            WARNING,
            len(unusable),
            f"{count_of(len(unusable), 'recording', 'recordings')} of {BACKGROUND_NOISE}/ can't be used",
            "record them again; the network learns nothing from silence",
            tuple(unusable.values()),
        )


def _has_header(path: Path) -> bool:
    try:
        return bool(read_header(path))
    except DataError:
        return False
