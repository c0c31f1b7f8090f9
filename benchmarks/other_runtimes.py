"""MediaPipe's ImageClassifier with an exported file, compared with dltasks, by who scales the photos.

    python benchmarks/other_runtimes.py PHOTOS [--count 300]

PHOTOS is any folder of JPEG photos; the file is the exported `objects`. Agreement is the proportion of photos
with the same top-1 label, difference the mean over photos of the largest difference of a probability.
Target: full agreement where MediaPipe gets the pixels that dltasks would use.
"""

import argparse
import tempfile
from pathlib import Path

import mediapipe
import numpy as np
from measure import write_results
from mediapipe.tasks.python import BaseOptions, vision
from PIL import Image, ImageOps

import dltasks
from dltasks.evaluation.metrics import wilson_interval
from dltasks.tasks.image import pixels


def load_full(path: Path, size: int) -> np.ndarray:
    """The full photo."""
    return np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))


def load_center_square(path: Path, size: int) -> np.ndarray:
    """The center square of the photo."""
    photo = load_full(path, size)
    side = min(photo.shape[:2])
    top, left = ((length - side) // 2 for length in photo.shape[:2])
    return np.ascontiguousarray(photo[top : top + side, left : left + side])


LOADERS = {
    "the pixels of the network's input": pixels.load,
    "the center square at twice that size": lambda path, size: pixels.load(path, 2 * size),
    "the center square": load_center_square,
    "the full photo": load_full,
}
"""Functions from a path and the size of the network's input to the pixels for MediaPipe."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--count", type=int, default=300)
    arguments = parser.parse_args()
    paths = sorted(arguments.photos.rglob("*.jpg"))
    photos = paths[:: max(1, len(paths) // arguments.count)][: arguments.count]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "objects.tflite"
        dltasks.load("objects").export(path, data=arguments.photos, min_agreement=0, max_score_drop=1)
        model = dltasks.load(path)
        ours = np.stack([prediction.probabilities for prediction in model.predict(*photos)])
        rows = [(name, *compare(path, model.task, photos, load, ours)) for name, load in LOADERS.items()]
    columns = ("MediaPipe gets", "same top-1 label", "95 % interval", "difference")
    write_results("other_runtimes", {"photos": len(photos), "columns": columns, "rows": rows}, rows, columns)


def compare(path: Path, task, photos: list[Path], load, ours: np.ndarray) -> tuple[str, str, str]:
    """Agreement, its interval and the mean difference, as text."""
    options = vision.ImageClassifierOptions(
        base_options=BaseOptions(model_asset_path=str(path)), max_results=len(task.labels)
    )
    theirs = np.zeros_like(ours)
    with vision.ImageClassifier.create_from_options(options) as classifier:
        for row, photo in zip(theirs, photos, strict=True):
            image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=load(photo, task.size))
            for category in classifier.classify(image).classifications[0].categories:
                row[category.index] = category.score
    same = int((theirs.argmax(axis=1) == ours.argmax(axis=1)).sum())
    low, high = wilson_interval(same, len(photos))
    difference = np.abs(theirs - ours).max(axis=1).mean()
    return f"{same / len(photos):.1%}", f"{low:.1%} to {high:.1%}", f"{difference:.6f}"


if __name__ == "__main__":
    main()
