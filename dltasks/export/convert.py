"""Convert a Keras network to a SavedModel or a .tflite."""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dltasks.config import QUANTIZATION_MODES
from dltasks.errors import ExportError, MissingExtraError
from dltasks.export.mixed import quantize_large_layers
from dltasks.export.runners import iter_rows
from dltasks.files import os_errors_as
from dltasks.frameworks import suppress_native_output
from dltasks.litert.runtime import Arrays
from dltasks.protocols import Signature, default_signature


def to_tflite(network: Any, quantize: str, calibration: Arrays, quantized_ops: Sequence[str] = ()) -> bytes:
    """Convert a network to a .tflite that needs only LiteRT's built-in operations.

    Args:
        network: a Keras model, or signatures by name.
        quantize: one of QUANTIZATION_MODES.
        calibration: named inputs (count, ...) that int8 takes the ranges of activations from.
        quantized_ops: LiteRT's names of the only operations that int8 and dynamic quantize; all by default.

    Raises ExportError, MissingExtraError.
    """
    if quantize not in QUANTIZATION_MODES:
        raise ExportError(f"--quantize {quantize}: expected one of {', '.join(QUANTIZATION_MODES)}")
    signatures = network if isinstance(network, dict) else default_signature(network)
    if quantize == "int8" and len(signatures) > 1:
        raise ExportError(
            "int8: this network runs step by step, so there are no ranges to calibrate; try dynamic, which "
            "is as small"
        )
    with (
        os_errors_as(ExportError, tempfile.gettempdir()),
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        suppress_native_output(),
    ):
        to_saved_model(signatures, folder)
        operations = quantized_ops if quantize in ("dynamic", "int8") else ()
        model = _convert(signatures, folder, "none" if operations else quantize, calibration)
        if operations or quantize == "weight-int8":
            model = _quantize(model, Path(folder), quantize, operations, calibration)
        if quantize == "mixed":
            model = quantize_large_layers(model)
    if unsupported := custom_operations(model):
        raise ExportError(f"the file needs {', '.join(unsupported)}, which LiteRT does not have built in")
    return model


def to_saved_model(signatures: dict[str, Signature], folder: str | Path) -> None:
    """Write a SavedModel with these signatures; the first is the default one.

    Raises ExportError.
    """
    import keras
    import tensorflow as tf

    archive = keras.export.ExportArchive()
    for network in {id(signature.network): signature.network for signature in signatures.values()}.values():
        archive.track(network)
    for name, signature in signatures.items():
        specs = {key: tf.TensorSpec(shape, dtype, key) for key, (shape, dtype) in signature.inputs.items()}
        archive.add_endpoint(name, signature.function, input_signature=[specs])
    try:
        archive.write_out(str(folder), verbose=False)
    except tf.errors.OpError as error:  # raised when the disk is full
        reason = re.sub(r"\{\{.*?\}\}|\[Op:\w+\]", "", error.message).rpartition(";")[2].strip()
        raise ExportError(f"{folder}: can't be written ({reason})") from error


def _convert(signatures: dict[str, Signature], folder: str, quantize: str, calibration: Arrays) -> bytes:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(signatures))
    operations = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if quantize in ("float16", "mixed", "dynamic", "int8"):
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize in ("float16", "mixed"):
        converter.target_spec.supported_types = [tf.float16]
    if quantize == "int8":
        operations.append(tf.lite.OpsSet.TFLITE_BUILTINS_INT8)
        converter.representative_dataset = lambda: (("serve", row) for row in iter_rows(calibration))
    converter.target_spec.supported_ops = operations
    try:
        return bytes(converter.convert())
    except Exception as error:  # the converter raises its own classes, ValueError and RuntimeError
        network = next(iter(signatures.values())).network
        raise ExportError(_conversion_error(network, str(error))) from error


def _conversion_error(network: Any, message: str) -> str:
    """The operations that could not be converted, and their layers."""
    operations = sorted(set(re.findall(r"'?\btf\.(\w+)'? op", message)))
    names = [layer.name for layer in network._flatten_layers(include_self=False)]
    layers = [name for name in names if re.search(rf"[/\"]{re.escape(name)}(_\d+)?/", message)]
    if not operations:
        lines = message.strip().splitlines() or ["no reason given"]
        return f"LiteRT's converter failed: {lines[0]}"
    return (
        f"layer {', '.join(dict.fromkeys(layers)) or 'unknown'} needs {', '.join(operations)}, which LiteRT "
        "does not have built in (Flex would be needed); replace the layer"
    )


def _quantize(
    model: bytes, folder: Path, quantize: str, operations: Sequence[str], calibration: Arrays
) -> bytes:
    """The .tflite with these operations quantized, or with 8-bit weights in all if none is named."""
    try:
        from ai_edge_quantizer import quantizer, recipe
    except ImportError as error:
        raise MissingExtraError(
            f"{quantize} needs ai-edge-quantizer: pip install 'dltasks[train]'"
        ) from error
    path = folder / "float.tflite"
    path.write_bytes(model)
    edge_quantizer = quantizer.Quantizer(str(path))
    if not operations:
        edge_quantizer.load_quantization_recipe(recipe.weight_only_wi8_afp32())
        return bytes(edge_quantizer.quantize().quantized_model)
    edge_quantizer.load_quantization_recipe(_recipe(quantize, operations))
    ranges = None
    if edge_quantizer.need_calibration:
        ranges = edge_quantizer.calibrate({"serve": list(iter_rows(calibration))})
    return bytes(edge_quantizer.quantize(ranges).quantized_model)


def _recipe(quantize: str, operations: Sequence[str]) -> Any:
    """The recipe of ai-edge-quantizer that quantizes only these operations."""
    from ai_edge_quantizer import qtyping, recipe_manager

    recipes = recipe_manager.RecipeManager()
    for name in operations:
        operation = qtyping.TFLOperationName(name)
        if quantize == "int8":
            recipes.add_static_config(
                regex=".*", operation_name=operation, activation_num_bits=8, weight_num_bits=8
            )
        else:
            recipes.add_dynamic_config(regex=".*", operation_name=operation, num_bits=8)
    return recipes.get_quantization_recipe()


def custom_operations(model: bytes) -> list[str]:
    """Names of the operations of a .tflite that LiteRT does not have built in."""
    from ai_edge_litert import schema_py_generated as schema

    parsed = schema.ModelT.InitFromPackedBuf(model, 0)
    return sorted({code.customCode.decode() for code in parsed.operatorCodes if code.customCode})
