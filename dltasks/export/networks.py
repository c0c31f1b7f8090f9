"""The Keras network of a bundle, saved and loaded."""

import json
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np

from dltasks import registry
from dltasks.bundle.storage import (
    MAX_COMPRESSION_RATIO,
    MAX_UNZIPPED_BYTES,
    ZIP_DATE,
    find_bundle,
    read_manifest,
    read_verified,
)
from dltasks.errors import ModelError, TrainingError
from dltasks.files import check_unzipped_size, os_errors_as


def load_network(folder: Path):
    """The Keras model of a bundle. Raises ModelError."""
    from dltasks.frameworks import import_frameworks, require_extra

    require_extra()
    import_frameworks()
    import keras

    if not (folder / "model.keras").is_file():
        raise ModelError(f"{folder}: has no model.keras to start from; name a bundle folder")
    record = read_manifest(folder)
    with os_errors_as(ModelError, folder):
        content = read_verified(folder, "model.keras", record)
    # The task's own layers must be known before Keras reads of them.
    registry.import_network(record["task"])
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            check_unzipped_size(archive, max(MAX_UNZIPPED_BYTES, MAX_COMPRESSION_RATIO * len(content)))
        return keras.saving.load_model(folder / "model.keras", compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever a damaged zip leads to
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ModelError(f"{folder}/model.keras can't be loaded ({reason})") from error


def load_pretrained(name: str):
    """The Keras network of a bundled model, by its name, or of a bundle folder; None where there is none. Raises ModelError."""
    folder = find_bundle(name)
    return None if folder is None else load_network(folder)


def save_network(network, path: Path, precision: str) -> None:
    """Write a .keras of equal bytes for equal weights.

    precision "float16" rounds the weights to that first, so that the file packs to about half.
    """
    if precision == "float16":
        network.set_weights([_round_to_float16(np.asarray(weights)) for weights in network.get_weights()])
    plain = path.with_name("plain.keras")
    try:
        network.save(plain)
    except (RuntimeError, ValueError) as error:  # h5py says so of a full disk
        raise TrainingError(f"{path.parent}: the network can't be saved ({error})") from error
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            target.writestr(
                zipfile.ZipInfo(name, ZIP_DATE), _without_date(name, source.read(name)), zipfile.ZIP_BZIP2, 9
            )
    plain.unlink()


def _round_to_float16(weights: np.ndarray) -> np.ndarray:
    floats = weights.dtype == np.float32
    return weights.astype(np.float16).astype(np.float32) if floats else weights


def _without_date(name: str, content: bytes) -> bytes:
    if name != "metadata.json":
        return content
    return json.dumps(json.loads(content) | {"date_saved": "1980-01-01@00:00:00"}).encode()
