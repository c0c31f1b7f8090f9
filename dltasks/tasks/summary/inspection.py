"""Inspection of texts and their summaries for `dltasks doctor`."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dltasks.data import tables
from dltasks.data.batch import Batch
from dltasks.doctor import duplicates
from dltasks.doctor.duplicates import Items
from dltasks.doctor.findings import ERROR, NOTE, WARNING, Finding, Inspection, Location, count_of, group_equal
from dltasks.errors import DataError
from dltasks.progress import Progress
from dltasks.tasks.summary.config import SummaryConfig
from dltasks.tasks.summary.data import load_pairs
from dltasks.tasks.summary.pair_rules import RULES, TOO_LONG
from dltasks.tasks.summary.split import split_examples

MIN_TRAINING_PAIRS = 200
"""Number of training pairs below which a network learns little."""

MAX_NOTED_FRACTION = 0.02
"""Maximum fraction of the pairs with a problem that is a note and not a warning."""

MAX_UNUSABLE_FRACTION = 0.1
"""Maximum fraction of unusable rows that is a warning and not an error."""

MIN_PAIRS_WITH_SAME_SUMMARY = 3
"""Number of different texts with the same summary from which it is a finding."""

MAX_LENGTH_RATIO = 20
"""Length of a text relative to the median above which it is a finding."""


def inspect(source: Any, config: SummaryConfig, progress: Progress) -> Inspection:
    """Findings in texts with their summaries. Raises DataError if there are none."""
    examples = load_pairs(source, config.text, config.summary)
    items = _items(source, examples)
    failures = {i: error for i, error in enumerate(examples.inputs) if isinstance(error, DataError)}
    usable = [i for i in range(len(examples)) if i not in failures]
    findings = [*_unusable_rows(failures, items)]
    if usable:
        findings += _duplicates(examples, usable, items)
        findings += _shared_summaries(examples, usable, items)
        findings += _problems(examples, usable, items)
        findings += _long_texts(examples, usable, items)
        findings += _split_sizes(examples.take(usable), config)
    progress.update("inspecting", len(examples), len(examples))
    return Inspection("summary", len(examples), "pairs", tuple(findings))


def _items(source: Any, examples: Batch) -> Items:
    """The pairs with their names and locations; those of TensorFlow Datasets have no location."""
    from_datasets = isinstance(source, str) and source.startswith("tfds:")
    files = {} if from_datasets else {str(path): path for path in tables.files(source)}
    locations = [_locate(name, files) for name in examples.source_names] if files else None
    names = examples.source_names
    if locations is not None and len(files) == 1:
        names = [f"row {location.row}" for location in locations]
    return Items("pair", "pairs", names, None, examples.splits, locations)


def _locate(name: str, files: dict[str, Path]) -> Location:
    file, _, row = name.rpartition(", row ")
    return Location(files[file], int(row))


def _unusable_rows(failures: dict[int, DataError], items: Items) -> Iterator[Finding]:
    if failures:
        yield Finding(
            "unusable row",
            ERROR if len(failures) > MAX_UNUSABLE_FRACTION * len(items.names) else WARNING,
            len(failures),
            f"{count_of(len(failures), 'row', 'rows')} of {len(items.names):,} can't be used",
            "training skips them; correct them, or move them away (--fix)",
            tuple(str(error) for error in failures.values()),
            items.removable(failures),
        )


def _duplicates(examples: Batch, usable: Sequence[int], items: Items) -> Iterator[Finding]:
    """Texts that occur more than once."""
    texts = _by_index(examples, usable, lambda i: " ".join(examples.inputs[i].text.split()).casefold())
    pairs = _by_index(examples, usable, lambda i: (texts[i], examples.labels[i].summaries))
    groups = list(group_equal(texts))
    # Within a split, a text is a duplicate only if its summaries are the same too.
    across = [group for group in groups if len({items.split(i) for i in group}) > 1]
    for finding in duplicates.duplicate_findings(across, items, duplicates.IDENTICAL):
        if finding.kind == duplicates.SPLIT_LEAKAGE:
            yield finding
    for finding in duplicates.duplicate_findings(group_equal(pairs), items, duplicates.IDENTICAL):
        if finding.kind != duplicates.SPLIT_LEAKAGE:
            yield finding
    several = [group for group in groups if len({examples.labels[i].summaries for i in group}) > 1]
    if several:
        count = sum(map(len, several))
        yield Finding(
            "multiple summaries",
            NOTE,
            count,
            items.count_phrase(count, "share a text and have different summaries"),
            "list a text once, with all its summaries",
            tuple(" = ".join(items.names[i] for i in group[:3]) for group in several),
        )


def _shared_summaries(examples: Batch, usable: Sequence[int], items: Items) -> Iterator[Finding]:
    """Summaries that several different texts have."""
    texts = _by_index(examples, usable, lambda i: " ".join(examples.inputs[i].text.split()).casefold())
    summaries = _by_index(examples, usable, lambda i: examples.labels[i].summaries[0].strip().casefold())
    groups = [
        group
        for group in group_equal(summaries)
        if len({texts[i] for i in group}) >= MIN_PAIRS_WITH_SAME_SUMMARY
    ]
    if groups:
        count = sum(map(len, groups))
        yield Finding(
            "same summary",
            WARNING if count > MAX_NOTED_FRACTION * len(usable) else NOTE,
            count,
            f"{count:,} pairs of different texts have the same summary",
            "it describes none of them; --fix moves these pairs away",
            tuple(_describe_group(group, examples, items) for group in groups),
            items.removable(i for group in groups for i in group),
        )


def _describe_group(group: Sequence[int], examples: Batch, items: Items) -> str:
    summary = examples.labels[group[0]].summaries[0]
    summary = repr(summary if len(summary) <= 40 else summary[:37] + "...")
    return f"{items.names[group[0]]}: {summary} ({len(group)} times)"


def _by_index(examples: Batch, usable: Sequence[int], value: Callable[[int], Any]) -> list[Any]:
    """The value of each usable example; None for the others."""
    values: list[Any] = [None] * len(examples)
    for i in usable:
        values[i] = value(i)
    return values


def _problems(examples: Batch, usable: Sequence[int], items: Items) -> Iterator[Finding]:
    """Findings of RULES; most pairs with too long a summary mean swapped columns."""
    for rule in RULES:
        affected = [i for i in usable if rule.applies(examples.inputs[i], examples.labels[i].summaries[0])]
        if rule is TOO_LONG and 2 * len(affected) > len(usable):
            yield _swapped_columns(affected, items)
        elif affected:
            yield Finding(
                rule.kind,
                WARNING if len(affected) > MAX_NOTED_FRACTION * len(usable) else rule.severity,
                len(affected),
                items.count_phrase(len(affected), rule.message),
                rule.fix,
                tuple(items.names[i] for i in affected),
                items.removable(affected) if rule.removable else (),
            )


def _swapped_columns(affected: Sequence[int], items: Items) -> Finding:
    return Finding(
        "swapped columns",
        ERROR,
        len(affected),
        items.count_phrase(
            len(affected), "have a summary that is not shorter than its text: the columns seem to be swapped"
        ),
        "name them with --text and --summary",
        tuple(items.names[i] for i in affected),
    )


def _long_texts(examples: Batch, usable: Sequence[int], items: Items) -> Iterator[Finding]:
    lengths = np.array([len(examples.inputs[i].text) for i in usable])
    median = float(np.median(lengths))
    limit = MAX_LENGTH_RATIO * max(median, 500)
    long = {i: int(length) for i, length in zip(usable, lengths, strict=True) if length > limit}
    if long:
        yield Finding(
            "long text",
            NOTE,
            len(long),
            items.count_phrase(
                len(long),
                f"have a text more than {MAX_LENGTH_RATIO} times as long as the median "
                f"({median:,.0f} characters)",
            ),
            "training uses only its first sentences",
            tuple(f"{items.names[i]}: {length:,} characters" for i, length in long.items()),
        )


def _split_sizes(examples: Batch, config: SummaryConfig) -> Iterator[Finding]:
    splits = split_examples(examples, config)
    for name, indices in (("training", splits.train), ("validation", splits.val)):
        if not len(indices):
            yield Finding(
                "empty split",
                ERROR,
                1,
                f"no {name} pairs",
                "add some, or remove the column split",
            )
    if 0 < len(splits.train) < MIN_TRAINING_PAIRS:
        yield Finding(
            "few pairs",
            WARNING,
            len(splits.train),
            f"only {len(splits.train):,} training pairs",
            "a network needs thousands to do better than the first sentences",
        )
