"""The bundled models predict what they did when they were trained, with the weights that they had then.

tests/recorded/MODEL.json holds the predictions of the samples and name-independent hashes of the weights.
`python tests/test_recorded.py FOLDER` records those of the bundles in a folder, after a new training.
"""

import hashlib
import io
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import dltasks
from dltasks.bundle import storage

ROOT = Path(__file__).parent.parent
RECORDED = ROOT / "tests/recorded"
SAMPLES = {
    "cards": "fraud/tomorrow.csv",
    "commands": "speech",
    "headlines": "summary",
    "objects": "image",
    "sentences": "summary",
}


def predict(name: str) -> list[dict]:
    """The predictions of a model on its samples, as JSON; of notes, which may be reworded, the number."""
    rows = []
    for source, prediction in dltasks.load(name).iter_predictions([ROOT / "samples" / SAMPLES[name]]):
        row = {"input": str(Path(source).relative_to(ROOT)), **prediction.to_json()}
        rows.append(row | ({"notes": len(row["notes"])} if "notes" in row else {}))
    return rows


def hash_weights(bundle: Path) -> dict[str, str]:
    """A hash of the weights in each file of a bundle that has some."""
    hashes = {path.name: _hash_all(_tflite_weights(path)) for path in sorted(bundle.glob("*.tflite"))}
    hashes["model.keras"] = _hash_all(_keras_weights(bundle / "model.keras"))
    return hashes


def _hash_all(contents: Iterator[bytes]) -> str:
    """A hash that depends neither on names nor on order."""
    hashes = sorted(hashlib.sha256(content).hexdigest() for content in contents)
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def _tflite_weights(path: Path) -> Iterator[bytes]:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            if (data := model.buffers[tensor.buffer].data) is not None:
                yield bytes(data)


def _keras_weights(path: Path) -> Iterator[bytes]:
    import h5py

    with zipfile.ZipFile(path) as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    arrays = []
    with h5py.File(content) as file:
        file.visititems(lambda _, item: arrays.append(item[()]) if isinstance(item, h5py.Dataset) else None)
    yield from (array.tobytes() for array in arrays)


def differences(value: object, expected: object, path: str = "") -> list[str]:
    """Where two JSON values differ: numbers by more than 1e-4, anything else at all."""
    if isinstance(value, dict) and isinstance(expected, dict) and set(value) == set(expected):
        return [text for key in value for text in differences(value[key], expected[key], f"{path}.{key}")]
    if isinstance(value, list) and isinstance(expected, list) and len(value) == len(expected):
        pairs = enumerate(zip(value, expected, strict=True))
        return [text for index, pair in pairs for text in differences(*pair, f"{path}[{index}]")]
    if isinstance(value, float) and isinstance(expected, float):
        return [] if abs(value - expected) <= 1e-4 else [f"{path}: {value}, expected {expected}"]
    return [] if value == expected else [f"{path}: {value!r}, expected {expected!r}"]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_bundled_model_predicts_what_is_recorded(name):
    recorded = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    assert not differences(predict(name), recorded["predictions"])


@pytest.mark.parametrize("name", SAMPLES)
def test_a_bundled_model_has_the_recorded_weights(name):
    recorded = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    assert hash_weights(ROOT / "models" / name) == recorded["weights"]


def test_every_bundled_model_is_recorded():
    assert storage.bundled_names() == sorted(SAMPLES)


if __name__ == "__main__":
    for model in SAMPLES:
        record = {"weights": hash_weights(Path(sys.argv[1]) / model), "predictions": predict(model)}
        text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
        (RECORDED / f"{model}.json").write_text(text, encoding="utf-8")
