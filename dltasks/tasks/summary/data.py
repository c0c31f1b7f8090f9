"""Texts with their summaries, read from a table or from TensorFlow Datasets."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dltasks.data import labeled_files, tables, tfds
from dltasks.data.batch import Batch
from dltasks.errors import DataError, MissingExtraError
from dltasks.tasks.summary.documents import Document, check_document
from dltasks.tasks.summary.examples import HeadlineExample, Reference

TEXT_COLUMNS = ("text", "document", "article", "abstract", "source", "body", "content", "story", "dialogue")
"""Names that the column of the texts may have, the likeliest first."""

SUMMARY_COLUMNS = (
    "summary",
    "summaries",
    "highlights",
    "target",
    "targets",
    "headline",
    "title",
    "tldr",
    "reference",
    "references",
)
"""Names that the column of the summaries may have, the likeliest first."""

SPLIT_COLUMN = "split"


@dataclass
class _Pairs:
    """The columns of a batch while it is read."""

    inputs: list[Document | DataError] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    labels: list[Reference] = field(default_factory=list)
    splits: list[str | None] = field(default_factory=list)

    def append(self, text: Any, summary: Any, name: str, split: str | None) -> None:
        document, reference = _parse_pair(text, summary, name)
        self.inputs.append(document)
        self.names.append(name)
        self.labels.append(reference)
        self.splits.append(split)


def load_pairs(source: Any, text: str | None, summary: str | None) -> Batch:
    """All pairs of a data set as one batch of Documents and References.

    An unusable row is a DataError in its place. text, summary: names of the columns; guessed by default.
    Raises DataError, MissingExtraError.
    """
    if isinstance(source, str) and source.startswith("tfds:"):
        return _load_tensorflow_dataset(source.removeprefix("tfds:"))
    where = tables.source_name(source)
    frame = tables.read_table(source)
    columns = [name for name in frame.columns if name not in (tables.FILE_COLUMN, tables.ROW_COLUMN)]
    text = _find_column(columns, text, TEXT_COLUMNS, "text", where)
    summary = _find_column(columns, summary, SUMMARY_COLUMNS, "summary", where)
    has_splits = SPLIT_COLUMN in columns
    selected = [text, summary, *([SPLIT_COLUMN] * has_splits), tables.FILE_COLUMN, tables.ROW_COLUMN]
    pairs = _Pairs()
    for row in frame.select(selected).iter_rows(named=True):
        name = f"{row[tables.FILE_COLUMN]}, row {row[tables.ROW_COLUMN]}"
        pairs.append(row[text], row[summary], name, _parse_split(row.get(SPLIT_COLUMN), name))
    note = f"columns: {text} is the text, {summary} the summary"
    note += f"; {SPLIT_COLUMN} sets the splits" * has_splits
    splits = pairs.splits if any(pairs.splits) else None
    return Batch(pairs.inputs, pairs.names, pairs.labels, splits, (note,), tuple(tables.files(source)))


def _find_column(
    columns: Sequence[str], requested: str | None, candidates: Sequence[str], role: str, where: str
) -> str:
    if requested is not None:
        if requested in columns:
            return requested
        near = difflib.get_close_matches(requested, columns, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(columns)}"
        raise DataError(f"{where}: no column {requested!r}; {hint}")
    by_lower_case = {column.lower(): column for column in columns}
    matches = [by_lower_case[name] for name in candidates if name in by_lower_case]
    if not matches:
        raise DataError(
            f"{where}: no column for the {role} among {', '.join(columns)}; name it with --{role}, "
            f"or call it {candidates[0]}"
        )
    return matches[0]


def _parse_pair(text: Any, summary: Any, name: str) -> tuple[Document | DataError, Reference]:
    """The input and the label of a row."""
    values = [summary] if isinstance(summary, str) else list(summary if summary is not None else ())
    summaries = tuple(value for value in values if isinstance(value, str) and value.strip())
    reference = Reference(summaries)
    try:
        if not isinstance(text, str):
            raise DataError(f"{name}: no text, but {text!r}")
        if not summaries:
            raise DataError(f"{name}: no summary; expected a text or a list of texts")
        return check_document(Document(text, name)), reference
    except DataError as error:
        return error, reference


def _parse_split(value: Any, name: str) -> str | None:
    if value is None or value == "":
        return None
    if str(value).lower() not in labeled_files.SPLIT_NAMES:
        raise DataError(f"{name}: split {value!r}; expected train, val or test")
    return labeled_files.SPLIT_NAMES[str(value).lower()]


def _load_tensorflow_dataset(name: str) -> Batch:
    """A set whose text and summary are its supervised keys (as in cnn_dailymail) or have usual names."""
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise MissingExtraError("tfds: needs TensorFlow Datasets; pip install 'dltasks[train]'") from error
    builder = tfds.prepare_builder(tensorflow_datasets, name)
    keys = _dataset_keys(builder.info, name)
    several = len(builder.info.splits) > 1
    pairs = _Pairs()
    for split in builder.info.splits:
        role = labeled_files.SPLIT_NAMES.get(split.lower())
        if role is None and several:
            continue
        examples = tensorflow_datasets.as_numpy(builder.as_dataset(split=split, shuffle_files=False))
        for i, example in enumerate(examples):
            text, summary = (example[key].decode("utf-8", "replace") for key in keys)
            pairs.append(text, summary, f"tfds:{name}/{split}[{i}]", role)
    if not pairs.inputs:
        raise DataError(f"tfds:{name}: no examples in its splits")
    return Batch(pairs.inputs, pairs.names, pairs.labels, pairs.splits if several else None)


def _dataset_keys(info: Any, name: str) -> tuple[str, str]:
    """The features of the text and of the summary."""
    keys, features = info.supervised_keys, set(info.features)
    if keys is not None and {str(keys[0]), str(keys[1])} <= features:
        return keys
    texts = [column for column in TEXT_COLUMNS if column in features]
    summaries = [column for column in SUMMARY_COLUMNS if column in features]
    if not (texts and summaries):
        raise DataError(
            f"tfds:{name}: not a set of texts with summaries (it has {', '.join(sorted(features))})"
        )
    return texts[0], summaries[0]


def with_oracle_scores(batch: Batch) -> Batch:
    """The batch with the spans and the oracle scores of the sentences of its texts."""
    from dltasks.tasks.summary import oracle

    indices = [i for i, document in enumerate(batch.inputs) if isinstance(document, Document)]
    results = oracle.compute_oracle(
        [batch.inputs[i].text for i in indices], [batch.labels[i].summaries for i in indices]
    )
    inputs, labels = list(batch.inputs), list(batch.labels)
    for i, (spans, scores) in zip(indices, results, strict=True):
        inputs[i] = replace(inputs[i], known_spans=spans)
        labels[i] = replace(labels[i], oracle_scores=scores)
    return replace(batch, inputs=inputs, labels=labels)


def with_headlines(batch: Batch) -> Batch:
    """The batch with the first summary of each text as its headline."""
    pairs = zip(batch.inputs, batch.labels, strict=True)
    inputs = [HeadlineExample(document, (reference.summaries or ("",))[0]) for document, reference in pairs]
    return replace(batch, inputs=inputs)
