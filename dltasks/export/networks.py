"""The Keras network of a bundle: loaded, and saved so that equal weights give equal bytes."""

import json
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

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
from dltasks.errors import MissingExtraError, ModelError, TrainingError
from dltasks.files import check_unzipped_size, os_errors_as
from dltasks.frameworks import import_frameworks, import_keras_hub, require_extra

NETWORK_FILE = "model.keras"
"""File of a bundle that holds its Keras network."""


def load_network(folder: Path) -> Any:
    """The Keras model of a bundle folder. Raises ModelError, MissingExtraError."""
    require_extra()
    import_frameworks()
    import keras

    check_has_network(folder)
    manifest = read_manifest(folder)
    with os_errors_as(ModelError, folder):
        content = read_verified(folder, NETWORK_FILE, manifest)
    # The task's own layers must be registered before Keras reads their names.
    registry.import_network(manifest["task"])
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            check_unzipped_size(archive, max(MAX_UNZIPPED_BYTES, MAX_COMPRESSION_RATIO * len(content)))
            if b'"keras_hub>' in archive.read("config.json"):
                import_keras_hub()
        return keras.saving.load_model(folder / NETWORK_FILE, compile=False, safe_mode=True)
    except MissingExtraError:
        raise
    except Exception as error:  # Keras raises many classes for a damaged file
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ModelError(f"{folder}/{NETWORK_FILE} can't be loaded ({reason})") from error


def check_has_network(folder: Path) -> None:
    """Raises ModelError for a model without its Keras network."""
    if not (folder / NETWORK_FILE).is_file():
        raise ModelError(f"{folder}: no {NETWORK_FILE} here; name a bundle folder")


def load_pretrained(name: str) -> Any:
    """The Keras network of a bundled model or of a bundle folder; None if `name` is neither.

    Raises ModelError.
    """
    folder = find_bundle(name)
    return None if folder is None else load_network(folder)


def save_network(network: Any, path: Path, weight_dtype: str) -> None:
    """Write a .keras file; equal weights give equal bytes.

    weight_dtype: "float16" rounds the weights first, which halves the compressed file; they stay float32.
    Raises TrainingError.
    """
    if weight_dtype == "float16":
        network.set_weights([_round_to_float16(np.asarray(weights)) for weights in network.get_weights()])
    dated = path.with_name("dated.keras")
    try:
        network.save(dated)
    except (RuntimeError, ValueError) as error:  # raised by h5py when the disk is full
        raise TrainingError(f"{path.parent}: the network can't be saved ({error})") from error
    with zipfile.ZipFile(dated) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            content = _without_date(name, source.read(name))
            target.writestr(zipfile.ZipInfo(name, ZIP_DATE), content, zipfile.ZIP_BZIP2, 9)
    dated.unlink()


def _round_to_float16(weights: np.ndarray) -> np.ndarray:
    is_float32 = weights.dtype == np.float32
    return weights.astype(np.float16).astype(np.float32) if is_float32 else weights


def _without_date(name: str, content: bytes) -> bytes:
    if name != "metadata.json":
        return content
    return json.dumps(json.loads(content) | {"date_saved": "1980-01-01@00:00:00"}).encode()
