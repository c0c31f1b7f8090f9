"""Mixed precision: 8-bit weights in the largest layers of a .tflite whose other weights are float16."""

from typing import Any

import numpy as np

LARGE_LAYER = 0.05
"""Minimum fraction of all weights in a layer that gets 8-bit weights."""

PER_CHANNEL_VERSION = 5
"""Version of the operation DEQUANTIZE that takes a scale for each channel."""


def quantize_large_layers(model: bytes) -> bytes:
    """The .tflite with 8-bit weights in its largest convolutions and dense layers.

    Each output channel has a scale of its own, as in LiteRT's 8-bit quantization specification.

    Args:
        model: A .tflite with float16 weights, each behind a DEQUANTIZE, as the converter writes it.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    parsed = schema.ModelT.InitFromPackedBuf(model, 0)
    scales = {}
    for buffer, channels in _find_large_layers(parsed).items():
        weights = np.frombuffer(bytes(parsed.buffers[buffer].data), np.float16).astype(np.float32)
        rows = weights.reshape(channels, -1)
        scales[buffer] = np.maximum(np.abs(rows).max(axis=1), np.finfo(np.float32).tiny) / 127
        quantized = np.round(rows / scales[buffer][:, None]).astype(np.int8)
        parsed.buffers[buffer].data = quantized.reshape(-1).view(np.uint8)
    for subgraph in parsed.subgraphs:
        for tensor in subgraph.tensors:
            if tensor.buffer in scales:
                tensor.type = schema.TensorType.INT8
                tensor.quantization = schema.QuantizationParametersT()
                tensor.quantization.scale = scales[tensor.buffer]
                tensor.quantization.zeroPoint = np.zeros(len(scales[tensor.buffer]), np.int64)
    for code in parsed.operatorCodes:
        if scales and code.builtinCode == schema.BuiltinOperator.DEQUANTIZE:
            code.version = max(code.version, PER_CHANNEL_VERSION)
    builder = flatbuffers.Builder(len(model))
    builder.Finish(parsed.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _find_large_layers(parsed: Any) -> dict[int, int]:
    """Buffers of the weights of large layers, with their numbers of output channels."""
    from ai_edge_litert import schema_py_generated as schema

    operators = schema.BuiltinOperator
    channels: dict[int, int] = {}
    others: set[int] = set()
    for subgraph in parsed.subgraphs:
        sources = {}
        for operator in subgraph.operators:
            code = parsed.operatorCodes[operator.opcodeIndex].builtinCode
            if code == operators.DEQUANTIZE:
                sources[operator.outputs[0]] = subgraph.tensors[operator.inputs[0]]
                continue
            for position, index in enumerate(operator.inputs):
                if (tensor := sources.get(index)) is None:
                    continue
                if position == 1 and code in (operators.CONV_2D, operators.FULLY_CONNECTED):
                    channels[tensor.buffer] = int(tensor.shape[0])
                else:
                    others.add(tensor.buffer)
    sizes = {i: len(buffer.data) for i, buffer in enumerate(parsed.buffers) if buffer.data is not None}
    smallest = LARGE_LAYER * sum(sizes.values())
    return {
        buffer: count
        for buffer, count in channels.items()
        if buffer not in others and sizes.get(buffer, 0) >= smallest
    }
