"""Where photos and their labels stand: folders, CSV files, TensorFlow Datasets."""

from dltasks.data import labeled_files
from dltasks.data.batch import Batch
from dltasks.tasks.image.pixels import describe, is_photo

PHOTOS = labeled_files.FileKind("photo", "photos", is_photo, describe, ".jpg", "image")


def load_examples(source) -> Batch:
    """All photos of a data set with their labels, and their splits where they are given. Raises DataError."""
    if str(source).startswith("tfds:"):
        name = str(source).removeprefix("tfds:")
        return labeled_files.from_tensorflow_datasets(name, PHOTOS, bytes, _undecoded)
    return labeled_files.find_labeled_files(source, PHOTOS).batch()


def _undecoded(tensorflow_datasets) -> dict:
    return {"image": tensorflow_datasets.decode.SkipDecoding()}
