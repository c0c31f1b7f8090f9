"""Rewrite the bundles of 0.1.0's development in its final words: new names, the same numbers.

python models/rewrite_bundles.py OLD_MODELS NEW_MODELS

Renames the keys of bundle.json and parity.json, the fields and settings of each task, the Keras classes and
layers of model.keras, and the tensors of the .tflite files and their golden vectors, as renames/TASK.json
says; weights are copied byte for byte. Then the hashes and the card are written anew.
"""

import argparse
import hashlib
import io
import json
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from dltasks.bundle.card import render_card
from dltasks.bundle.storage import ZIP_DATE
from dltasks.files import write_json

RENAMES = Path(__file__).parent / "renames"
MANIFEST = {
    "plan": "config",
    "about": "data_description",
    "caveats": "limitations",
    "test": "evaluation",
}
PARITY = {"difference": "max_difference"}
CONFUSION = {"truth": "label", "guess": "prediction", "of": "total", "share": "proportion"}
CONFIG = {
    "minutes": "time_limit",
    "precision": "weight_dtype",
    "val": "validation_split",
    "test": "test_split",
}
PROTOCOL = "the test split, never used for training or validation, scored with model.tflite"


def rename_keys(mapping: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """The same values under new names."""
    return {names.get(key, key): value for key, value in mapping.items()}


def rewrite_manifest(manifest: dict[str, Any], renames: dict[str, Any], description: str) -> dict[str, Any]:
    manifest = rename_keys(manifest, MANIFEST)
    manifest["config"] = rename_keys(manifest["config"], CONFIG | renames.get("config", {}))
    manifest["config"] = {
        name: renames.get("config_values", {}).get(name, {}).get(value, value)
        if isinstance(value, str)
        else value
        for name, value in manifest["config"].items()
    }
    manifest["fields"] = rename_keys(manifest["fields"], renames.get("fields", {}))
    for field, names in renames.get("nested_fields", {}).items():
        if manifest["fields"].get(field):
            manifest["fields"][field] = rename_keys(manifest["fields"][field], names)
    for name in ("parity", "stream_parity"):
        if name in manifest:
            manifest[name] = rename_keys(manifest[name], PARITY)
    if "history" in renames:
        manifest["training"] = rename_strings(manifest["training"], renames["history"])
    evaluation = manifest["evaluation"]
    evaluation["confusion"] = [rename_keys(each, CONFUSION) for each in evaluation["confusion"]]
    evaluation["scores"] = rename_keys(evaluation["scores"], renames.get("scores", {}))
    for name in ("parity", "stream_parity"):
        if manifest.get(name, {}).get("scores"):
            manifest[name]["scores"] = rename_keys(manifest[name]["scores"], renames.get("scores", {}))
    for table in evaluation.get("tables", ()):
        titles = renames.get("table_titles", {})
        table["title"] = titles.get(table["title"], table["title"])
        cells = renames.get("table_cells", {})
        table["rows"] = [[cells.get(cell, cell) for cell in row] for row in table["rows"]]
        columns = renames.get("table_columns", {})
        table["columns"] = [columns.get(column, column) for column in table["columns"]]
    manifest["protocol"] = PROTOCOL
    manifest["data_description"] = description
    return manifest


def rename_strings(value: Any, names: dict[str, str]) -> Any:
    """Plain values of any depth, with strings and keys that are one of these names renamed."""
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, dict):
        return {names.get(key, key): rename_strings(each, names) for key, each in value.items()}
    return [rename_strings(each, names) for each in value] if isinstance(value, list) else value


def rewrite_layers(value: Any, renames: dict[str, Any]) -> Any:
    """A Keras config with the classes of dltasks, and the arguments of each, renamed."""
    if isinstance(value, list):
        return [rewrite_layers(each, renames) for each in value]
    if not isinstance(value, dict):
        return value
    value = {key: rewrite_layers(each, renames) for key, each in value.items()}
    package, _, old = str(value.get("registered_name")).partition(">")
    if package.partition(".")[0] == "dltasks":
        new = renames.get("classes", {}).get(old, old)
        value |= {"registered_name": f"{package}>{new}", "class_name": new}
        value["config"] = rename_keys(value["config"], renames.get("arguments", {}).get(old, {}))
        if value.get("module") is not None and new in renames.get("modules", {}):
            value["module"] = renames["modules"][new]
    return value


def rewrite_keras(content: bytes, renames: dict[str, Any]) -> bytes:
    """A model.keras with classes, layers and the paths of weights renamed."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(file, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name == "config.json":
                config = rewrite_layers(json.loads(data), renames)
                config = rename_strings(config, renames.get("layers", {}))
                data = json.dumps(sort_outputs(config)).encode()
            elif name == "model.weights.h5":
                data = rewrite_weights(data, renames.get("weights", {}), renames.get("weight_patterns", []))
            target.writestr(zipfile.ZipInfo(name, ZIP_DATE), data, zipfile.ZIP_BZIP2, 9)
    return file.getvalue()


def sort_outputs(config: dict[str, Any]) -> dict[str, Any]:
    """The config of a model with the outputs of each layer numbered by name, as Keras does."""
    outputs = config["config"].get("output_layers")
    for layer in {output[0] for output in outputs.values()} if isinstance(outputs, dict) else ():
        names = sorted(name for name, output in outputs.items() if output[0] == layer)
        if len(names) > 1:
            outputs |= {name: [layer, outputs[name][1], i] for i, name in enumerate(names)}
    return config


def rewrite_weights(content: bytes, names: dict[str, str], patterns: list[list[str]]) -> bytes:
    """An HDF5 file of weights with its paths rewritten.

    patterns: regular expressions and what replaces them in a path, applied first. names: those of single
    segments; "segment_1" is renamed as "segment".
    """
    import h5py

    def rename(path: str) -> str:
        for pattern, replacement in patterns:
            path = re.sub(pattern, replacement, path)
        return "/".join(segment(each) for each in path.split("/"))

    def segment(name: str) -> str:
        stem, number = re.fullmatch(r"(.*?)(_\d+)?", name).groups()
        return names[name] if name in names else names.get(stem, stem) + (number or "")

    if not names and not patterns:
        return content
    file = io.BytesIO()
    with h5py.File(io.BytesIO(content)) as source, h5py.File(file, "w") as target:

        def copy(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                new = target.create_dataset(rename(name), data=item[()])
            else:
                new = target.require_group(rename(name))
            for key, value in item.attrs.items():
                new.attrs[key] = value

        source.visititems(copy)
        for key, value in source.attrs.items():
            target.attrs[key] = value
    return file.getvalue()


def rewrite_tflite(content: bytes, names: dict[str, str]) -> bytes:
    """A .tflite with the inputs, outputs and keys of its signatures renamed."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    if not names:
        return content
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    for signature in model.signatureDefs:
        key = signature.signatureKey.decode()
        signature.signatureKey = rename_tensor(key, names).encode()
        for tensor in (*signature.inputs, *signature.outputs):
            tensor.name = rename_tensor(tensor.name.decode(), names).encode()
    builder = flatbuffers.Builder(len(content) + 4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def rename_tensor(name: str, names: dict[str, str]) -> str:
    """The new name of a tensor; "past_keys_0" as "past_keys"."""
    for old, new in names.items():
        if name == old or re.fullmatch(re.escape(old) + r"_\d+", name):
            return new + name[len(old) :]
    return name


def rewrite_golden(content: bytes, names: dict[str, str]) -> bytes:
    """Golden vectors under the new names of their signatures and tensors."""
    if not names:
        return content
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        new = {}
        for key in arrays.files:
            signature, side, name = key.split("/", 2)
            new[f"{rename_tensor(signature, names)}/{side}/{rename_tensor(name, names)}"] = arrays[key]
    file = io.BytesIO()
    np.savez_compressed(file, **new)
    return file.getvalue()


def rewrite_bundle(old: Path, new: Path) -> None:
    """Write the bundle `old` to the folder `new` in the new names."""
    manifest = json.loads((old / "bundle.json").read_text(encoding="utf-8"))
    path = RENAMES / f"{manifest['task']}.json"
    renames = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    renames |= renames.get("of_bundles", {}).get(old.name, {})
    about = new.parent / f"{new.name}.about.md"
    description = about.read_text(encoding="utf-8") if about.is_file() else manifest["about"]
    manifest = rewrite_manifest(manifest, renames, description)
    new.mkdir(parents=True, exist_ok=True)
    for name in manifest["files"]:
        shutil.copyfile(old / name, new / name)
    tensors = renames.get("tensors", {})
    for path in new.glob("*.tflite"):
        path.write_bytes(rewrite_tflite(path.read_bytes(), tensors))
    for path in new.glob("*golden.npz"):
        path.write_bytes(rewrite_golden(path.read_bytes(), tensors))
    if (new / "model.keras").is_file():
        content = rewrite_keras((new / "model.keras").read_bytes(), renames.get("keras", {}))
        (new / "model.keras").write_bytes(content)
    parity = rename_keys(json.loads((new / "parity.json").read_text(encoding="utf-8")), PARITY)
    if parity.get("scores"):
        parity["scores"] = rename_keys(parity["scores"], renames.get("scores", {}))
    write_json(new / "parity.json", parity)
    manifest["files"] = {
        name: hashlib.sha256((new / name).read_bytes()).hexdigest() for name in manifest["files"]
    }
    manifest["limitations"] = task_limitations(manifest, new)
    (new / "README.md").write_text(render_card(new.name, manifest), encoding="utf-8")
    write_json(new / "bundle.json", manifest)


def task_limitations(manifest: dict[str, Any], folder: Path) -> str:
    """What the task says today of the limits of its predictions."""
    from dltasks.bundle.load import load_task

    return load_task(manifest, lambda name: (folder / name).read_bytes(), folder).describe().limitations


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    arguments = parser.parse_args()
    for path in sorted(arguments.old.glob("*/bundle.json")):
        rewrite_bundle(path.parent, arguments.new / path.parent.name)
        print(f"written: {arguments.new / path.parent.name}")


if __name__ == "__main__":
    main()
