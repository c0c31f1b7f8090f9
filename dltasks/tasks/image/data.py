"""Loading of labeled photos: folders, CSV files, TensorFlow Datasets."""

from typing import Any

from dltasks.data import labeled_files, tfds
from dltasks.data.batch import Batch
from dltasks.tasks.image.pixels import display_name, has_photo_suffix

PHOTOS = labeled_files.FileKind("photo", "photos", has_photo_suffix, display_name, ".jpg", "image")


def load_examples(source: Any) -> Batch:
    """All labeled photos of a data set, with their splits where the data declares them. Raises DataError."""
    if str(source).startswith("tfds:"):
        name = str(source).removeprefix("tfds:")
        return tfds.from_tensorflow_datasets(name, PHOTOS, bytes, _skip_decoding)
    return labeled_files.find_labeled_files(source, PHOTOS).batch()


def _skip_decoding(tensorflow_datasets: Any) -> dict[str, Any]:
    return {"image": tensorflow_datasets.decode.SkipDecoding()}
