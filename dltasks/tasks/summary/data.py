"""Texts with their summaries, read from a table or from TensorFlow Datasets."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from dltasks.data import labeled_files, tables
from dltasks.data.batch import Batch
from dltasks.errors import DataError, MissingExtraError
from dltasks.tasks.summary.documents import Document, checked


@dataclass(frozen=True)
class Example:
    """A text with the summary that a headline network learns to write."""

    document: Document | DataError
    summary: str


def with_oracle_scores(batch: Batch) -> Batch:
    """The batch with the spans of the texts' sentences, and with the sentences' gains."""
    from dltasks.tasks.summary import oracle

    good = [i for i, raw in enumerate(batch.inputs) if isinstance(raw, Document)]
    found = oracle.labelled([batch.inputs[i].text for i in good], [batch.labels[i].summaries for i in good])
    raws, truths = list(batch.inputs), list(batch.labels)
    for i, (spans, gains) in zip(good, found, strict=True):
        raws[i] = replace(raws[i], known=tuple(spans))
        truths[i] = replace(truths[i], gains=gains)
    return replace(batch, inputs=raws, labels=truths)


def with_summaries(batch: Batch) -> Batch:
    pairs = zip(batch.inputs, batch.labels, strict=True)
    return replace(batch, inputs=[Example(raw, (truth.summaries or ("",))[0]) for raw, truth in pairs])


TEXTS = ("text", "document", "article", "abstract", "source", "body", "content", "story", "dialogue")
SUMMARIES = (
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


@dataclass(frozen=True)
class Truth:
    """What a text ought to be told as.

    summaries: one or several. gains: of each sentence of the text, where they were found.
    """

    summaries: tuple[str, ...]
    gains: tuple[float, ...] = ()


def read(source: Any, text: str | None, summary: str | None) -> Batch:
    """All pairs of a data set as one batch of Documents and Truths; a row that makes no sense is a DataError.

    text, summary: names of the columns; guessed if None. Raises DataError, MissingExtraError.
    """
    if isinstance(source, str) and source.startswith("tfds:"):
        return _from_tensorflow_datasets(source.removeprefix("tfds:"))
    where = tables.source_name(source)
    frame = tables.read_table(source)
    names = [each for each in frame.columns if each not in (tables.FILE_COLUMN, tables.ROW_COLUMN)]
    columns = _column(names, text, TEXTS, "text", where), _column(names, summary, SUMMARIES, "summary", where)
    raws, origins, truths, splits = [], [], [], []
    wanted = [*columns, *(["split"] if "split" in names else []), tables.FILE_COLUMN, tables.ROW_COLUMN]
    for row in frame.select(wanted).iter_rows(named=True):
        origin = f"{row[tables.FILE_COLUMN]}, row {row[tables.ROW_COLUMN]}"
        raw, truth = _pair(row[columns[0]], row[columns[1]], origin)
        raws.append(raw)
        truths.append(truth)
        origins.append(origin)
        splits.append(_split(row.get("split"), origin))
    note = f"columns: {columns[0]} is the text, {columns[1]} the summary"
    note += "; split divides the data" if "split" in names else ""
    files = tuple(tables.files(source))
    return Batch(raws, origins, truths, splits if any(splits) else None, (note,), files)


def _column(names: Sequence[str], asked: str | None, known: Sequence[str], what: str, where: str) -> str:
    if asked is not None:
        if asked in names:
            return asked
        near = difflib.get_close_matches(asked, names, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
        raise DataError(f"{where}: no column {asked!r}; {hint}")
    small = {each.lower(): each for each in names}
    found = [small[each] for each in known if each in small]
    if not found:
        raise DataError(
            f"{where}: no column for the {what}, of {', '.join(names)}; name it with --{what}, or call it {known[0]}"
        )
    return found[0]


def _pair(text: Any, summary: Any, origin: str) -> tuple[Document | DataError, Truth]:
    """The raw input and the truth of a row."""
    given = [summary] if isinstance(summary, str) else list(summary if summary is not None else ())
    summaries = tuple(each for each in given if isinstance(each, str) and each.strip())
    truth = Truth(summaries)
    try:
        if not isinstance(text, str):
            raise DataError(f"{origin}: no text, but {text!r}")
        if not summaries:
            raise DataError(f"{origin}: no summary; wanted a text in its column, or a list of them")
        return checked(Document(text, origin)), truth
    except DataError as error:
        return error, truth


def _split(value: Any, origin: str) -> str | None:
    if value is None or value == "":
        return None
    if str(value).lower() not in labeled_files.SPLIT_NAMES:
        raise DataError(f"{origin}: split {value!r}; wanted train, val or test")
    return labeled_files.SPLIT_NAMES[str(value).lower()]


def _from_tensorflow_datasets(name: str) -> Batch:
    """A set that says what is its text and what its summary (its supervised keys): cnn_dailymail, xsum, samsum..."""
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise MissingExtraError("tfds: needs TensorFlow Datasets; pip install 'dltasks[train]'") from error
    builder = labeled_files.prepare_builder(tensorflow_datasets, name)
    keys = builder.info.supervised_keys
    names = set(builder.info.features)
    if keys is None or not {str(keys[0]), str(keys[1])} <= names:
        small = [each for each in TEXTS if each in names], [each for each in SUMMARIES if each in names]
        if not all(small):
            raise DataError(
                f"tfds:{name}: not a set of texts with summaries (it has {', '.join(sorted(names))})"
            )
        keys = small[0][0], small[1][0]
    raws, origins, truths, splits = [], [], [], []
    for part in builder.info.splits:
        split = labeled_files.SPLIT_NAMES.get(part.lower())
        if split is None and len(builder.info.splits) > 1:
            continue
        data = builder.as_dataset(split=part, shuffle_files=False)
        for position, example in enumerate(tensorflow_datasets.as_numpy(data)):
            origin = f"tfds:{name}/{part}[{position}]"
            text, summary = (example[each].decode("utf-8", "replace") for each in keys)
            raw, truth = _pair(text, summary, origin)
            raws.append(raw)
            truths.append(truth)
            origins.append(origin)
            splits.append(split)
    if not raws:
        raise DataError(f"tfds:{name}: no examples in its splits")
    return Batch(raws, origins, truths, None if len(builder.info.splits) == 1 else splits)
