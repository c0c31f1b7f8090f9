"""The Keras network for spoken commands: log-mel, then a residual network over time without padding.

Without padding, a second of a stream gets what the same second gets as a clip, and a chunk of the stream
needs only the few earlier frames that each convolution covers.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from dltasks.tasks.classification import compile_classifier
from dltasks.tasks.speech.config import SpeechConfig
from dltasks.tasks.speech.optimizer import Muon
from dltasks.tasks.speech.spectrum import spectrum_augmentation

FRAME_LENGTH, HOP_LENGTH, FFT_LENGTH = 480, 160, 512
"""Samples of a frame (30 ms), from one frame to the next (10 ms), and of the Fourier transform."""

STEP_LENGTH = 2 * HOP_LENGTH
"""Samples of a step (20 ms), the smallest chunk of a stream: the first convolution halves the frame rate."""

MEL_BANDS, MIN_HERTZ, MAX_HERTZ = 40, 20.0, 7600.0
"""Number of mel bands, and the frequencies between which they lie."""

POWER_FLOOR = 1e-6
"""Constant added to the power of each band before the logarithm: about the noise of a 16-bit recording."""

CHANNELS, STEM_FRAMES = 32, 6
"""Number of channels, and of the frames that the first convolution covers."""

DILATIONS = (1, 2, 3, 3)
"""Dilation over time of each residual block, in steps; together they cover 0.8 seconds."""

CHUNKED_BANDS = 4
"""Number of filter tables: a few mel bands cover few frequency bins, so that four small tables take a
quarter of one large table."""


def mel_filters(sample_rate: int) -> np.ndarray:
    """float32 (FFT_LENGTH // 2 + 1, MEL_BANDS): triangles of height 1, evenly spaced in mels
    (O'Shaughnessy, 1987)."""
    lowest, highest = 2595 * np.log10(1 + np.array([MIN_HERTZ, MAX_HERTZ]) / 700)
    mels = np.linspace(lowest, highest, MEL_BANDS + 2)
    edges = 700 * (10 ** (mels / 2595) - 1)
    hertz = np.arange(FFT_LENGTH // 2 + 1) * sample_rate / FFT_LENGTH
    rising = (hertz[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - hertz[:, None]) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(rising, falling)).astype("float32")


def _trim_zeros(filters: np.ndarray) -> tuple[slice, np.ndarray]:
    """The bins that filters (bins, bands) cover, and the filters for these bins alone."""
    bins = np.flatnonzero(filters.any(axis=1))
    covered = slice(int(bins[0]), int(bins[-1]) + 1)
    return covered, filters[covered]


@keras.saving.register_keras_serializable("dltasks")
class LogMel(layers.Layer):
    """Samples (batch, samples) from -1 to 1 to the natural logarithm of mel power (batch, frames, MEL_BANDS).

    The number of samples is a multiple of HOP_LENGTH. Either it or the batch size must be static. Frames
    under a Hann window lie inside the samples: one second has 98.
    """

    def __init__(self, sample_rate: int, **options: Any):
        super().__init__(**options)
        self.sample_rate = sample_rate
        window = np.hanning(FRAME_LENGTH + 1)[:-1]
        self.window = np.pad(window, (0, FFT_LENGTH - FRAME_LENGTH)).astype("float32")
        tables = np.split(mel_filters(sample_rate), CHUNKED_BANDS, axis=1)
        self.filters = [_trim_zeros(table) for table in tables]

    def call(self, samples: Any) -> Any:
        # With a static length all shapes are constants: the converted file computes none, and is smaller.
        count = None if samples.shape[1] is None else samples.shape[1] // HOP_LENGTH
        shape = (-1, count, HOP_LENGTH) if count else (samples.shape[0], -1, HOP_LENGTH)
        hops = ops.reshape(samples, shape)
        frames = ops.concatenate([hops[:, :-2], hops[:, 1:-1], hops[:, 2:]], axis=-1)
        frames = ops.pad(frames, ((0, 0), (0, 0), (0, FFT_LENGTH - FRAME_LENGTH)))
        # Squares of both parts convert to fewer and faster operations than an absolute value.
        real, imaginary = ops.rfft(frames * self.window)
        power = ops.square(real) + ops.square(imaginary)
        power = ops.reshape(power, (-1, FFT_LENGTH // 2 + 1))
        bands = ops.concatenate([power[:, bins] @ filters for bins, filters in self.filters], axis=-1)
        shape = (-1, count - 2, MEL_BANDS) if count else (samples.shape[0], -1, MEL_BANDS)
        return ops.reshape(ops.log(bands + POWER_FLOOR), shape)

    def compute_output_shape(self, shape: Any) -> tuple[int | None, ...]:
        return shape[0], None if shape[1] is None else shape[1] // HOP_LENGTH - 2, MEL_BANDS

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"sample_rate": self.sample_rate}


LayerSource = Callable[..., Any]
"""From a name to the layer; an optional second argument creates a layer that does not exist yet."""

Context = Callable[[Any, int], Any]
"""Frames (batch, time, ...) preceded by this many earlier ones. A clip contains its own context."""


def build(classes: int, length: int, sample_rate: int) -> keras.Model:
    """float32 "samples" (batch, length) to float32 "probabilities" (batch, classes)."""
    samples = keras.Input((length,), dtype="float32", name="samples")
    logits = _logits(samples, _create_layers(sample_rate, classes))
    probabilities = layers.Softmax(name="probabilities", dtype="float32")(logits)
    return keras.Model({"samples": samples}, {"probabilities": probabilities}, name="speech")


def min_samples() -> int:
    """Minimum number of samples that the network can take."""
    return (2 * 4 * sum(DILATIONS) + STEM_FRAMES + 2) * HOP_LENGTH


def training_model(network: keras.Model, config: SpeechConfig, targets: np.ndarray) -> keras.Model:
    """The compiled network up to its logits, with augmentation of the log-mel, sharing its weights.

    targets: float32 (count, classes), for the class weights of `balance`.
    """
    samples = keras.Input(network.inputs[0].shape[1:], dtype="float32", name="samples")
    logits = _logits(samples, _layers_of(network), spectrum_augmentation(config))
    model = keras.Model({"samples": samples}, {"probabilities": logits})
    optimizer = Muon.create(config.peak_learning_rate(), config.weight_decay)
    compile_classifier(model, optimizer, config, targets)
    return model


def scanning_network(network: keras.Model, hop: int) -> keras.Model:
    """The same network over a long recording: samples (1, any) to probabilities (1, windows, classes).

    hop: samples from one window to the next, a multiple of STEP_LENGTH; nothing is computed twice.
    """
    layer, window_steps = _layers_of(network), _count_steps(network.inputs[0].shape[1])
    samples = keras.Input((None,), batch_size=1, dtype="float32", name="samples")
    steps = _steps(layer("log_mel")(samples), layer, _no_context)
    steps = layers.AveragePooling1D(window_steps, hop // STEP_LENGTH)(steps)
    return keras.Model(samples, layers.Softmax()(layer("logits")(steps)))


def streaming_network(network: keras.Model, chunk_size: int) -> keras.Model:
    """One chunk of a stream: "samples" (1, chunk_size) and "state_..." to "probabilities" and the next state.

    chunk_size: a multiple of STEP_LENGTH. The probabilities (1, classes) are those of the clip that ends
    with the chunk, once the stream is as long as a clip.
    """
    state, layer = _StreamState(), _layers_of(network)
    samples = keras.Input((chunk_size,), batch_size=1, dtype="float32", name="samples")
    steps = _steps(layer("log_mel")(state(samples, FRAME_LENGTH - HOP_LENGTH)), layer, state)
    earlier = _count_steps(network.inputs[0].shape[1]) - steps.shape[1]
    steps = state(steps, earlier) if earlier > 0 else steps[:, -earlier:]
    probabilities = layers.Softmax()(layer("logits")(layers.GlobalAveragePooling1D()(steps)))
    inputs = {"samples": samples, **state.inputs}
    return keras.Model(inputs, {"probabilities": probabilities, **state.outputs}, name="streaming")


class _StreamState:
    """A Context that carries the earlier frames in inputs and outputs of the model."""

    def __init__(self) -> None:
        self.inputs: dict[str, Any] = {}
        self.outputs: dict[str, Any] = {}

    def __call__(self, frames: Any, count: int) -> Any:
        name = f"state_{len(self.inputs)}"
        state = keras.Input((count, *frames.shape[2:]), batch_size=1, dtype="float32", name=name)
        extended = ops.concatenate([state, frames], axis=1)
        self.inputs[name], self.outputs[name] = state, extended[:, frames.shape[1] :]
        return extended


def _no_context(frames: Any, count: int) -> Any:
    return frames


def _count_steps(samples: int) -> int:
    """Number of steps over which the network averages for a clip of this length."""
    return (samples // HOP_LENGTH - 2 - STEM_FRAMES) // 2 + 1 - 4 * sum(DILATIONS)


def _create_layers(sample_rate: int, classes: int) -> LayerSource:
    """New layers, each created at its first use."""
    created: dict[str, layers.Layer] = {"log_mel": LogMel(sample_rate, name="log_mel")}
    created["logits"] = layers.Dense(classes, name="logits")

    def layer(name: str, create: Callable[..., layers.Layer] | None = None) -> layers.Layer:
        if create is not None and name not in created:
            created[name] = create(name=name)
        return created[name]

    return layer


def _layers_of(network: keras.Model) -> LayerSource:
    """The layers of an existing network."""
    return lambda name, create=None: network.get_layer(name)


def _logits(samples: Any, layer: LayerSource, augmentation: Sequence[layers.Layer] = ()) -> Any:
    """(batch, samples) to (batch, classes)"""
    log_mel = layer("log_mel")(samples)
    for augment in augmentation:
        log_mel = augment(log_mel)
    mean = layers.GlobalAveragePooling1D()(_steps(log_mel, layer, _no_context))
    return layer("logits")(layer("dropout", partial(layers.Dropout, 0.1))(mean))


def _steps(log_mel: Any, layer: LayerSource, context: Context) -> Any:
    """(batch, frames, MEL_BANDS) to (batch, steps, 2 * CHANNELS): after the first convolution a step is
    STEP_LENGTH samples."""
    x = ops.expand_dims(context(log_mel, STEM_FRAMES - 2), -1)
    x = layers.ZeroPadding2D((0, 2))(_normalize(x, "log_mel", layer))
    x = layer("stem", partial(layers.Conv2D, CHANNELS, (STEM_FRAMES, 5), 2, use_bias=False))(x)
    x = layers.AveragePooling2D((1, 2))(layers.ReLU()(_normalize(x, "stem", layer)))
    for block, dilation in enumerate(DILATIONS):
        x = _residual_block(context(x, 4 * dilation), dilation, f"block_{block}", layer)
        if block == 1:
            x = layers.AveragePooling2D((1, 2))(x)
    x = layer("bands", partial(layers.DepthwiseConv2D, (1, x.shape[2]), use_bias=False))(x)
    x = layers.ReLU()(_normalize(x, "bands", layer))
    x = layer("last", partial(layers.Conv2D, 2 * CHANNELS, 1, use_bias=False))(x)
    x = layers.ReLU()(_normalize(x, "last", layer))
    return ops.squeeze(x, 2)


def _residual_block(x: Any, dilation: int, name: str, layer: LayerSource) -> Any:
    """Two convolutions with a shortcut from the middle of the frames that they cover (He et al., 2015)."""
    y = layers.ReLU()(_convolve(x, dilation, f"{name}_first", layer))
    y = _convolve(y, dilation, f"{name}_second", layer)
    return layers.ReLU()(layers.Add()([layers.Cropping2D((2 * dilation, 0))(x), y]))


def _convolve(x: Any, dilation: int, name: str, layer: LayerSource) -> Any:
    create = partial(layers.Conv2D, CHANNELS, 3, dilation_rate=(dilation, 1), use_bias=False)
    return _normalize(layer(name, create)(layers.ZeroPadding2D((0, 1))(x)), name, layer)


def _normalize(x: Any, name: str, layer: LayerSource) -> Any:
    create = partial(layers.BatchNormalization, momentum=0.9, epsilon=1e-5)
    return layer(f"{name}_normalized", create)(x)
