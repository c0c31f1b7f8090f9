"""Convert a Keras network to a SavedModel or a .tflite."""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dltasks.config import QUANTIZATION_MODES
from dltasks.errors import ExportError, MissingExtraError
from dltasks.export import parity as parities
from dltasks.files import os_errors_as
from dltasks.frameworks import suppress_native_output
from dltasks.litert.runtime import Arrays, Run
from dltasks.protocols import Signature, default_signature, signatures_of
from dltasks.task import Task

CALIBRATION_SIZE = 200
"""Examples that int8 takes its ranges from."""


def to_tflite(network, level: str, calibration: Arrays, quantised: Sequence[str] = ()) -> bytes:
    """The network, or its signatures by name, as a .tflite with built-in operations only.

    calibration: named inputs (count, ...) that int8 takes its ranges from. quantised: LiteRT's names of the only
    operations that int8 and dynamic change; all, where none is named. Raises ExportError.
    """
    if level not in QUANTIZATION_MODES:
        raise ExportError(f"--quantize {level}: there are {', '.join(QUANTIZATION_MODES)}")
    signatures = network if isinstance(network, dict) else default_signature(network)
    if level == "int8" and len(signatures) > 1:
        raise ExportError(
            "int8: this network is asked step by step, so that it has no ranges to take; try dynamic, which is as small"
        )
    with (
        os_errors_as(ExportError, tempfile.gettempdir()),
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        suppress_native_output(),
    ):
        to_saved_model(signatures, folder)
        chosen = quantised if level in ("dynamic", "int8") else ()
        model = _convert(signatures, folder, "none" if chosen else level, calibration)
        if chosen or level == "weight-int8":
            model = _quantize(model, Path(folder), level, chosen, calibration)
    foreign = custom_operations(model)
    if foreign:
        raise ExportError(f"the file needs {', '.join(foreign)}, which LiteRT does not have built in")
    return model


def to_saved_model(signatures: dict[str, Signature], folder) -> None:
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


def _convert(signatures: dict[str, Signature], folder: str, level: str, calibration: Arrays) -> bytes:
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
        raise ExportError(_conversion_error(next(iter(signatures.values())).network, str(error))) from error


def _rows(inputs: Arrays):
    for i in range(len(next(iter(inputs.values())))):
        yield "serve", {name: values[i : i + 1] for name, values in inputs.items()}


def _conversion_error(network, text: str) -> str:
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


def _quantize(
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


def keras_runner(task: Task, network) -> Run:
    """Runs the network's signatures in Keras."""
    signatures = signatures_of(task, network)
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


def predict_in_batches(network, inputs: Arrays) -> Arrays:
    """The network's outputs as numpy."""
    return parities.run_in_batches(network.predict_on_batch, inputs)


def saved_model_runner(folder) -> Run:
    """Runs the signatures of a SavedModel, loaded afresh."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))

    def run(inputs: Arrays, signature: str = "serving_default") -> Arrays:
        found = loaded.signatures[signature](**{name: tf.constant(values) for name, values in inputs.items()})
        return {name: values.numpy() for name, values in found.items()}

    return run


def first_rows(inputs: Arrays) -> Arrays:
    """As many of the inputs as int8 takes its ranges from."""
    return {name: values[:CALIBRATION_SIZE] for name, values in inputs.items()}


def sample_rows(inputs: Arrays, positions: Sequence[int], count: int, seed: int = 0) -> Arrays:
    """At most `count` rows of the inputs, drawn from these positions."""
    random = np.random.default_rng(seed)
    chosen = np.sort(random.permutation(np.asarray(positions))[:count])
    return {name: np.asarray(values[chosen]) for name, values in inputs.items()}
