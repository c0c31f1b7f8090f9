"""Where photos and their labels stand: folders, CSV files, TensorFlow Datasets."""

from dltasks import labelled
from dltasks.task import Batch
from dltasks.tasks.image.pixels import describe, is_photo

PHOTOS = labelled.Kind("photo", "photos", is_photo, describe, ".jpg", "image")


def examples(source) -> Batch:
    """All photos of a data set with their labels, and their splits where they are given. Raises DataError."""
    if str(source).startswith("tfds:"):
        name = str(source).removeprefix("tfds:")
        return labelled.from_tensorflow_datasets(name, PHOTOS, bytes, _undecoded)
    return labelled.found(source, PHOTOS).batch()


def _undecoded(tensorflow_datasets) -> dict:
    return {"image": tensorflow_datasets.decode.SkipDecoding()}
