"""From a Keras network to a SavedModel or a LiteRT file, and how far these answer as the network does."""

import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from dltasks import parity as parities
from dltasks.errors import ExportError, MissingExtraError
from dltasks.files import damage_as
from dltasks.parity import Held, Parity, Told
from dltasks.plan import LEVELS
from dltasks.quiet import quiet
from dltasks.runtime import Runtime
from dltasks.task import Arrays, Run, Signature, Task, served

CALIBRATION = 200
"""Examples that int8 takes its ranges from."""

ROUNDS = 3
"""Of measuring files against each other, as what else a machine does slows one of them down."""

STREAMED = 40
"""Examples whose steps int8 takes the ranges of a stream from."""


def litert(network, level: str, calibration: Arrays, quantised: Sequence[str] = ()) -> bytes:
    """The network, or its signatures by name, as a .tflite with built-in operations only.

    calibration: named inputs (count, ...) that int8 takes its ranges from. quantised: LiteRT's names of the only
    operations that int8 and dynamic change; all, where none is named. Raises ExportError.
    """
    if level not in LEVELS:
        raise ExportError(f"--quantize {level}: there are {', '.join(LEVELS)}")
    signatures = network if isinstance(network, dict) else served(network)
    if level == "int8" and len(signatures) > 1:
        raise ExportError(
            "int8: this network is asked step by step, so that it has no ranges to take; try dynamic, which is as small"
        )
    with (
        damage_as(ExportError, tempfile.gettempdir()),
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        quiet(),
    ):
        archive(signatures, folder)
        chosen = quantised if level in ("dynamic", "int8") else ()
        model = _converted(signatures, folder, "none" if chosen else level, calibration)
        if chosen or level == "weights8":
            model = _quantised(model, Path(folder), level, chosen, calibration)
    foreign = custom_operations(model)
    if foreign:
        raise ExportError(f"the file needs {', '.join(foreign)}, which LiteRT does not have built in")
    return model


def archive(signatures: dict[str, Signature], folder) -> None:
    """Write a SavedModel whose signatures have the names of their inputs and outputs; the first is served by default.

    Raises ExportError.
    """
    import keras
    import tensorflow as tf

    writer = keras.export.ExportArchive()
    for each in {id(s.network): s.network for s in signatures.values()}.values():
        writer.track(each)
    for name, each in signatures.items():
        specs = {key: tf.TensorSpec(shape, dtype, key) for key, (shape, dtype) in each.inputs.items()}
        writer.add_endpoint(name, each.function, input_signature=[specs])
    try:
        writer.write_out(str(folder), verbose=False)
    except tf.errors.OpError as error:  # TensorFlow says so of a full disk
        reason = re.sub(r"\{\{.*?\}\}|\[Op:\w+\]", "", error.message).rpartition(";")[2].strip()
        raise ExportError(f"{folder}: can't be written ({reason})") from error


def _converted(signatures: dict[str, Signature], folder: str, level: str, calibration: Arrays) -> bytes:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(signatures))
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
        raise ExportError(_refusal(next(iter(signatures.values())).network, str(error))) from error


def _rows(inputs: Arrays):
    for i in range(len(next(iter(inputs.values())))):
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


def _quantised(
    model: bytes, folder: Path, level: str, operations: Sequence[str], calibration: Arrays
) -> bytes:
    """8-bit weights of these operations (of all, where none is named), computed as the level says."""
    try:
        from ai_edge_quantizer import qtyping, quantizer, recipe, recipe_manager
    except ImportError as error:
        raise MissingExtraError(f"{level} needs ai-edge-quantizer: pip install 'dltasks[train]'") from error
    path = folder / "float.tflite"
    path.write_bytes(model)
    work = quantizer.Quantizer(str(path))
    if not operations:
        work.load_quantization_recipe(recipe.weight_only_wi8_afp32())
        return bytes(work.quantize().quantized_model)
    recipes = recipe_manager.RecipeManager()
    for name in operations:
        operation = qtyping.TFLOperationName(name)
        if level == "int8":
            recipes.add_static_config(
                regex=".*", operation_name=operation, activation_num_bits=8, weight_num_bits=8
            )
        else:
            recipes.add_dynamic_config(regex=".*", operation_name=operation, num_bits=8)
    work.load_quantization_recipe(recipes.get_quantization_recipe())
    ranges = None
    if work.need_calibration:
        ranges = work.calibrate({"serve": [rows for _, rows in _rows(calibration)]})
    return bytes(work.quantize(ranges).quantized_model)


def custom_operations(model: bytes) -> list[str]:
    """Names of the operations that are not LiteRT's own."""
    from ai_edge_litert import schema_py_generated as schema

    parsed = schema.ModelT.InitFromPackedBuf(model, 0)
    codes = [each for each in parsed.operatorCodes if each.customCode]
    return sorted({each.customCode.decode() for each in codes})


def parity(task: Task, network: Told, model: bytes, held: Held, level: str) -> Parity:
    """Run the file on held examples, and compare it with what its network said of them."""
    run = Runtime(model).run
    latency = latency_of(task, run, held)
    return parities.compared(task, level, network, parities.told(task, run, held), held, len(model), latency)


def latency_of(task: Task, run: Run, held: Held) -> float:
    """Median milliseconds of one held example."""
    return parities.latency(lambda one: task.outputs(one, run), held.inputs)


def latencies(task: Task, models: dict[str, bytes], held: Held) -> dict[str, float]:
    """Milliseconds of one held example by each of the files: the least median of ROUNDS, measured in turn."""
    runs = {name: Runtime(model).run for name, model in models.items()}
    rounds = [{name: latency_of(task, run, held) for name, run in runs.items()} for _ in range(ROUNDS)]
    return {name: min(each[name] for each in rounds) for name in runs}


def keras_run(task: Task, network) -> Run:
    """Runs the network's signatures in Keras."""
    signatures = task.signatures(network)
    import tensorflow as tf

    # Traced once, for inputs of any size that the signature takes.
    functions = {
        name: tf.function(
            each.function,
            input_signature=[
                {key: tf.TensorSpec(shape, dtype, name=key) for key, (shape, dtype) in each.inputs.items()}
            ],
        )
        for name, each in signatures.items()
    }
    only = next(iter(functions)) if len(functions) == 1 else None

    def run(inputs: Arrays, signature: str | None = only) -> Arrays:
        found = functions[signature]({name: tf.constant(values) for name, values in inputs.items()})
        return {name: values.numpy() for name, values in found.items()}

    return run


def streaming(
    task: Task, network, level: str, calibration: Arrays, held: Held, size: int | None = None
) -> tuple[bytes, Parity]:
    """One step of a stream as a .tflite, whose state goes in and comes out by the same names; and its parity.

    calibration: inputs that int8 takes its ranges from. size: of the piece that a step takes; the shortest by default.

    Compared are the outputs after the last piece of each held input, from a state of zeros on, with those of the
    network for the whole input. Raises ExportError.
    """
    step = task.streaming(network, size)
    ranges = _steps_of(step, list(_alone(calibration, STREAMED))) if level == "int8" else {}
    model = litert(step, level, ranges, task.quantised)
    runtime, taken = Runtime(model), []
    first, *others = _alone(held.inputs, len(held))
    # Only what one input's steps are given is kept: of all inputs it would be a gigabyte.
    last = [rolled(runtime.run, step, first, taken), *(rolled(runtime.run, step, row) for row in others)]
    given = {name: np.concatenate([each[name] for each in last]) for name in last[0]}
    latency = parities.latency(runtime.run, taken[-1])
    sides = [parities.decoded(task, each, held) for each in (outputs_of(network, held.inputs), given)]
    return model, parities.compared(task, level, *sides, held, len(model), latency)


def _alone(inputs: Arrays, most: int) -> Iterator[Arrays]:
    """The first inputs, each with a batch axis of its own."""
    count = len(next(iter(inputs.values())))
    return ({name: values[i : i + 1] for name, values in inputs.items()} for i in range(min(count, most)))


def _steps_of(step, rows: Sequence[Arrays]) -> Arrays:
    """What all steps of these inputs are given, one after the other."""
    run, seen = Runtime(litert(step, "none", {})).run, []
    for row in rows:
        rolled(run, step, row, seen)
    return {name: np.concatenate([each[name] for each in seen]) for name in seen[0]}


def rolled(run, step, inputs: Arrays, seen: list[Arrays] | None = None) -> Arrays:
    """The outputs after the last piece of `inputs` (1, length, ...); `seen` gets what each step was given."""
    shapes = {each.name: tuple(each.shape) for each in step.inputs}
    state = {name: np.zeros(shape, np.float32) for name, shape in shapes.items() if name not in inputs}
    pieces = {name: shapes[name][1] for name in inputs}
    # What does not fill its first piece comes after zeros.
    filled = {name: _led(values, -values.shape[1] % pieces[name]) for name, values in inputs.items()}
    for i in range(min(values.shape[1] // pieces[name] for name, values in filled.items())):
        given = {name: v[:, i * pieces[name] : (i + 1) * pieces[name]] for name, v in filled.items()} | state
        if seen is not None:
            seen.append(given)
        found = run(given)
        state = {name: found.pop(name) for name in state}
    return found


def _led(values: np.ndarray, count: int) -> np.ndarray:
    return np.pad(values, [(0, 0), (count, 0), *[(0, 0)] * (values.ndim - 2)])


def outputs_of(network, inputs: Arrays) -> Arrays:
    """The network's outputs as numpy."""
    return parities.in_batches(network.predict_on_batch, inputs)


def saved_model(folder) -> Run:
    """Runs the signatures of a SavedModel, loaded afresh."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))

    def run(inputs: Arrays, signature: str = "serving_default") -> Arrays:
        found = loaded.signatures[signature](**{name: tf.constant(values) for name, values in inputs.items()})
        return {name: values.numpy() for name, values in found.items()}

    return run


def first(inputs: Arrays) -> Arrays:
    """As many of the inputs as int8 takes its ranges from."""
    return {name: values[:CALIBRATION] for name, values in inputs.items()}


def sample(inputs: Arrays, positions: Sequence[int], count: int, seed: int = 0) -> Arrays:
    """At most `count` rows of the inputs, drawn from these positions."""
    random = np.random.default_rng(seed)
    chosen = np.sort(random.permutation(np.asarray(positions))[:count])
    return {name: np.asarray(values[chosen]) for name, values in inputs.items()}
