"""Rewrite the bundled models, trained during the development of 0.1.0, in its final names.

python models/renames/rewrite_bundles.py OLD_MODELS NEW_MODELS

Copies each bundle of OLD_MODELS to NEW_MODELS and renames the keys of bundle.json and parity.json, the fields
and settings of the task, the Keras classes, layers and weights of model.keras, and the tensors of .tflite
files and golden vectors. Weights stay the same, byte for byte. Then the limitations, the model card and the
hashes are written anew; the data description comes from NEW_MODELS/NAME.about.md.

The names that all tasks share are below; those of a task are in TASK.json beside this script, new names by
old name, in sections:

config, fields: settings of the training config, and fields of the task
config_values: values of settings, by setting
nested_fields: keys of a field's value, by field
scores, table_titles, table_columns, table_cells: names in the evaluation
history: names in the training history
tensors: inputs, outputs and signatures; "state" also renames "state_0", "state_1", ...
keras: "classes", "arguments" by old class, "modules" by new class, "layers", and "weights", which are
segments of the paths of weights; "dense" also renames "dense_1", "dense_2", ...; "weight_patterns": regular
expressions and their replacements in those paths, applied first
of_bundles: sections that replace the above, by bundle
"""

import argparse
import io
import json
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from dltasks.bundle.card import render_card
from dltasks.bundle.load import load_task
from dltasks.bundle.storage import CARD_FILE, MANIFEST_FILE, ZIP_DATE
from dltasks.files import hash_bytes, write_json
from dltasks.litert.runtime import TFLITE_IDENTIFIER

RENAMES = Path(__file__).parent
NETWORK_FILE, PARITY_FILE = "model.keras", "parity.json"

MANIFEST_NAMES = {
    "plan": "config",
    "about": "data_description",
    "caveats": "limitations",
    "test": "evaluation",
}
PARITY_NAMES = {"difference": "max_difference"}
CONFUSION_NAMES = {"truth": "label", "guess": "prediction", "of": "total", "share": "proportion"}
CONFIG_NAMES = {
    "minutes": "time_limit",
    "precision": "weight_dtype",
    "val": "validation_split",
    "test": "test_split",
}
PROTOCOL = "the test split, never used for training or validation, scored with model.tflite"

Names = dict[str, str]
"""New names by old names."""


def rename_keys(mapping: dict[str, Any], names: Names) -> dict[str, Any]:
    """The same values under new names."""
    return {names.get(key, key): value for key, value in mapping.items()}


def rename_items(value: Any, names: Names) -> Any:
    """The keys of a dict, or of each dict of a list, renamed."""
    return (
        [rename_keys(item, names) for item in value] if isinstance(value, list) else rename_keys(value, names)
    )


def rename_strings(value: Any, names: Names) -> Any:
    """Plain values of any depth, with the strings and keys that are an old name renamed."""
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, dict):
        return {names.get(key, key): rename_strings(item, names) for key, item in value.items()}
    return [rename_strings(item, names) for item in value] if isinstance(value, list) else value


def rename_numbered(name: str, names: Names) -> str:
    """The new name of "name" or of "name_1"."""
    if name in names:
        return names[name]
    stem, separator, number = name.rpartition("_")
    return f"{names[stem]}_{number}" if separator and number.isdigit() and stem in names else name


def rewrite_manifest(manifest: dict[str, Any], renames: dict[str, Any], description: str) -> dict[str, Any]:
    """A bundle.json in new names, with this data description."""
    manifest = rename_keys(manifest, MANIFEST_NAMES)
    manifest["config"] = rewrite_config(manifest["config"], renames)
    manifest["fields"] = rewrite_fields(manifest["fields"], renames)
    manifest["evaluation"] = rewrite_evaluation(manifest["evaluation"], renames)
    for name in {"parity", "stream_parity"} & set(manifest):
        manifest[name] = rewrite_parity(manifest[name], renames)
    manifest["training"] = rename_strings(manifest["training"], renames.get("history", {}))
    return manifest | {"protocol": PROTOCOL, "data_description": description}


def rewrite_config(config: dict[str, Any], renames: dict[str, Any]) -> dict[str, Any]:
    """A training config in new names and values."""
    config = rename_keys(config, CONFIG_NAMES | renames.get("config", {}))
    values = renames.get("config_values", {})
    return {
        name: values.get(name, {}).get(value, value) if isinstance(value, str) else value
        for name, value in config.items()
    }


def rewrite_fields(fields: dict[str, Any], renames: dict[str, Any]) -> dict[str, Any]:
    """The fields of a task in new names."""
    fields = rename_keys(fields, renames.get("fields", {}))
    for name, names in renames.get("nested_fields", {}).items():
        if fields.get(name):
            fields[name] = rename_items(fields[name], names)
    return fields


def rewrite_evaluation(evaluation: dict[str, Any], renames: dict[str, Any]) -> dict[str, Any]:
    """An evaluation in new names."""
    titles, columns = renames.get("table_titles", {}), renames.get("table_columns", {})
    cells = renames.get("table_cells", {})
    evaluation["confusion"] = [rename_keys(pair, CONFUSION_NAMES) for pair in evaluation["confusion"]]
    evaluation["scores"] = rename_keys(evaluation["scores"], renames.get("scores", {}))
    for table in evaluation.get("tables", ()):
        table["title"] = titles.get(table["title"], table["title"])
        table["columns"] = [columns.get(column, column) for column in table["columns"]]
        table["rows"] = [[cells.get(cell, cell) for cell in row] for row in table["rows"]]
    return evaluation


def rewrite_parity(parity: dict[str, Any], renames: dict[str, Any]) -> dict[str, Any]:
    """A parity in new names."""
    parity = rename_keys(parity, PARITY_NAMES)
    if parity.get("scores"):
        parity["scores"] = rename_keys(parity["scores"], renames.get("scores", {}))
    return parity


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


def rewrite_layers(value: Any, renames: dict[str, Any]) -> Any:
    """A Keras config with the registered classes of dltasks and the arguments of each renamed."""
    if isinstance(value, list):
        return [rewrite_layers(item, renames) for item in value]
    if not isinstance(value, dict):
        return value
    value = {key: rewrite_layers(item, renames) for key, item in value.items()}
    package, _, old = str(value.get("registered_name")).partition(">")
    if package.partition(".")[0] == "dltasks":
        new = renames.get("classes", {}).get(old, old)
        value |= {"registered_name": f"{package}>{new}", "class_name": new}
        value["config"] = rename_keys(value["config"], renames.get("arguments", {}).get(old, {}))
        if value.get("module") is not None and new in renames.get("modules", {}):
            value["module"] = renames["modules"][new]
    return value


def rewrite_weights(content: bytes, names: Names, patterns: list[list[str]]) -> bytes:
    """An HDF5 file of weights with its paths rewritten: patterns first, then the names of single segments."""
    import h5py

    if not names and not patterns:
        return content
    file = io.BytesIO()
    with h5py.File(io.BytesIO(content)) as source, h5py.File(file, "w") as target:

        def copy(path: str, item: Any) -> None:
            for pattern, replacement in patterns:
                path = re.sub(pattern, replacement, path)
            new_path = "/".join(rename_numbered(segment, names) for segment in path.split("/"))
            if isinstance(item, h5py.Dataset):
                copied = target.create_dataset(new_path, data=item[()])
            else:
                copied = target.require_group(new_path)
            copied.attrs.update(item.attrs)

        source.visititems(copy)
        target.attrs.update(source.attrs)
    return file.getvalue()


def rewrite_tflite(content: bytes, names: Names) -> bytes:
    """A .tflite file with its signatures and their inputs and outputs renamed."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    if not names:
        return content
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    for signature in model.signatureDefs:
        signature.signatureKey = rename_numbered(signature.signatureKey.decode(), names).encode()
        for tensor in (*signature.inputs, *signature.outputs):
            tensor.name = rename_numbered(tensor.name.decode(), names).encode()
    builder = flatbuffers.Builder(len(content) + 4096)
    builder.Finish(model.Pack(builder), TFLITE_IDENTIFIER)
    return bytes(builder.Output())


def rewrite_golden(content: bytes, names: Names) -> bytes:
    """Golden vectors under the new names of their signatures, inputs and outputs."""
    if not names:
        return content
    renamed: dict[str, Any] = {}
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        for key in arrays.files:
            signature, side, name = key.split("/", 2)
            renamed[f"{rename_numbered(signature, names)}/{side}/{rename_numbered(name, names)}"] = arrays[
                key
            ]
    file = io.BytesIO()
    np.savez_compressed(file, **renamed)
    return file.getvalue()


def load_renames(task: str, bundle: str) -> dict[str, Any]:
    """The sections for a bundle of a task."""
    path = RENAMES / f"{task}.json"
    renames = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return renames | renames.get("of_bundles", {}).get(bundle, {})


def rewrite_files(folder: Path, renames: dict[str, Any]) -> None:
    """Rename within the files of a bundle, except its manifest and its card."""
    tensors = renames.get("tensors", {})
    for path in folder.glob("*.tflite"):
        path.write_bytes(rewrite_tflite(path.read_bytes(), tensors))
    for path in folder.glob("*golden.npz"):
        path.write_bytes(rewrite_golden(path.read_bytes(), tensors))
    if (network := folder / NETWORK_FILE).is_file():
        network.write_bytes(rewrite_keras(network.read_bytes(), renames.get("keras", {})))
    parity = json.loads((folder / PARITY_FILE).read_text(encoding="utf-8"))
    write_json(folder / PARITY_FILE, rewrite_parity(parity, renames))


def rewrite_bundle(old: Path, new: Path) -> None:
    """Write the bundle `old` to the folder `new` in new names."""
    manifest = json.loads((old / MANIFEST_FILE).read_text(encoding="utf-8"))
    renames = load_renames(manifest["task"], old.name)
    about = new.with_name(f"{new.name}.about.md")
    description = about.read_text(encoding="utf-8") if about.is_file() else manifest["about"]
    manifest = rewrite_manifest(manifest, renames, description)
    new.mkdir(parents=True, exist_ok=True)
    for name in manifest["files"]:
        shutil.copyfile(old / name, new / name)
    rewrite_files(new, renames)
    manifest["files"] = {name: hash_bytes((new / name).read_bytes()) for name in manifest["files"]}
    task = load_task(manifest, lambda name: (new / name).read_bytes(), new)
    manifest["limitations"] = task.describe().limitations
    (new / CARD_FILE).write_text(render_card(new.name, manifest), encoding="utf-8")
    write_json(new / MANIFEST_FILE, manifest)


def main() -> None:
    """Rewrite all bundles of a folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", type=Path, help="folder of the bundles in old names")
    parser.add_argument("new", type=Path, help="folder to write the bundles to")
    arguments = parser.parse_args()
    for path in sorted(arguments.old.glob(f"*/{MANIFEST_FILE}")):
        rewrite_bundle(path.parent, arguments.new / path.parent.name)
        print(f"written: {arguments.new / path.parent.name}")


if __name__ == "__main__":
    main()
