"""Labeled files from TensorFlow Datasets, which is imported on first use."""

from collections.abc import Callable
from typing import Any

from dltasks.data.batch import Batch
from dltasks.data.labeled_files import SPLIT_NAMES, FileKind
from dltasks.errors import DataError, MissingExtraError, first_line


def from_tensorflow_datasets(
    name: str, kind: FileKind, to_input: Callable[[Any], Any], decoders: Callable[[Any], Any]
) -> Batch:
    """A data set of TensorFlow Datasets that has the features `kind.feature` and label.

    Args:
        name: Name of the data set.
        kind: The kind of its files.
        to_input: From the feature's numpy value to a raw input.
        decoders: From the module tensorflow_datasets to the argument `decoders` of as_dataset.

    Raises:
        DataError: There is no such data set, it can't be downloaded, or it lacks a feature.
        MissingExtraError: TensorFlow Datasets is not installed.
    """
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise MissingExtraError("tfds: needs TensorFlow Datasets; pip install 'dltasks[train]'") from error
    builder = prepare_builder(tensorflow_datasets, name)
    features = builder.info.features
    if not {kind.feature, "label"} <= set(features) or not hasattr(features["label"], "int2str"):
        raise DataError(f"tfds:{name}: not a set of labeled {kind.many} (no {kind.feature} and label)")
    inputs, labels, splits, names = [], [], [], []
    for split_name in builder.info.splits:
        split = SPLIT_NAMES.get(split_name.lower())
        if split is None and len(builder.info.splits) > 1:
            continue
        data = builder.as_dataset(
            split=split_name, decoders=decoders(tensorflow_datasets), shuffle_files=False
        )
        for index, example in enumerate(tensorflow_datasets.as_numpy(data)):
            inputs.append(to_input(example[kind.feature]))
            labels.append(features["label"].int2str(int(example["label"])))
            splits.append(split)
            names.append(f"tfds:{name}/{split_name}[{index}]")
    if not inputs:
        raise DataError(f"tfds:{name}: no examples in its splits")
    return Batch(inputs, names, labels, None if len(builder.info.splits) == 1 else splits)


def prepare_builder(tensorflow_datasets: Any, name: str) -> Any:
    """The builder of a data set of TensorFlow Datasets, downloaded if necessary. Raises DataError."""
    try:
        builder = tensorflow_datasets.builder(name)
        builder.download_and_prepare()
    except tensorflow_datasets.core.DatasetNotFoundError as error:
        raise DataError(f"tfds:{name}: TensorFlow Datasets has no data set of this name") from error
    except Exception as error:  # a download fails in as many ways as there are hosts
        raise DataError(
            f"tfds:{name}: could not be prepared ({type(error).__name__}: {first_line(error)})"
        ) from error
    return builder
