"""What a .tflite says of itself to any reader: the standard metadata of TensorFlow Lite, written and read.

The tables are those of metadata_schema.fbs, version 1.3.0, of TensorFlow Lite Support (as far as they are used here), a
FlatBuffer in the model's buffer TFLITE_METADATA. The files that it names stand in a zip at the model's end.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dltasks.errors import ModelError

BUFFER, IDENTIFIER, VERSION = "TFLITE_METADATA", b"M001", "1.3.0"

IMAGE, AUDIO, FEATURE = "ImageProperties", "AudioProperties", "FeatureProperties"

MAX_VALUES = 10_000
"""Values that are read of the metadata of a file."""

TEXT = 1
LABELS = 2
"""Kinds of a file that goes with a model: a text about it, and the names of the places of a tensor's last axis."""

RGB = 1

UNIONS = {
    "Content": ("", FEATURE, IMAGE, "BoundingBoxProperties", AUDIO),
    "ProcessUnit": ("", "NormalizationOptions"),
}

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
"""Fields of each table in the order of their slots: a text, a number, another table, or a vector [of such]. None is the
member of a union that the field before it names."""


@dataclass(frozen=True)
class TensorDescription:
    """What a tensor of a network holds, for people and for other programs.

    content: IMAGE, AUDIO (of `rate` samples a second) or FEATURE. labels: the file that names the places of its last
    axis.
    """

    description: str
    content: str = FEATURE
    rate: int = 0
    labels: str = ""

    def table(self, name: str) -> dict[str, Any]:
        """A TensorMetadata."""
        found: dict[str, Any] = {"name": name, "description": self.description}
        properties = {AUDIO: {"sample_rate": self.rate, "channels": 1}, IMAGE: {"color_space": RGB}}
        found["content"] = {"kind": self.content, "properties": properties.get(self.content, {})}
        if self.content == IMAGE:
            # The network scales pixels itself.
            unit = {"kind": "NormalizationOptions", "properties": {"mean": [0.0], "std": [1.0]}}
            found["process_units"] = [unit]
        if self.labels:
            told = "what each place of the last axis means, a line each"
            found["associated_files"] = [{"name": self.labels, "description": told, "type": LABELS}]
        return found


def add_metadata(
    model: bytes, about: dict[str, str], tensors: dict[str, TensorDescription], files: Sequence[str]
) -> bytes:
    """The model with metadata. about: "name", "description", "version", "author", "license".

    tensors: what those of the signatures hold, by name. files: those in the zip that tell of the whole model.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    network = schema.ModelT.InitFromPackedBuf(model, 0)
    subgraphs = [_subgraph(each, network.subgraphs, tensors) for each in network.signatureDefs or ()]
    content = pack(
        about
        | {
            "subgraph_metadata": [each for _, each in sorted(subgraphs, key=lambda pair: pair[0])],
            "associated_files": [{"name": each, "type": TEXT} for each in files],
            "min_parser_version": VERSION,
        }
    )
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = list(content)
    entry.name, entry.buffer = BUFFER, len(network.buffers)
    network.buffers.append(buffer)
    network.metadata = [*(network.metadata or ()), entry]
    builder = flatbuffers.Builder(len(model) + len(content))
    builder.Finish(network.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _subgraph(signature, subgraphs, tensors: dict[str, TensorDescription]) -> tuple[int, dict[str, Any]]:
    """The place of a signature's subgraph, and its SubGraphMetadata."""
    subgraph = subgraphs[signature.subgraphIndex]

    def side(maps, order) -> list[dict[str, Any]]:
        names = {each.tensorIndex: each.name.decode() for each in maps}
        unknown = TensorDescription("")
        return [
            tensors.get(names.get(i, ""), unknown).table(names.get(i, subgraph.tensors[i].name.decode()))
            for i in order
        ]

    return signature.subgraphIndex, {
        "name": signature.signatureKey.decode(),
        "input_tensor_metadata": side(signature.inputs, subgraph.inputs),
        "output_tensor_metadata": side(signature.outputs, subgraph.outputs),
    }


def pack(values: dict[str, Any]) -> bytes:
    """A ModelMetadata as a FlatBuffer."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(_packed(builder, "ModelMetadata", values), IDENTIFIER)
    return bytes(builder.Output())


def _packed(builder, table: str, values: dict[str, Any]) -> int:
    """The offset of a table. What it refers to must be written before it."""
    slots: list[tuple[int, Any, Any]] = []
    for slot, (name, kind) in enumerate(TABLES[table]):
        value = values.get(name)
        if kind == "uint8" and value is not None:
            value = UNIONS[table].index(value)
        if kind is None and value is not None:
            kind = values["kind"]
        if value is not None:
            slots.append((slot, kind, value if _scalar(kind) else _referred(builder, kind, value)))
    builder.StartObject(len(TABLES[table]))
    for slot, kind, value in slots:
        prepend = getattr(builder, f"Prepend{kind.capitalize()}Slot") if _scalar(kind) else None
        prepend(slot, value, 0) if prepend else builder.PrependUOffsetTRelativeSlot(slot, value, 0)
    return builder.EndObject()


def _scalar(kind) -> bool:
    return kind in ("uint8", "int8", "uint32", "int32")


def _referred(builder, kind, value) -> int:
    if kind is str:
        return builder.CreateString(value)
    if not isinstance(kind, list):
        return _packed(builder, kind, value)
    (inner,) = kind
    if inner == "float32":
        builder.StartVector(4, len(value), 4)
        for each in reversed(value):
            builder.PrependFloat32(each)
        return builder.EndVector()
    offsets = [_referred(builder, inner, each) for each in value]
    builder.StartVector(4, len(offsets), 4)
    for each in reversed(offsets):
        builder.PrependUOffsetTRelative(each)
    return builder.EndVector()


def read_metadata(model: bytes) -> dict[str, Any]:
    """The ModelMetadata of a .tflite as plain values; empty where it has none. Raises ModelError if it is damaged."""
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
    return _unpacked(table.Table(bytearray(content), root), "ModelMetadata", iter(range(MAX_VALUES)))


def _unpacked(table, name: str, room: Iterator[int]) -> dict[str, Any]:
    """A table. room: one place for each value that may still be read; the same bytes can be named as many."""
    found: dict[str, Any] = {}
    for slot, (field, kind) in enumerate(TABLES[name]):
        offset = table.Offset(4 + 2 * slot)
        if not offset:
            continue
        if kind is None:
            kind = found["kind"]
        place = table.Pos + offset
        found[field] = _number(table, kind, place) if _scalar(kind) else _followed(table, kind, place, room)
        if kind == "uint8":
            names = UNIONS[name]
            found[field] = names[found[field]] if found[field] < len(names) else ""
    return {field: value for field, value in found.items() if value != ""}


def _number(table, kind: str, place: int):
    from flatbuffers import number_types

    return table.Get(getattr(number_types, f"{kind.capitalize()}Flags"), place)


def _followed(table, kind, place: int, room: Iterator[int]):
    from flatbuffers.table import Table

    if next(room, None) is None:
        raise ValueError(f"more than {MAX_VALUES:,} values")
    if kind is str:
        return table.String(place).decode("utf-8", "replace")
    if not isinstance(kind, list):
        return _unpacked(Table(table.Bytes, table.Indirect(place)), kind, room) if kind else {}
    (inner,) = kind
    start = place + _number(table, "uint32", place)
    count = _number(table, "uint32", start)
    if 4 * count > len(table.Bytes):
        raise ValueError(f"a vector of {count}")
    places = (start + 4 + 4 * i for i in range(count))
    return [
        _number(table, inner, each) if inner == "float32" else _followed(table, inner, each, room)
        for each in places
    ]
