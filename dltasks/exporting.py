"""From a Keras network to a SavedModel or a LiteRT file, and how far these answer as the network does."""

import re
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from dltasks.errors import ExportError, MissingExtraError
from dltasks.quiet import quiet
from dltasks.runtime import Runtime
from dltasks.task import Arrays, Task

LEVELS = ("none", "float16", "weights8", "dynamic", "int8")
"""Levels of quantisation, from the most faithful to the smallest and fastest."""

FLOOR = 0.98
"""The least top-1 agreement that a file may have with its network."""

CALIBRATION = 200
"""Examples that int8 takes its ranges from."""

PARITY = 500
"""Examples that a written file is compared on."""


@dataclass(frozen=True)
class Parity:
    """How far an exported file answers as the network it came from.

    agreement: share of equal first answers, of `count` examples. difference: largest of any output value.
    latency: median milliseconds of one example on one thread; 0 where not measured.
    """

    quantize: str
    agreement: float
    difference: float
    count: int
    bytes: int
    latency: float

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {
            name: round(value, 6) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }


def litert(network, level: str, calibration: Arrays) -> bytes:
    """The network as a .tflite of one signature with built-in operations only.

    calibration: named inputs (count, ...) that int8 takes its ranges from. Raises ExportError.
    """
    if level not in LEVELS:
        raise ExportError(f"--quantize {level}: there are {', '.join(LEVELS)}")
    with tempfile.TemporaryDirectory() as folder, quiet():
        archive(network, folder)
        model = _converted(network, folder, level, calibration)
        if level == "weights8":
            model = _weights8(model, Path(folder))
    foreign = custom_operations(model)
    if foreign:
        raise ExportError(f"the file needs {', '.join(foreign)}, which LiteRT does not have built in")
    return model


def archive(network, folder) -> None:
    """Write the network as a SavedModel whose signature has the names of its inputs and outputs."""
    import keras
    import tensorflow as tf

    specs = {
        each.name: tf.TensorSpec((None, *each.shape[1:]), each.dtype, each.name) for each in network.inputs
    }
    writer = keras.export.ExportArchive()
    writer.track(network)
    writer.add_endpoint("serve", lambda inputs: network(inputs, training=False), input_signature=[specs])
    writer.write_out(str(folder), verbose=False)


def _converted(network, folder: str, level: str, calibration: Arrays) -> bytes:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["serve"])
    operations = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if level in ("float16", "dynamic", "int8"):
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if level == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if level == "int8":
        operations.append(tf.lite.OpsSet.TFLITE_BUILTINS_INT8)
        converter.representative_dataset = lambda: _rows(calibration)
    converter.target_spec.supported_ops = operations
    try:
        return bytes(converter.convert())
    except Exception as error:  # the converter raises its own classes, ValueError and RuntimeError
        raise ExportError(_refusal(network, str(error))) from error


def _rows(inputs: Arrays):
    count = min(CALIBRATION, len(next(iter(inputs.values()))))
    for i in range(count):
        yield "serve", {name: values[i : i + 1] for name, values in inputs.items()}


def _refusal(network, text: str) -> str:
    """What the converter could not do, and in which layers."""
    operations = sorted(set(re.findall(r"'?\btf\.(\w+)'? op", text)))
    names = [each.name for each in network._flatten_layers(include_self=False)]
    layers = [name for name in names if re.search(rf"[/\"]{re.escape(name)}(_\d+)?/", text)]
    if not operations:
        return f"LiteRT's converter failed: {text.strip().splitlines()[0] if text.strip() else 'no reason'}"
    return (
        f"layer {', '.join(dict.fromkeys(layers)) or 'unknown'} needs {', '.join(operations)}, which LiteRT "
        "does not have built in (Flex would be needed); replace the layer"
    )


def _weights8(model: bytes, folder: Path) -> bytes:
    """8-bit weights, float32 computation."""
    try:
        from ai_edge_quantizer import quantizer, recipe
    except ImportError as error:
        raise MissingExtraError("weights8 needs ai-edge-quantizer: pip install 'dltasks[train]'") from error
    path = folder / "float.tflite"
    path.write_bytes(model)
    work = quantizer.Quantizer(str(path))
    work.load_quantization_recipe(recipe.weight_only_wi8_afp32())
    return bytes(work.quantize().quantized_model)


def custom_operations(model: bytes) -> list[str]:
    """Names of the operations that are not LiteRT's own."""
    from ai_edge_litert import schema_py_generated as schema

    parsed = schema.ModelT.InitFromPackedBuf(model, 0)
    codes = [each for each in parsed.operatorCodes if each.customCode]
    return sorted({each.customCode.decode() for each in codes})


def parity(task: Task, network, model: bytes, inputs: Arrays, level: str) -> Parity:
    """Run the file on these inputs beside the network."""
    runtime = Runtime(model)
    expected, given = outputs_of(network, inputs), _in_batches(runtime.run, inputs)
    return compared(task, level, expected, given, len(model), _latency(runtime, inputs))


def compared(task: Task, level: str, expected: Arrays, given: Arrays, size: int, latency: float) -> Parity:
    """The Parity of two sets of outputs for the same inputs."""
    pairs = list(zip(task.decode(expected), task.decode(given), strict=True))
    return Parity(
        quantize=level,
        agreement=sum(task.agree(a, b) for a, b in pairs) / len(pairs),
        difference=max(float(np.abs(expected[n].astype(np.float64) - given[n]).max()) for n in expected),
        count=len(pairs),
        bytes=size,
        latency=latency,
    )


def outputs_of(network, inputs: Arrays) -> Arrays:
    """The network's outputs as numpy."""
    return _in_batches(network.predict_on_batch, inputs)


def _in_batches(run, inputs: Arrays, size: int = 32) -> Arrays:
    count = len(next(iter(inputs.values())))
    parts = [
        run({name: np.ascontiguousarray(values[at : at + size]) for name, values in inputs.items()})
        for at in range(0, count, size)
    ]
    return {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in parts[0]}


def _latency(runtime: Runtime, inputs: Arrays, rounds: int = 30) -> float:
    one = {name: values[:1] for name, values in inputs.items()}
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        runtime.run(one)
        times.append(1000 * (time.perf_counter() - began))
    return round(sorted(times)[rounds // 2], 3)


def require(parity: Parity, floor: float) -> None:
    """Raises ExportError, naming the next level to try, if the agreement is below the floor."""
    if parity.agreement >= floor:
        return
    better = LEVELS[: LEVELS.index(parity.quantize)] if parity.quantize in LEVELS else ()
    cure = f"try --quantize {better[-1]}" if better else "the file can't be trusted"
    raise ExportError(
        f"{parity.quantize}: agrees with the network on {parity.agreement:.1%} of {parity.count} examples, "
        f"below the floor of {floor:.1%}; nothing was written; {cure}"
    )


def saved_model_outputs(folder, inputs: Arrays) -> Arrays:
    """Outputs of a SavedModel's serving signature, loaded afresh."""
    import tensorflow as tf

    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    return _in_batches(
        lambda rows: serve(**{name: tf.constant(values) for name, values in rows.items()}), inputs
    )


def sample(inputs: Arrays, positions: Sequence[int], count: int, seed: int = 0) -> Arrays:
    """At most `count` rows of the inputs, drawn from these positions."""
    random = np.random.default_rng(seed)
    chosen = np.sort(random.permutation(np.asarray(positions))[:count])
    return {name: np.asarray(values[chosen]) for name, values in inputs.items()}
