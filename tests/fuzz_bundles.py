"""Fuzzed bundles: false manifests, links out of the bundle, third-party .tflite files, imitations of ours."""

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
KINDS = ("network", "manifest", "bundle", "file")
BASES = ("tiny", "cards", "commands", "sentences")
"""Bundles that manifests are laid over; the first is made here."""

SIDE, NAMES = 8, ("ant", "bee", "cow", "dog")
DEEP = 5000
VALUES = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    3.5,
    -0.0,
    1e308,
    -1e308,
    float("nan"),
    float("inf"),
    2**31,
    2**63,
    10**30,
    10**9,
    -(2**63),
    "",
    "x",
    "x" * 100_000,
    "../../etc/passwd",
    "/etc/passwd",
    "\0",
    "\ud800",
    "\x1b[31m",
    "\n\n",
    "1",
    "nan",
    "{}",
    "Europe/Nowhere",
    "../../../etc/passwd",
    [],
    {},
    [[]],
    [None],
    ["x"],
    [1, 2, 3],
    [1e308] * 3,
    {"": ""},
    {"value": None},
    [-1] * 200,
    {"a": {"b": {"c": []}}},
)
"""Unexpected values for any field of a manifest."""


@cache
def network(kind: str = "float32") -> bytes:
    """A small .tflite: pixels (any, SIDE, SIDE, 3) of this dtype to the probabilities of four labels."""
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
        new = schema.TensorT()
        new.name, new.shape, new.type, new.buffer = name, list(size), types[type], buffer
        new.shapeSignature = [-1, *size[1:]] if free else None
        tensors.append(new)
        return len(tensors) - 1

    def operator(code, inputs, outputs, options=None):
        operator_code, new = schema.OperatorCodeT(), schema.OperatorT()
        operator_code.builtinCode = operator_code.deprecatedBuiltinCode = code
        codes.append(operator_code)
        new.opcodeIndex, new.inputs, new.outputs = len(codes) - 1, inputs, outputs
        if options:
            new.builtinOptionsType, new.builtinOptions = options
        operators.append(new)

    source = tensor(b"pixels", (1, SIDE, SIDE, 3), type=kind)
    pixels = source
    if kind != "float32":
        pixels = tensor(b"floats", (1, SIDE, SIDE, 3))
        operator(schema.BuiltinOperator.CAST, [source], [pixels])
    target = tensor(b"target", (2,), 1, "int32", free=False)
    weights = tensor(b"weights", values.shape, 2, free=False)
    flat, logits = tensor(b"flat", (1, SIDE * SIDE * 3)), tensor(b"logits", (1, len(NAMES)))
    probabilities = tensor(b"probabilities", (1, len(NAMES)))
    operator(schema.BuiltinOperator.RESHAPE, [pixels, target], [flat])
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
    graph.inputs, graph.outputs, graph.name = [source], [probabilities], b"main"
    model.version, model.subgraphs, model.operatorCodes = 3, [graph], codes
    model.buffers = [_buffer(content) for content in buffers]
    return _pack(model)


def _buffer(content: bytes):
    from ai_edge_litert import schema_py_generated as schema

    buffer = schema.BufferT()
    buffer.data = list(content) or None
    return buffer


def _pack(model) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def with_metadata(model: bytes, content: bytes) -> bytes:
    """The model with this as its standard metadata."""
    from ai_edge_litert import schema_py_generated as schema

    parsed = schema.ModelT.InitFromPackedBuf(model, 0)
    entry = schema.MetadataT()
    entry.name, entry.buffer = metadata.BUFFER, len(parsed.buffers)
    parsed.buffers.append(_buffer(content))
    parsed.metadata = [entry]
    return _pack(parsed)


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
    return metadata.pack(
        {"subgraph_metadata": [{"input_tensor_metadata": [input_], "output_tensor_metadata": [output]}]}
    )


def third_party_files() -> dict[str, bytes]:
    """Intact .tflite files that dltasks did not write: tiny ones, and two of ours without a manifest."""
    labels = {"labels.txt": "\n".join(NAMES).encode()}
    return {
        "float.tflite": append_files(with_metadata(network(), scaled()), labels),
        "uint8.tflite": append_files(network("uint8"), labels),
        "bare.tflite": network(),
        "commands.tflite": (ROOT / "models/commands/model.tflite").read_bytes(),
        "cards.tflite": (ROOT / "models/cards/model.tflite").read_bytes(),
    }


def make(kind: str, number: int, random, mutate) -> tuple[str, dict, str]:
    """What was done, the files by name, and the bundle that they are laid over."""
    return {"network": _network, "manifest": _manifest, "bundle": _bundle, "file": _file}[kind](
        number, random, mutate
    )


# --- .tflite files of others


@cache
def crafted_networks() -> dict[str, bytes]:
    """Zips and metadata that pretend."""
    model, labels = network("uint8"), "\n".join(NAMES).encode()
    described = with_metadata(network(), scaled())
    many = io.BytesIO(model)
    with zipfile.ZipFile(many, "a") as archive:
        for i in range(3000):
            archive.writestr(f"{i}.txt", "")
    return {
        "a zip bomb": zipped(model, {"labels.txt": b"a\n" * 50_000_000}),
        "a zip bomb that says it is small": _falsify_size(
            zipped(model, {"labels.txt": b"a\n" * 10_000_000}), 20_000_000, 10
        ),
        "a zip bomb by LZMA": zipped(model, {"labels.txt": b"a" * 100_000_000}, zipfile.ZIP_LZMA),
        "a zip bomb by bzip2": zipped(model, {"labels.txt": b"a" * 100_000_000}, zipfile.ZIP_BZIP2),
        "a zip bomb of many": zipped(model, {f"{i}.txt": b"a" * 1_000_000 for i in range(200)}),
        "names that lead out": zipped(model, {"../../../labels.txt": labels, "/labels.txt": labels}),
        "a name that is only an ending": zipped(model, {".txt": labels}),
        "an encrypted file": _encrypt_flag(zipped(model, {"labels.txt": labels})),
        "many files": many.getvalue(),
        "labels without end": append_files(model, {"labels.txt": b"\n" * 5_000_000}),
        "labels of no text": append_files(model, {"labels.txt": bytes(range(256))}),
        "ours by its manifest": append_files(model, {"bundle.json": b"{}"}),
        "a manifest too deep": append_files(model, {"bundle.json": b"[" * 100_000}),
        "a manifest of nothing": append_files(model, {"bundle.json": b"null"}),
        "tables in tables": append_files(with_metadata(network(), metadata_bomb()), {"labels.txt": labels}),
        "damaged metadata": with_metadata(network(), b"\xff" * 100),
        "no network": b"\0\0\0\0TFL3",
        "only a zip": zipped(b"", {"labels.txt": labels}),
        "another's identifier": described[:4] + b"ABCD" + described[8:],
        "a far root": b"\xff\xff\xff\x7fTFL3" + described[8:],
        "nothing": b"",
        "large tensors": _resize_tensors(10**6),
        "larger tensors": _resize_tensors(2**30),
        "tensors of less than nothing": _resize_tensors(-5),
    }


def zipped(model: bytes, inside: dict[str, bytes], compression=zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO(model)
    file.seek(0, 2)
    with zipfile.ZipFile(file, "a") as archive:
        for name, content in inside.items():
            archive.writestr(name, content, compression)
    return file.getvalue()


def _falsify_size(content: bytes, real: int, false: int) -> bytes:
    return content.replace(real.to_bytes(4, "little"), false.to_bytes(4, "little"))


def _encrypt_flag(content: bytes) -> bytes:
    at = content.find(b"PK\1\2")
    return content[: at + 8] + b"\1\0" + content[at + 10 :]


def _resize_tensors(size: int) -> bytes:
    """The tiny network with tensors of a false size."""
    from ai_edge_litert import schema_py_generated as schema

    parsed = schema.ModelT.InitFromPackedBuf(network("uint8"), 0)
    for tensor in parsed.subgraphs[0].tensors:
        if len(tensor.shape) > 2:
            tensor.shape, tensor.shapeSignature = [1, size, size, 3], [-1, size, size, 3]
    return _pack(parsed)


def metadata_bomb(width: int = 1000) -> bytes:
    """Standard metadata whose tables are referred to again and again: width ** 3 of them."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    name = builder.CreateString("a")
    # AssociatedFile, TensorMetadata, SubGraphMetadata, ModelMetadata: number of fields, and the repeated one.
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


def _network(number: int, random, mutate):
    crafted = crafted_networks()
    if number < len(crafted):
        name = list(crafted)[number]
        return name, {"crafted.tflite": crafted[name]}, ""
    good = third_party_files()
    # Small files are all structure and find the most.
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
    choice = random.random()
    if choice < 0.25:
        return _structure(name, good[name], random)
    if choice < 0.65:
        return _malformed(name, good[name], random)
    mutations, content = mutate(good[name], random, list(good.values()))
    return f"{name}, {mutations}", {name: content}, ""


def _structure(name: str, content: bytes, random):
    """Change some 32-bit words that hold offsets or sizes, not those of weights."""
    changed = bytearray(content)
    end = content.find(b"PK\3\4")
    words = np.frombuffer(content[: (end if end > 0 else len(content)) // 4 * 4], "<u4")
    offsets = np.flatnonzero(words < 5000)
    for at in random.choice(offsets, int(random.integers(1, 4))):
        value = int(random.choice([0, 1, 2, 3, 7, 64, 200, 5000, 2**31 - 1, 2**32 - 1, 2**32 - 4]))
        changed[4 * at : 4 * at + 4] = value.to_bytes(4, "little")
    return f"{name}, words of its structure changed", {name: bytes(changed)}, ""


def _malformed(name: str, content: bytes, random):
    """A valid FlatBuffer of a senseless network: other operations, tensors, types and sizes."""
    from ai_edge_litert import schema_py_generated as schema

    end = content.find(b"PK\3\4")
    model, changes = schema.ModelT.InitFromPackedBuf(content[: end if end > 0 else None], 0), []
    graph = model.subgraphs[0]
    sizes = [0, 1, -1, 2, 3, 7, 64, 1000, 2**15, 2**20, 2**31 - 1, -(2**31)]
    for _ in range(int(random.choice([1, 1, 2, 3]))):
        operator, tensor = (
            items[int(random.integers(len(items)))] for items in (graph.operators, graph.tensors)
        )
        choice = int(random.integers(8))
        if choice == 0:
            code = model.operatorCodes[operator.opcodeIndex]
            code.builtinCode = code.deprecatedBuiltinCode = int(random.integers(127))
        elif choice == 1:
            operator.inputs = [
                int(random.integers(-1, len(graph.tensors))) for _ in range(int(random.integers(5)))
            ]
        elif choice == 2:
            operator.outputs = [
                int(random.integers(len(graph.tensors))) for _ in range(int(random.integers(4)))
            ]
        elif choice == 3:
            tensor.type = int(random.integers(18))
        elif choice == 4:
            tensor.shape = [int(random.choice(sizes)) for _ in range(int(random.integers(6)))]
        elif choice == 5:
            tensor.buffer = int(random.integers(len(model.buffers)))
        elif choice == 6:
            buffer = model.buffers[int(random.integers(len(model.buffers)))]
            buffer.data = (
                None if buffer.data is None else list(buffer.data)[: int(random.integers(len(buffer.data)))]
            )
        else:
            operator.builtinOptions, operator.builtinOptionsType = None, 0
        changes.append(str(choice))
    changed = _pack(model) + (content[end:] if end > 0 else b"")
    return f"{name}, malformed by {', '.join(changes)}", {name: changed}, ""


# --- manifests


@cache
def manifest(base: str) -> dict:
    """The bundle.json of a base."""
    if base != "tiny":
        content = json.loads((ROOT / "models" / base / "bundle.json").read_text(encoding="utf-8"))
        omitted = ("model.keras", "false_alarms.png")
        return content | {"files": {k: v for k, v in content["files"].items() if k not in omitted}}
    content = json.loads((ROOT / "models/objects/bundle.json").read_text(encoding="utf-8"))
    content["evaluation"] = manifest("commands")["evaluation"] | {
        "classes": {},
        "confusion": [],
        "tables": [],
    }
    names = {
        "groups": {"both": list(NAMES[:2])},
        "rejected_labels": [NAMES[0]],
        "synonyms": {NAMES[1]: ["x"]},
    }
    content["fields"] |= {"size": SIDE, **names}
    return content | {"files": {k: hashlib.sha256(v).hexdigest() for k, v in _tiny().items()}}


@cache
def _tiny() -> dict[str, bytes]:
    from dltasks.litert import golden
    from dltasks.litert.runtime import Runtime

    inputs = {"pixels": np.zeros((4, SIDE, SIDE, 3), np.uint8)}
    labels = "".join(f"{name}\n" for name in NAMES).encode()
    model = network("uint8")
    return {
        "model.tflite": model,
        "labels.txt": labels,
        "golden.npz": golden.create_golden(Runtime(model), inputs),
    }


def write_bundle(base: str, folder: Path) -> None:
    """Write an intact bundle."""
    folder.mkdir()
    for name in manifest(base)["files"]:
        tiny = _tiny() if base == "tiny" else None
        (folder / name).write_bytes(tiny[name] if tiny else (ROOT / "models" / base / name).read_bytes())
    (folder / "bundle.json").write_text(json.dumps(manifest(base)), encoding="utf-8")


@cache
def crafted_manifests() -> dict[str, bytes]:
    """Texts that are not a manifest."""
    good = manifest("tiny")
    wide = {"a" * i: i for i in range(1, 3000)}
    return {
        "nothing": b"",
        "null": b"null",
        "a number": b"1",
        "a list": b"[]",
        "an empty object": b"{}",
        "deep lists": b"[" * 200_000,
        "deep objects": b'{"format":' * 200_000,
        "deep in a field": json.dumps(good)
        .replace('"data_description": "', '"deep": ' + "[" * DEEP + "]" * DEEP + ', "data_description": "')
        .encode(),
        "a number of many digits": b'{"format": ' + b"9" * 10_000 + b"}",
        "only a format": b'{"format": 1}',
        "a name that is a path": json.dumps(good | {"task": "../../tests"}).encode(),
        "a task that is a module": json.dumps(good | {"task": "os"}).encode(),
        "more fields": json.dumps(good | {"fields": good["fields"] | wide}).encode(),
        "100 MB of spaces": json.dumps(good).encode() + b" " * 100_000_000,
        "utf-16": json.dumps(good).encode("utf-16"),
        "no text": bytes(range(256)),
        "twice": json.dumps(good).encode() * 2,
        "half a letter": json.dumps(good | {"data_description": "\ud800"}).encode(),
        "no file": json.dumps(good | {"files": {}}).encode(),
        "our classes by name": json.dumps(
            good | {"fields": {"__class__": "x", "__dict__": {}, "labels": ["a"]}}
        ).encode(),
    }


def _manifest(number: int, random, mutate):
    crafted = crafted_manifests()
    if number < len(crafted):
        name = list(crafted)[number]
        return name, {"bundle.json": crafted[name]}, "tiny"
    base = BASES[number % len(BASES)]
    if random.random() < 0.15:
        changes, content = mutate(
            json.dumps(manifest(base)).encode(), random, [json.dumps(manifest("tiny")).encode()]
        )
        return f"{base}, {changes}", {"bundle.json": content}, base
    changed, changes = json.loads(json.dumps(manifest(base))), []
    for _ in range(int(random.choice([1, 1, 1, 2, 4]))):
        changes.append(_change_value(changed, random))
    return f"{base}, {', '.join(changes)}", {"bundle.json": json.dumps(changed).encode()}, base


def _change_value(value, random) -> str:
    """Change one value of a manifest, near the top as likely as deep inside; describe the change."""
    path = []
    while True:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        # Fields that prediction needs are changed more often than those that are only shown.
        preferred = [key for key in keys if key in ("fields", "files", "parity")] * 4 if not path else []
        key = [*keys, *preferred][int(random.integers(len(keys) + len(preferred)))]
        path.append(str(key))
        inner = value[key]
        if isinstance(inner, dict | list) and inner and random.random() < 0.75:
            value = inner
            continue
        break
    if isinstance(value, dict) and random.random() < 0.12:
        del value[key]
        return f"{'.'.join(path)} left out"
    new = VALUES[int(random.integers(len(VALUES)))]
    value[key] = json.loads(json.dumps(new))
    return f"{'.'.join(path)} is {repr(new)[:40]}"


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
    bundles = []
    for name in OUTSIDE:
        for hashed in ("0" * 64, hashlib.sha256(b"secret").hexdigest()):
            files = manifest("tiny")["files"] | {name: hashed}
            bundles.append(
                (
                    f"a file {name[:30]!r}",
                    {"bundle.json": json.dumps(manifest("tiny") | {"files": files}).encode()},
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
        bundles += [(f"{name} is a link to {target}", {name: Path(target)}, "tiny") for target in targets]
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        head = (
            b"\x93NUMPY\1\0v\0{'descr': '|u1', 'fortran_order': False, 'shape': (2000000000,), }".ljust(127)
            + b"\n"
        )
        archive.writestr("/in/pixels.npy", head + b"\0" * 200_000_000)
        archive.writestr("/out/probabilities.npy", head + b"\0" * 200_000_000)
    bundles.append(("golden vectors without end", *_with("tiny", {"golden.npz": bomb.getvalue()})))
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
        bundles.append((f"golden vectors {name}", *_with("tiny", {"golden.npz": file.getvalue()})))
    for name, content in {
        "none": b"",
        "fewer": b"ant\n",
        "more": b"a\n" * 50,
        "without end": b"a\n" * 20_000_000,
        "no text": bytes(range(128, 256)),
    }.items():
        bundles.append((f"labels {name}", *_with("tiny", {"labels.txt": content})))
    for name, content in {
        "none": b"",
        "noise": bytes(range(256)) * 40,
        "lengths": b"\x0a\xff\xff\xff\xff\x07",
    }.items():
        bundles.append((f"a vocabulary of {name}", *_with("sentences", {"vocabulary.bin": content})))
    return bundles


def _with(base: str, files: dict[str, bytes]) -> tuple[dict, str]:
    """The files, and a manifest with their hashes."""
    hashed = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    content = manifest(base) | {"files": manifest(base)["files"] | hashed}
    return {"bundle.json": json.dumps(content).encode(), **files}, base


def _bundle(number: int, random, mutate):
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
    mutations, content = mutate(content, random, [content])
    if random.random() < 0.8:
        return f"{base}/{name}, {mutations}, hash updated", *_with(base, {name: content})
    return f"{base}/{name}, {mutations}", {name: content}, base


# --- .tflite files that dltasks wrote


@cache
def ours() -> dict[str, bytes]:
    """Intact exported files."""
    from dltasks.litert import golden

    files = {}
    for base in ("tiny", "cards", "commands"):
        tiny = _tiny() if base == "tiny" else None
        inside = {
            name: tiny[name] if tiny else (ROOT / "models" / base / name).read_bytes()
            for name in manifest(base)["files"]
            if name in ("labels.txt", golden.GOLDEN_FILE)
        }
        model = tiny["model.tflite"] if tiny else (ROOT / "models" / base / "model.tflite").read_bytes()
        author = metadata.pack({"name": base, "author": "made with dltasks 0.1.0"})
        files[base] = exported(with_metadata(model, author), inside, manifest(base))
    return files


def exported(model: bytes, inside: dict[str, bytes], manifest: dict) -> bytes:
    """A .tflite as dltasks writes them, with its hashes."""
    manifest = {k: v for k, v in manifest.items() if k != "files"} | {"export_format": "litert"}
    members = {name: _hash_entry(content) for name, content in inside.items()}
    manifest = {"model": _hash_entry(model), "members": members} | manifest
    return append_files(model, {"bundle.json": json.dumps(manifest).encode(), **inside})


def _hash_entry(content: bytes) -> dict[str, object]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _file(number: int, random, mutate):
    base = ("tiny", "cards", "commands")[number % 3]
    content = ours()[base]
    if random.random() < 0.5:
        changes, content = mutate(content, random, list(ours().values()))
        return f"{base}.tflite, {changes}", {f"{base}.tflite": content}, ""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        inside = {name: archive.read(name) for name in archive.namelist()}
    changed = json.loads(inside.pop("bundle.json"))
    model, changes = content[: changed["model"]["bytes"]], _change_value(changed, random)
    return f"{base}.tflite, {changes}", {f"{base}.tflite": exported(model, inside, changed)}, ""
