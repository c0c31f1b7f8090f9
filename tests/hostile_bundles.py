"""Hostile bundles: records that lie, files that are links or ways out, .tflite that others made or that pretend to be ours."""

import hashlib
import io
import json
import zipfile
from functools import cache
from pathlib import Path

import numpy as np

from dltasks.bundle.storage import append_files
from dltasks.litert import metadata

ROOT = Path(__file__).parent.parent
KINDS = ("network", "record", "bundle", "file")
BASES = ("tiny", "cards", "commands", "sentences")
"""Bundles that records are laid over; the first is made here."""

SIDE, NAMES = 8, ("ant", "bee", "cow", "dog")
DEEP = 5000
VALUES = (
    None, True, False, 0, 1, -1, 2, 3.5, -0.0, 1e308, -1e308, float("nan"), float("inf"), 2**31, 2**63, 10**30, 10**9, -(2**63),
    "", "x", "x" * 100_000, "../../etc/passwd", "/etc/passwd", "\0", "\ud800", "\x1b[31m", "\n\n", "1", "nan", "{}",
    "Europe/Nowhere", "../../../etc/passwd", [], {}, [[]], [None], ["x"], [1, 2, 3], [1e308] * 3, {"": ""}, {"value": None},
    [-1] * 200, {"a": {"b": {"c": []}}},
)  # fmt: skip
"""What any field of a record may hold of a sudden."""


@cache
def network(kind: str = "float32") -> bytes:
    """A .tflite of a few hundred bytes: pixels (any, SIDE, SIDE, 3) of this kind to probabilities of four labels."""
    from ai_edge_litert import schema_py_generated as schema

    values = np.random.default_rng(0).normal(0, 0.01, (len(NAMES), SIDE * SIDE * 3)).astype(np.float32)
    shape = np.array([-1, SIDE * SIDE * 3], np.int32)
    buffers = [b"", shape.tobytes(), values.tobytes()]
    types = {
        "float32": schema.TensorType.FLOAT32,
        "uint8": schema.TensorType.UINT8,
        "int32": schema.TensorType.INT32,
    }
    tensors, operators, codes = [], [], []

    def tensor(name, size, buffer=0, type="float32", free=True):
        found = schema.TensorT()
        found.name, found.shape, found.type, found.buffer = name, list(size), types[type], buffer
        found.shapeSignature = [-1, *size[1:]] if free else None
        tensors.append(found)
        return len(tensors) - 1

    def operator(code, inputs, outputs, options=None):
        made, found = schema.OperatorCodeT(), schema.OperatorT()
        made.builtinCode = made.deprecatedBuiltinCode = code
        codes.append(made)
        found.opcodeIndex, found.inputs, found.outputs = len(codes) - 1, inputs, outputs
        if options:
            found.builtinOptionsType, found.builtinOptions = options
        operators.append(found)

    given = tensor(b"pixels", (1, SIDE, SIDE, 3), type=kind)
    pixels = given
    if kind != "float32":
        pixels = tensor(b"floats", (1, SIDE, SIDE, 3))
        operator(schema.BuiltinOperator.CAST, [given], [pixels])
    wanted = tensor(b"wanted", (2,), 1, "int32", free=False)
    weights = tensor(b"weights", values.shape, 2, free=False)
    flat, logits = tensor(b"flat", (1, SIDE * SIDE * 3)), tensor(b"logits", (1, len(NAMES)))
    probabilities = tensor(b"probabilities", (1, len(NAMES)))
    operator(schema.BuiltinOperator.RESHAPE, [pixels, wanted], [flat])
    dense, softmax = schema.FullyConnectedOptionsT(), schema.SoftmaxOptionsT()
    softmax.beta = 1.0
    operator(
        schema.BuiltinOperator.FULLY_CONNECTED,
        [flat, weights, -1],
        [logits],
        (schema.BuiltinOptions.FullyConnectedOptions, dense),
    )
    operator(
        schema.BuiltinOperator.SOFTMAX,
        [logits],
        [probabilities],
        (schema.BuiltinOptions.SoftmaxOptions, softmax),
    )
    graph, model = schema.SubGraphT(), schema.ModelT()
    graph.tensors, graph.operators = tensors, operators
    graph.inputs, graph.outputs, graph.name = [given], [probabilities], b"main"
    model.version, model.subgraphs, model.operatorCodes = 3, [graph], codes
    model.buffers = [_buffer(each) for each in buffers]
    return _packed(model)  # fmt: skip


def _buffer(content: bytes):
    from ai_edge_litert import schema_py_generated as schema

    found = schema.BufferT()
    found.data = list(content) or None
    return found


def _packed(model) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def told(model: bytes, content: bytes) -> bytes:
    """The model with this as its standard metadata."""
    from ai_edge_litert import schema_py_generated as schema

    found = schema.ModelT.InitFromPackedBuf(model, 0)
    entry = schema.MetadataT()
    entry.name, entry.buffer = metadata.BUFFER, len(found.buffers)
    found.buffers.append(_buffer(content))
    found.metadata = [entry]
    return _packed(found)


@cache
def scaled() -> bytes:
    """Standard metadata of the float32 network: how its pixels are scaled and where its labels are."""
    input_, output = (
        metadata.TensorDescription("").table("in"),
        metadata.TensorDescription("", labels="labels.txt").table("out"),
    )
    input_["process_units"] = [
        {"kind": "NormalizationOptions", "properties": {"mean": [127.5], "std": [127.5]}}
    ]
    return metadata.pack({"subgraph_metadata": [{"input_tensor_metadata": [input_], "output_tensor_metadata": [output]}]})  # fmt: skip


def strangers() -> dict[str, bytes]:
    """Whole .tflite files that dltasks did not write: tiny ones, with labels, and two of ours without their record."""
    labels = {"labels.txt": "\n".join(NAMES).encode()}
    return {
        "float.tflite": append_files(told(network(), scaled()), labels),
        "uint8.tflite": append_files(network("uint8"), labels),
        "bare.tflite": network(),
        "commands.tflite": (ROOT / "models/commands/model.tflite").read_bytes(),
        "cards.tflite": (ROOT / "models/cards/model.tflite").read_bytes(),
    }


def make(kind: str, number: int, random, damaged) -> tuple[str, dict, str]:
    """What was done, the files by name, and the bundle that they are laid over."""
    return {"network": _network, "record": _record, "bundle": _bundle, "file": _file}[kind](
        number, random, damaged
    )


# --- .tflite files of others


@cache
def crafted_networks() -> dict[str, bytes]:
    """Zips and metadata that pretend."""
    model, labels = network("uint8"), "\n".join(NAMES).encode()
    described = told(network(), scaled())
    many = io.BytesIO(model)
    with zipfile.ZipFile(many, "a") as archive:
        for i in range(3000):
            archive.writestr(f"{i}.txt", "")
    return {
        "a zip bomb": zipped(model, {"labels.txt": b"a\n" * 50_000_000}),
        "a zip bomb that says it is small": _lying(zipped(model, {"labels.txt": b"a\n" * 10_000_000}), 20_000_000, 10),
        "a zip bomb by LZMA": zipped(model, {"labels.txt": b"a" * 100_000_000}, zipfile.ZIP_LZMA),
        "a zip bomb by bzip2": zipped(model, {"labels.txt": b"a" * 100_000_000}, zipfile.ZIP_BZIP2),
        "a zip bomb of many": zipped(model, {f"{i}.txt": b"a" * 1_000_000 for i in range(200)}),
        "names that lead out": zipped(model, {"../../../labels.txt": labels, "/labels.txt": labels}),
        "a name that is only an ending": zipped(model, {".txt": labels}),
        "an encrypted file": _flagged(zipped(model, {"labels.txt": labels})),
        "many files": many.getvalue(),
        "labels without end": append_files(model, {"labels.txt": b"\n" * 5_000_000}),
        "labels of no text": append_files(model, {"labels.txt": bytes(range(256))}),
        "ours by its record": append_files(model, {"bundle.json": b"{}"}),
        "a record too deep": append_files(model, {"bundle.json": b"[" * 100_000}),
        "a record of nothing": append_files(model, {"bundle.json": b"null"}),
        "tables in tables": append_files(told(network(), metadata_bomb()), {"labels.txt": labels}),
        "damaged metadata": told(network(), b"\xff" * 100),
        "no network": b"\0\0\0\0TFL3",
        "only a zip": zipped(b"", {"labels.txt": labels}),
        "another's identifier": described[:4] + b"ABCD" + described[8:],
        "a far root": b"\xff\xff\xff\x7fTFL3" + described[8:],
        "nothing": b"",
        "large tensors": _sized(10**6),
        "larger tensors": _sized(2**30),
        "tensors of less than nothing": _sized(-5),
    }  # fmt: skip


def zipped(model: bytes, inside: dict[str, bytes], way=zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO(model)
    file.seek(0, 2)
    with zipfile.ZipFile(file, "a") as archive:
        for name, content in inside.items():
            archive.writestr(name, content, way)
    return file.getvalue()


def _lying(content: bytes, real: int, said: int) -> bytes:
    return content.replace(real.to_bytes(4, "little"), said.to_bytes(4, "little"))


def _flagged(content: bytes) -> bytes:
    at = content.find(b"PK\1\2")
    return content[: at + 8] + b"\1\0" + content[at + 10 :]


def _sized(size: int) -> bytes:
    """The tiny network with tensors that say they are so large."""
    from ai_edge_litert import schema_py_generated as schema

    found = schema.ModelT.InitFromPackedBuf(network("uint8"), 0)
    for each in found.subgraphs[0].tensors:
        if len(each.shape) > 2:
            each.shape, each.shapeSignature = [1, size, size, 3], [-1, size, size, 3]
    return _packed(found)


def metadata_bomb(width: int = 1000) -> bytes:
    """Standard metadata whose tables are referred to again and again: width ** 3 of them."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    name = builder.CreateString("a")
    # AssociatedFile, TensorMetadata, SubGraphMetadata, ModelMetadata: how many fields, and which refers to many.
    inner = None
    for fields, slot in ((4, None), (7, 6), (5, 2), (8, 3)):
        vector = None
        if inner is not None:
            builder.StartVector(4, width, 4)
            for _ in range(width):
                builder.PrependUOffsetTRelative(inner)
            vector = builder.EndVector()
        builder.StartObject(fields)
        builder.PrependUOffsetTRelativeSlot(0, name, 0)
        if vector is not None:
            builder.PrependUOffsetTRelativeSlot(slot, vector, 0)
        inner = builder.EndObject()
    builder.Finish(inner, metadata.IDENTIFIER)
    return bytes(builder.Output())


def _network(number: int, random, damaged):
    crafted = crafted_networks()
    if number < len(crafted):
        name = list(crafted)[number]
        return name, {"crafted.tflite": crafted[name]}, ""
    good = strangers()
    # What is small is all structure, and worth the most.
    names = [
        "float.tflite",
        "uint8.tflite",
        "bare.tflite",
        "float.tflite",
        "bare.tflite",
        "commands.tflite",
        "cards.tflite",
    ]
    name = names[number % len(names)]
    way = random.random()
    if way < 0.25:
        return _structure(name, good[name], random)
    if way < 0.65:
        return _malformed(name, good[name], random)
    done, content = damaged(good[name], random, list(good.values()))
    return f"{name}, {done}", {name: content}, ""  # fmt: skip


def _structure(name: str, content: bytes, random):
    """Some 32-bit words change that say where what is, or how much; not those of weights."""
    changed = bytearray(content)
    end = content.find(b"PK\3\4")
    words = np.frombuffer(content[: (end if end > 0 else len(content)) // 4 * 4], "<u4")
    places = np.flatnonzero(words < 5000)
    for at in random.choice(places, int(random.integers(1, 4))):
        value = int(random.choice([0, 1, 2, 3, 7, 64, 200, 5000, 2**31 - 1, 2**32 - 1, 2**32 - 4]))
        changed[4 * at : 4 * at + 4] = value.to_bytes(4, "little")
    return f"{name}, words of its structure changed", {name: bytes(changed)}, ""


def _malformed(name: str, content: bytes, random):
    """A FlatBuffer without a flaw, of a network that makes no sense: other operations, tensors, types and sizes."""
    from ai_edge_litert import schema_py_generated as schema

    end = content.find(b"PK\3\4")
    model, done = schema.ModelT.InitFromPackedBuf(content[: end if end > 0 else None], 0), []
    graph = model.subgraphs[0]
    sizes = [0, 1, -1, 2, 3, 7, 64, 1000, 2**15, 2**20, 2**31 - 1, -(2**31)]
    for _ in range(int(random.choice([1, 1, 2, 3]))):
        operator, tensor = (
            each[int(random.integers(len(each)))] for each in (graph.operators, graph.tensors)
        )
        way = int(random.integers(8))
        if way == 0:
            code = model.operatorCodes[operator.opcodeIndex]
            code.builtinCode = code.deprecatedBuiltinCode = int(random.integers(127))
        elif way == 1:
            operator.inputs = [
                int(random.integers(-1, len(graph.tensors))) for _ in range(int(random.integers(5)))
            ]
        elif way == 2:
            operator.outputs = [
                int(random.integers(len(graph.tensors))) for _ in range(int(random.integers(4)))
            ]
        elif way == 3:
            tensor.type = int(random.integers(18))
        elif way == 4:
            tensor.shape = [int(random.choice(sizes)) for _ in range(int(random.integers(6)))]
        elif way == 5:
            tensor.buffer = int(random.integers(len(model.buffers)))
        elif way == 6:
            buffer = model.buffers[int(random.integers(len(model.buffers)))]
            buffer.data = (
                None if buffer.data is None else list(buffer.data)[: int(random.integers(len(buffer.data)))]
            )
        else:
            operator.builtinOptions, operator.builtinOptionsType = None, 0
        done.append(str(way))
    changed = _packed(model) + (content[end:] if end > 0 else b"")
    return f"{name}, malformed in ways {', '.join(done)}", {name: changed}, ""


# --- records


@cache
def record(base: str) -> dict:
    """The bundle.json of a base."""
    if base != "tiny":
        found = json.loads((ROOT / "models" / base / "bundle.json").read_text(encoding="utf-8"))
        left = ("model.keras", "false_alarms.png")
        return found | {"files": {k: v for k, v in found["files"].items() if k not in left}}
    found = json.loads((ROOT / "models/objects/bundle.json").read_text(encoding="utf-8"))
    found["evaluation"] |= {"classes": {}, "confusion": []}
    found["fields"] |= {"size": SIDE}
    return found | {"files": {k: hashlib.sha256(v).hexdigest() for k, v in _tiny().items()}}


@cache
def _tiny() -> dict[str, bytes]:
    from dltasks.litert import golden
    from dltasks.litert.runtime import Runtime

    inputs = {"pixels": np.zeros((4, SIDE, SIDE, 3), np.uint8)}
    labels = "".join(f"{each}\n" for each in NAMES).encode()
    model = network("uint8")
    return {
        "model.tflite": model,
        "labels.txt": labels,
        "golden.npz": golden.create_golden(Runtime(model), inputs),
    }


def lay(base: str, folder: Path) -> None:
    """A whole bundle."""
    folder.mkdir()
    for name in record(base)["files"]:
        given = _tiny() if base == "tiny" else None
        (folder / name).write_bytes(given[name] if given else (ROOT / "models" / base / name).read_bytes())
    (folder / "bundle.json").write_text(json.dumps(record(base)), encoding="utf-8")


@cache
def crafted_records() -> dict[str, bytes]:
    """Texts that are no record."""
    good = record("tiny")
    wide = {"a" * i: i for i in range(1, 3000)}
    return {
        "nothing": b"",
        "null": b"null",
        "a number": b"1",
        "a list": b"[]",
        "an empty object": b"{}",
        "deep lists": b"[" * 200_000,
        "deep objects": b'{"format":' * 200_000,
        "deep in a field": json.dumps(good).replace('"data_description": "', '"deep": ' + "[" * DEEP + "]" * DEEP + ', "data_description": "').encode(),
        "a number of many digits": b'{"format": ' + b"9" * 10_000 + b"}",
        "only a format": b'{"format": 1}',
        "a name that is a way": json.dumps(good | {"task": "../../tests"}).encode(),
        "a task that is a module": json.dumps(good | {"task": "os"}).encode(),
        "more fields": json.dumps(good | {"fields": good["fields"] | wide}).encode(),
        "100 MB of spaces": json.dumps(good).encode() + b" " * 100_000_000,
        "utf-16": json.dumps(good).encode("utf-16"),
        "no text": bytes(range(256)),
        "twice": json.dumps(good).encode() * 2,
        "half a letter": json.dumps(good | {"data_description": "\ud800"}).encode(),
        "no file": json.dumps(good | {"files": {}}).encode(),
        "our classes by name": json.dumps(good | {"fields": {"__class__": "x", "__dict__": {}, "labels": ["a"]}}).encode(),
    }  # fmt: skip


def _record(number: int, random, damaged):
    crafted = crafted_records()
    if number < len(crafted):
        name = list(crafted)[number]
        return name, {"bundle.json": crafted[name]}, "tiny"
    base = BASES[number % len(BASES)]
    if random.random() < 0.15:
        done, content = damaged(
            json.dumps(record(base)).encode(), random, [json.dumps(record("tiny")).encode()]
        )
        return f"{base}, {done}", {"bundle.json": content}, base
    changed, done = json.loads(json.dumps(record(base))), []
    for _ in range(int(random.choice([1, 1, 1, 2, 4]))):
        done.append(_changed(changed, random))
    return f"{base}, {', '.join(done)}", {"bundle.json": json.dumps(changed).encode()}, base


def _changed(value, random) -> str:
    """Change one place of a record, as likely near its top as in its depth; gives what was done."""
    way = []
    while True:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        # What prediction needs is changed more often than what is only shown.
        liked = [key for key in keys if key in ("fields", "files", "parity")] * 4 if not way else []
        key = [*keys, *liked][int(random.integers(len(keys) + len(liked)))]
        way.append(str(key))
        inner = value[key]
        if isinstance(inner, dict | list) and inner and random.random() < 0.75:
            value = inner
            continue
        break
    if isinstance(value, dict) and random.random() < 0.12:
        del value[key]
        return f"{'.'.join(way)} left out"
    new = VALUES[int(random.integers(len(VALUES)))]
    value[key] = json.loads(json.dumps(new))
    return f"{'.'.join(way)} is {repr(new)[:40]}"


# --- the files of a bundle


OUTSIDE = (
    "../secret.txt",
    "/etc/passwd",
    "../../etc/passwd",
    "/dev/zero",
    "a/../../secret.txt",
    "..",
    ".",
    "",
    "a\0b",
    "x" * 300,
)


@cache
def crafted_bundles() -> list[tuple[str, dict, str]]:
    """Links and names that lead out of a bundle, and files in it that unpack without end."""
    found = []
    for name in OUTSIDE:
        for hashed in ("0" * 64, hashlib.sha256(b"secret").hexdigest()):
            files = record("tiny")["files"] | {name: hashed}
            found.append(
                (
                    f"a file {name[:30]!r}",
                    {"bundle.json": json.dumps(record("tiny") | {"files": files}).encode()},
                    "tiny",
                )
            )
    targets = (
        "../secret.txt",
        "/etc/passwd",
        "/dev/zero",
        "/dev/stdin",
        "nowhere",
        ".",
        "bundle.json",
        "model.tflite",
        "labels.txt",
    )
    for name in ("model.tflite", "labels.txt", "golden.npz", "bundle.json"):
        found += [(f"{name} is a link to {each}", {name: Path(each)}, "tiny") for each in targets]
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        head = (
            b"\x93NUMPY\1\0v\0{'descr': '|u1', 'fortran_order': False, 'shape': (2000000000,), }".ljust(127)
            + b"\n"
        )
        archive.writestr("/in/pixels.npy", head + b"\0" * 200_000_000)
        archive.writestr("/out/probabilities.npy", head + b"\0" * 200_000_000)
    found.append(("golden vectors without end", *_with("tiny", {"golden.npz": bomb.getvalue()})))
    for name, content in {
        "pickled": np.lib.format.magic(1, 0),
        "a header of code": b"__import__('os').system('touch owned')",
        "a header too deep": b"(" * 9000,
    }.items():
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(
                "/in/pixels.npy", b"\x93NUMPY\1\0" + len(content).to_bytes(2, "little") + content
            )
        found.append((f"golden vectors {name}", *_with("tiny", {"golden.npz": file.getvalue()})))
    for name, content in {
        "none": b"",
        "fewer": b"ant\n",
        "more": b"a\n" * 50,
        "without end": b"a\n" * 20_000_000,
        "no text": bytes(range(128, 256)),
    }.items():
        found.append((f"labels {name}", *_with("tiny", {"labels.txt": content})))
    for name, content in {
        "none": b"",
        "noise": bytes(range(256)) * 40,
        "lengths": b"\x0a\xff\xff\xff\xff\x07",
    }.items():
        found.append((f"a vocabulary of {name}", *_with("sentences", {"vocabulary.bin": content})))
    return found  # fmt: skip


def _with(base: str, files: dict[str, bytes]) -> tuple[dict, str]:
    """The files, and a record that says their hashes."""
    hashed = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    told = record(base) | {"files": record(base)["files"] | hashed}
    return {"bundle.json": json.dumps(told).encode(), **files}, base


def _bundle(number: int, random, damaged):
    crafted = crafted_bundles()
    if number < len(crafted):
        return crafted[number]
    base, name = [
        ("tiny", "labels.txt"),
        ("tiny", "golden.npz"),
        ("commands", "labels.txt"),
        ("commands", "stream.golden.npz"),
        ("sentences", "vocabulary.bin"),
        ("cards", "golden.npz"),
    ][number % 6]
    content = _tiny()[name] if base == "tiny" else (ROOT / "models" / base / name).read_bytes()
    done, content = damaged(content, random, [content])
    if random.random() < 0.8:
        return f"{base}/{name}, {done}, its hash as recorded", *_with(base, {name: content})
    return f"{base}/{name}, {done}", {name: content}, base


# --- .tflite files that dltasks wrote


@cache
def ours() -> dict[str, bytes]:
    """Exported files, whole."""
    from dltasks.litert import golden

    found = {}
    for base in ("tiny", "cards", "commands"):
        given = _tiny() if base == "tiny" else None
        inside = {
            name: given[name] if given else (ROOT / "models" / base / name).read_bytes()
            for name in record(base)["files"]
            if name in ("labels.txt", golden.GOLDEN_FILE)
        }
        model = given["model.tflite"] if given else (ROOT / "models" / base / "model.tflite").read_bytes()
        author = metadata.pack({"name": base, "author": "made with dltasks 0.1.0"})
        found[base] = exported(told(model, author), inside, record(base))
    return found


def exported(model: bytes, inside: dict[str, bytes], record: dict) -> bytes:
    """A .tflite as dltasks writes them, its hashes as recorded."""
    record = {k: v for k, v in record.items() if k != "files"} | {"form": "litert"}
    members = {name: _hashed(content) for name, content in inside.items()}
    record = {"model": _hashed(model), "members": members} | record
    return append_files(model, {"bundle.json": json.dumps(record).encode(), **inside})


def _hashed(content: bytes) -> dict[str, object]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _file(number: int, random, damaged):
    base = ("tiny", "cards", "commands")[number % 3]
    content = ours()[base]
    if random.random() < 0.5:
        done, content = damaged(content, random, list(ours().values()))
        return f"{base}.tflite, {done}", {f"{base}.tflite": content}, ""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        inside = {name: archive.read(name) for name in archive.namelist()}
    told = json.loads(inside.pop("bundle.json"))
    model, done = content[: told["model"]["bytes"]], _changed(told, random)
    return f"{base}.tflite, {done}", {f"{base}.tflite": exported(model, inside, told)}, ""
