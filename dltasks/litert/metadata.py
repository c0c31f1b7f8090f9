"""The standard metadata of TensorFlow Lite in a .tflite file, written and read.

The tables are those of metadata_schema.fbs, version 1.3.0, of TensorFlow Lite Support, as far as they are
used here: a FlatBuffer in the model's buffer TFLITE_METADATA. The files that it names are in a zip at the end
of the model.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dltasks.errors import ModelError
from dltasks.litert.runtime import TFLITE_IDENTIFIER

BUFFER, IDENTIFIER, VERSION = "TFLITE_METADATA", b"M001", "1.3.0"
"""Name of the buffer, identifier of the FlatBuffer in it, and minimum version of a parser."""

IMAGE, AUDIO, FEATURE = "ImageProperties", "AudioProperties", "FeatureProperties"
"""Kinds of content of a tensor."""

MAX_VALUES = 10_000
"""Maximum number of values that are read from the metadata of a file."""

TEXT, LABELS = 1, 2
"""Types of an associated file: a description, and the names of the positions along a tensor's last axis."""

RGB = 1
"""Color space of an image."""

SCALARS = ("uint8", "int8", "uint32", "int32")
"""Types of fields that are stored in the table itself."""

UNIONS = {
    "Content": ("", FEATURE, IMAGE, "BoundingBoxProperties", AUDIO),
    "ProcessUnit": ("", "NormalizationOptions"),
}
"""Members of the unions in each table, by number."""

TABLES = {
    "ModelMetadata": (
        ("name", str),
        ("description", str),
        ("version", str),
        ("subgraph_metadata", ["SubGraphMetadata"]),
        ("author", str),
        ("license", str),
        ("associated_files", ["AssociatedFile"]),
        ("min_parser_version", str),
    ),
    "SubGraphMetadata": (
        ("name", str),
        ("description", str),
        ("input_tensor_metadata", ["TensorMetadata"]),
        ("output_tensor_metadata", ["TensorMetadata"]),
        ("associated_files", ["AssociatedFile"]),
    ),
    "TensorMetadata": (
        ("name", str),
        ("description", str),
        ("dimension_names", [str]),
        ("content", "Content"),
        ("process_units", ["ProcessUnit"]),
        ("stats", "Stats"),
        ("associated_files", ["AssociatedFile"]),
    ),
    "Content": (("kind", "uint8"), ("properties", None), ("range", "ValueRange")),
    "ProcessUnit": (("kind", "uint8"), ("properties", None)),
    FEATURE: (),
    IMAGE: (("color_space", "int8"), ("default_size", "ImageSize")),
    AUDIO: (("sample_rate", "uint32"), ("channels", "uint32")),
    "BoundingBoxProperties": (),
    "ImageSize": (("width", "uint32"), ("height", "uint32")),
    "ValueRange": (("min", "int32"), ("max", "int32")),
    "NormalizationOptions": (("mean", ["float32"]), ("std", ["float32"])),
    "Stats": (("max", ["float32"]), ("min", ["float32"])),
    "AssociatedFile": (("name", str), ("description", str), ("type", "int8"), ("locale", str)),
}
"""Fields of each table in the order of their slots: name and type.

A type is a text, a scalar, another table, or a vector of texts, floats or tables; None is the member of the
union that the field before it names.
"""


@dataclass(frozen=True)
class TensorDescription:
    """The content of a tensor of a network, for people and for other programs.

    Attributes:
        description: A sentence.
        content: IMAGE, AUDIO or FEATURE.
        sample_rate: Sample rate of AUDIO, in hertz.
        labels: Name of the file with the names of the positions along the last axis; empty if there is none.
    """

    description: str
    content: str = FEATURE
    sample_rate: int = 0
    labels: str = ""

    def table(self, name: str) -> dict[str, Any]:
        """The TensorMetadata of the tensor with this name."""
        properties = {AUDIO: {"sample_rate": self.sample_rate, "channels": 1}, IMAGE: {"color_space": RGB}}
        values: dict[str, Any] = {"name": name, "description": self.description}
        values["content"] = {"kind": self.content, "properties": properties.get(self.content, {})}
        if self.content == IMAGE:
            # The network scales the pixels itself.
            unit = {"kind": "NormalizationOptions", "properties": {"mean": [0.0], "std": [1.0]}}
            values["process_units"] = [unit]
        if self.labels:
            description = "the meaning of each position along the last axis, one per line"
            file = {"name": self.labels, "description": description, "type": LABELS}
            values["associated_files"] = [file]
        return values


def add_metadata(
    model: bytes, about: dict[str, str], tensors: dict[str, TensorDescription], files: Sequence[str]
) -> bytes:
    """Add metadata to a .tflite file.

    Args:
        model: Content of the file.
        about: "name", "description", "version", "author" and "license" of the model.
        tensors: Descriptions of inputs and outputs, by name.
        files: Names of the files in the zip that describe the whole model.

    Returns:
        Content of the new file, without the zip.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    network = schema.ModelT.InitFromPackedBuf(model, 0)
    _load_external_buffers(network, model)
    subgraphs = [
        _subgraph_metadata(signature, network.subgraphs, tensors) for signature in network.signatureDefs or ()
    ]
    content = pack(
        about
        | {
            "subgraph_metadata": [values for _, values in sorted(subgraphs, key=lambda pair: pair[0])],
            "associated_files": [{"name": name, "type": TEXT} for name in files],
            "min_parser_version": VERSION,
        }
    )
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = list(content)
    entry.name, entry.buffer = BUFFER, len(network.buffers)
    network.buffers.append(buffer)
    network.metadata = [*(network.metadata or ()), entry]
    builder = flatbuffers.Builder(len(model) + len(content))
    builder.Finish(network.Pack(builder), TFLITE_IDENTIFIER)
    return bytes(builder.Output())


def _load_external_buffers(network: Any, model: bytes) -> None:
    """Move into the FlatBuffer what stands behind it, as the quantizer writes larger buffers there."""
    for buffer in network.buffers:
        # An offset of 1 stands for an empty buffer.
        if buffer.offset and buffer.offset > 1:
            buffer.data = np.frombuffer(model, np.uint8, buffer.size, buffer.offset)
        buffer.offset = buffer.size = 0


def _subgraph_metadata(
    signature: Any, subgraphs: Any, tensors: dict[str, TensorDescription]
) -> tuple[int, dict[str, Any]]:
    """The index of a signature's subgraph, and its SubGraphMetadata."""
    subgraph = subgraphs[signature.subgraphIndex]

    def tensor_metadata(maps: Any, order: Any) -> list[dict[str, Any]]:
        names = {entry.tensorIndex: entry.name.decode() for entry in maps}
        unknown = TensorDescription("")
        return [
            tensors.get(names.get(i, ""), unknown).table(names.get(i, subgraph.tensors[i].name.decode()))
            for i in order
        ]

    return signature.subgraphIndex, {
        "name": signature.signatureKey.decode(),
        "input_tensor_metadata": tensor_metadata(signature.inputs, subgraph.inputs),
        "output_tensor_metadata": tensor_metadata(signature.outputs, subgraph.outputs),
    }


def pack(values: dict[str, Any]) -> bytes:
    """A ModelMetadata as a FlatBuffer."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(_write_table(builder, "ModelMetadata", values), IDENTIFIER)
    return bytes(builder.Output())


def _write_table(builder: Any, table: str, values: dict[str, Any]) -> int:
    """The offset of a table; everything it refers to must be written before it."""
    slots: list[tuple[int, Any, Any]] = []
    for slot, (name, kind) in enumerate(TABLES[table]):
        value = values.get(name)
        if kind == "uint8" and value is not None:
            value = UNIONS[table].index(value)
        if kind is None and value is not None:
            kind = values["kind"]
        if value is not None:
            slots.append((slot, kind, value if kind in SCALARS else _write_value(builder, kind, value)))
    builder.StartObject(len(TABLES[table]))
    for slot, kind, value in slots:
        if kind in SCALARS:
            getattr(builder, f"Prepend{kind.capitalize()}Slot")(slot, value, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(slot, value, 0)
    return builder.EndObject()


def _write_value(builder: Any, kind: Any, value: Any) -> int:
    """The offset of a text, a table or a vector."""
    if kind is str:
        return builder.CreateString(value)
    if not isinstance(kind, list):
        return _write_table(builder, kind, value)
    (item_kind,) = kind
    if item_kind == "float32":
        builder.StartVector(4, len(value), 4)
        for number in reversed(value):
            builder.PrependFloat32(number)
        return builder.EndVector()
    offsets = [_write_value(builder, item_kind, item) for item in value]
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def read_metadata(model: bytes) -> dict[str, Any]:
    """The ModelMetadata of a .tflite file as plain values; empty if it has none.

    Raises ModelError if it is damaged.
    """
    from ai_edge_litert import schema_py_generated as schema

    try:
        network = schema.Model.GetRootAs(model, 0)
        for i in range(network.MetadataLength()):
            entry = network.Metadata(i)
            if entry.Name() == BUFFER.encode():
                return unpack(network.Buffers(entry.Buffer()).DataAsNumpy().tobytes())
    except Exception as error:  # a damaged offset ends in any of struct.error, IndexError, TypeError...
        raise ModelError(f"its metadata is damaged ({type(error).__name__}: {error})") from error
    return {}


def unpack(content: bytes) -> dict[str, Any]:
    """A ModelMetadata as plain values."""
    from flatbuffers import encode, packer, table

    root = encode.Get(packer.uoffset, content, 0)
    return _read_table(table.Table(bytearray(content), root), "ModelMetadata", iter(range(MAX_VALUES)))


def _read_table(table: Any, name: str, budget: Iterator[int]) -> dict[str, Any]:
    """A table as plain values.

    budget: An item for each value that may still be read, as many offsets can point to the same bytes.
    """
    values: dict[str, Any] = {}
    kind: Any
    for slot, (field, kind) in enumerate(TABLES[name]):
        offset = table.Offset(4 + 2 * slot)
        if not offset:
            continue
        if kind is None:
            kind = values["kind"]
        position = table.Pos + offset
        if kind in SCALARS:
            values[field] = _read_number(table, kind, position)
        else:
            values[field] = _read_value(table, kind, position, budget)
        if kind == "uint8":
            members = UNIONS[name]
            values[field] = members[values[field]] if values[field] < len(members) else ""
    return {field: value for field, value in values.items() if value != ""}


def _read_number(table: Any, kind: str, position: int) -> Any:
    from flatbuffers import number_types

    return table.Get(getattr(number_types, f"{kind.capitalize()}Flags"), position)


def _read_value(table: Any, kind: Any, position: int, budget: Iterator[int]) -> Any:
    """A text, a table or a vector."""
    from flatbuffers.table import Table

    if next(budget, None) is None:
        raise ValueError(f"more than {MAX_VALUES:,} values")
    if kind is str:
        return table.String(position).decode("utf-8", "replace")
    if not isinstance(kind, list):
        return _read_table(Table(table.Bytes, table.Indirect(position)), kind, budget) if kind else {}
    (item_kind,) = kind
    start = position + _read_number(table, "uint32", position)
    count = _read_number(table, "uint32", start)
    if 4 * count > len(table.Bytes):
        raise ValueError(f"a vector of {count}")
    positions = (start + 4 + 4 * i for i in range(count))
    if item_kind == "float32":
        return [_read_number(table, item_kind, item) for item in positions]
    return [_read_value(table, item_kind, item, budget) for item in positions]
