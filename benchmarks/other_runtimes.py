"""What MediaPipe's ImageClassifier answers to an exported file, beside our own answers, by who scales the photos.

    python benchmarks/other_runtimes.py PHOTOS [--count 300]

PHOTOS is any folder of JPEG photos. The file is `objects`, exported as it is. Agreement is the share of photos with the same first
label; difference the mean over photos of the largest difference of a probability.
Wanted: all the same where MediaPipe is handed the pixels that we would run.
"""

import argparse
import tempfile
from pathlib import Path

import mediapipe
import numpy as np
from measured import progress
from mediapipe.tasks.python import BaseOptions, vision
from PIL import Image, ImageOps

import dltasks
from dltasks.evaluation.metrics import wilson
from dltasks.tasks.image import pixels


def whole(path: Path, size: int) -> np.ndarray:
    """The photo as it is."""
    return np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))


def square(path: Path, size: int) -> np.ndarray:
    """Its centre square."""
    photo = whole(path, size)
    side = min(photo.shape[:2])
    top, left = ((length - side) // 2 for length in photo.shape[:2])
    return np.ascontiguousarray(photo[top : top + side, left : left + side])


WAYS = {
    "the pixels that the network takes": pixels.load,
    "the centre square at twice its size": lambda path, size: pixels.load(path, 2 * size),
    "the centre square": square,
    "the whole photo": whole,
}


def main() -> None:
    """Ask both, and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--count", type=int, default=300)
    given = parser.parse_args()
    every = sorted(given.photos.rglob("*.jpg"))
    photos = every[:: max(1, len(every) // given.count)][: given.count]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "objects.tflite"
        dltasks.load("objects").export(path, data=given.photos, min_agreement=0, max_score_drop=1)
        model = dltasks.load(path)
        ours = np.stack([each.probabilities for each in model.predict(*photos)])
        rows = [(way, *compared(path, model.task, photos, make, ours)) for way, make in WAYS.items()]
    columns = ("MediaPipe is handed", "same first label", "95 % interval", "difference")
    progress("other_runtimes", {"photos": len(photos), "columns": columns, "rows": rows}, rows, columns)


def compared(path: Path, task, photos: list[Path], make, ours: np.ndarray) -> tuple[str, str, str]:
    """Agreement with its interval, and the mean difference."""
    options = vision.ImageClassifierOptions(
        base_options=BaseOptions(model_asset_path=str(path)), max_results=len(task.labels)
    )
    theirs = np.zeros_like(ours)
    with vision.ImageClassifier.create_from_options(options) as classifier:
        for row, photo in zip(theirs, photos, strict=True):
            image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=make(photo, task.size))
            for each in classifier.classify(image).classifications[0].categories:
                row[each.index] = each.score
    same = int((theirs.argmax(axis=1) == ours.argmax(axis=1)).sum())
    low, high = wilson(same, len(photos))
    difference = np.abs(theirs - ours).max(axis=1).mean()
    return f"{same / len(photos):.1%}", f"{low:.1%} to {high:.1%}", f"{difference:.6f}"


if __name__ == "__main__":
    main()
