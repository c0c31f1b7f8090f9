"""A data set of TensorFlow Datasets, named by its builder; the test generates it, offline."""

import subprocess
import sys

import pytest
from conftest import ENVIRONMENT, ROOT

pytestmark = pytest.mark.slow

BUILDER = """
import drawings
import numpy as np
import tensorflow_datasets as tfds


class DrawnShapes(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({
                "image": tfds.features.Image(shape=(None, None, 3)),
                "label": tfds.features.ClassLabel(names=list(drawings.SHAPES)),
            })
        )

    def _split_generators(self, _):
        return {"train": self._generate_examples(20, 0), "test": self._generate_examples(5, 100)}

    def _generate_examples(self, count, first):
        for shape in drawings.SHAPES:
            for seed in range(first, first + count):
                yield f"{shape}{seed}", {"image": np.asarray(drawings.draw(shape, seed)), "label": shape}
"""

TRAIN = """
import sets.drawn_shapes
import dltasks

model = dltasks.train("image", "tfds:drawn_shapes", out="out", backbone="none", size=32, epochs=2)
print(model.task.labels, model.manifest["training"]["examples"], model.evaluate("tfds:drawn_shapes").count)
"""

UNKNOWN = """
import dltasks
from dltasks.errors import DataError

try:
    dltasks.train("image", "tfds:no_such_set", out="out")
except DataError as error:
    print(error)
"""


def run(code: str, folder):
    """The finished process of this code, in a folder that holds the builder as sets/drawn_shapes.py."""
    (folder / "sets").mkdir()
    (folder / "sets/__init__.py").touch()
    (folder / "sets/drawn_shapes.py").write_text(BUILDER)
    path = f"{folder}:{ROOT}:{ROOT / 'tests'}"
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=folder,
        env=ENVIRONMENT | {"PYTHONPATH": path, "TFDS_DATA_DIR": str(folder / "tfds"), "NO_GCE_CHECK": "true"},
    )


def test_a_data_set_is_trained_on_and_evaluated_by_its_name(tmp_path):
    result = run(TRAIN, tmp_path)
    assert result.returncode == 0, result.stderr
    assert (
        result.stdout.splitlines()[-1]
        == "('disc', 'square', 'stripes') {'train': 54, 'val': 6, 'test': 15} 15"
    )


def test_an_unknown_data_set_is_one_line(tmp_path):
    result = run(UNKNOWN, tmp_path)
    assert "tfds:no_such_set: TensorFlow Datasets has no data set of this name" in result.stdout
