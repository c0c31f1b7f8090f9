"""The Keras network for spoken commands: log-mel, then a residual network over time that never pads.

As nothing is padded, a second of a stream gets what the same second gets as a clip, and a step of the stream
needs only the few frames that each convolution looks back on.
"""

from collections.abc import Callable, Sequence
from functools import partial

import keras
import numpy as np
from keras import layers, ops

from dltasks.tasks.classification import compile_classifier
from dltasks.tasks.speech.optimizer import Muon
from dltasks.tasks.speech.spectrum import changes

FRAME, HOP, FFT = 480, 160, 512
"""Samples of a frame (30 ms), from one frame to the next (10 ms), and of its Fourier transform."""

STEP = 2 * HOP
"""Samples that a stream takes at a time (20 ms): the first convolution halves the frame rate."""

MELS, LOWEST, HIGHEST = 40, 20.0, 7600.0
"""Mel bands, and the hertz between which they lie."""

FLOOR = 1e-6
"""Added to the power of each band before its logarithm: about the noise of a 16-bit recording."""

WIDTH, STEM = 32, 6
"""Channels, and the frames that the first convolution looks at."""

DILATIONS = (1, 2, 3, 3)
"""Of each residual block, how many steps apart in time its convolutions look: together over 0.8 seconds."""


def mel_filters(rate: int) -> np.ndarray:
    """float32 (FFT // 2 + 1, MELS): triangles of height 1, their edges even in mels (O'Shaughnessy, 1987)."""
    mel = np.linspace(*(2595 * np.log10(1 + np.array([LOWEST, HIGHEST]) / 700)), MELS + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    hertz = np.arange(FFT // 2 + 1) * rate / FFT
    rising = (hertz[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - hertz[:, None]) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(rising, falling)).astype("float32")


def _without_zeros(filters: np.ndarray) -> tuple[slice, np.ndarray]:
    """The bins that these filters (bins, bands) look at, and the filters for these bins alone."""
    bins = np.flatnonzero(filters.any(axis=1))
    chosen = slice(int(bins[0]), int(bins[-1]) + 1)
    return chosen, filters[chosen]


@keras.saving.register_keras_serializable("dltasks")
class LogMel(layers.Layer):
    """Samples (batch, samples) from -1 to 1 to the natural logarithm of mel power (batch, frames, MELS).

    samples: a multiple of HOP, and known for a batch of any size, or not known for a batch of known size. Frames
    under a Hann window lie inside the samples: one second has 98.
    """

    def __init__(self, rate: int, **options):
        super().__init__(**options)
        self.rate = rate
        self.window = np.pad(np.hanning(FRAME + 1)[:-1], (0, FFT - FRAME)).astype("float32")
        # A quarter of the bands looks at few of the bins: four small tables are a quarter of the whole one.
        self.quarters = [_without_zeros(each) for each in np.split(mel_filters(rate), 4, axis=1)]

    def call(self, samples):
        # Where the length is known the shapes are said in numbers: the converted file computes none, and is smaller.
        count = None if samples.shape[1] is None else samples.shape[1] // HOP
        hops = ops.reshape(samples, (-1, count, HOP) if count else (samples.shape[0], -1, HOP))
        frames = ops.concatenate([hops[:, :-2], hops[:, 1:-1], hops[:, 2:]], axis=-1)
        frames = ops.pad(frames, ((0, 0), (0, 0), (0, FFT - FRAME)))
        # Squares of both parts convert to fewer and faster operations than an absolute value.
        real, imaginary = ops.rfft(frames * self.window)
        power = ops.square(real) + ops.square(imaginary)
        power = ops.reshape(power, (-1, FFT // 2 + 1))
        bands = ops.concatenate([power[:, bins] @ filters for bins, filters in self.quarters], axis=-1)
        shape = (-1, count - 2, MELS) if count else (samples.shape[0], -1, MELS)
        return ops.reshape(ops.log(bands + FLOOR), shape)

    def compute_output_shape(self, shape):
        return shape[0], None if shape[1] is None else shape[1] // HOP - 2, MELS

    def get_config(self):
        return super().get_config() | {"rate": self.rate}


Layer = Callable[[str, Callable], layers.Layer]
"""The layer of this name; the second argument makes it where there is none yet."""

Past = Callable[[object, int], object]
"""Frames (batch, time, ...) with so many earlier ones put before them. A clip holds its own past."""


def build(classes: int, samples: int, rate: int) -> keras.Model:
    """float32 "samples" (batch, samples) to float32 "probabilities" (batch, classes)."""
    heard = keras.Input((samples,), dtype="float32", name="samples")
    logits = _logits(heard, _new(rate, classes))
    probabilities = layers.Softmax(name="probabilities", dtype="float32")(logits)
    return keras.Model({"samples": heard}, {"probabilities": probabilities}, name="speech")


def shortest() -> int:
    """The fewest samples that a network can take."""
    return (2 * 4 * sum(DILATIONS) + STEM + 2) * HOP


def training_model(network: keras.Model, config, targets: np.ndarray) -> keras.Model:
    """The network up to its logits with changes of the log-mel in it, sharing its weights, compiled.

    targets: float32 (count, classes), for the frequencies that `balance` weighs by.
    """
    heard = keras.Input(network.inputs[0].shape[1:], dtype="float32", name="samples")
    model = keras.Model({"samples": heard}, {"probabilities": _logits(heard, _of(network), changes(config))})
    compile_classifier(model, Muon.of(config.peak_learning_rate(), config.weight_decay), config, targets)
    return model


def scanner(network: keras.Model, hop: int) -> keras.Model:
    """The same network over a long recording: samples (1, any) to probabilities (1, windows, classes).

    A window lies `hop` samples, a multiple of STEP, after the one before it; nothing is computed twice.
    """
    window = network.inputs[0].shape[1]
    heard = keras.Input((None,), batch_size=1, dtype="float32", name="samples")
    found, whole = _of(network), _frames(window)
    steps = _steps(found("log_mel", None)(heard), found, _whole)
    steps = layers.AveragePooling1D(whole, hop // STEP)(steps)
    return keras.Model(heard, layers.Softmax()(found("logits", None)(steps)))


def streaming(network: keras.Model, step: int) -> keras.Model:
    """One step of a stream: "samples" (1, step) and "state_..." to "probabilities" (1, classes) and the next state.

    step: samples, a multiple of STEP. The probabilities are those of the clip that ends there, once as many samples
    as a clip holds went in.
    """
    memory = _Memory()
    found = _of(network)
    heard = keras.Input((step,), batch_size=1, dtype="float32", name="samples")
    steps = _steps(found("log_mel", None)(memory(heard, FRAME - HOP)), found, memory)
    earlier = _frames(network.inputs[0].shape[1]) - steps.shape[1]
    steps = memory(steps, earlier) if earlier > 0 else steps[:, -earlier:]
    probabilities = layers.Softmax()(found("logits", None)(layers.GlobalAveragePooling1D()(steps)))
    inputs = {"samples": heard, **memory.given}
    return keras.Model(inputs, {"probabilities": probabilities, **memory.kept}, name="streaming")


class _Memory:
    """A Past that keeps what it puts before the next frames in inputs and outputs of the model."""

    def __init__(self):
        self.given, self.kept = {}, {}

    def __call__(self, frames, count: int):
        name = f"state_{len(self.given)}"
        state = keras.Input((count, *frames.shape[2:]), batch_size=1, dtype="float32", name=name)
        whole = ops.concatenate([state, frames], axis=1)
        self.given[name], self.kept[name] = state, whole[:, frames.shape[1] :]
        return whole


def _whole(frames, count: int):
    return frames


def _frames(samples: int) -> int:
    """Steps over which the network averages for a clip of so many samples."""
    return (samples // HOP - 2 - STEM) // 2 + 1 - 4 * sum(DILATIONS)


def _new(rate: int, classes: int) -> Layer:
    """Layers made as they are asked for, and kept."""
    made: dict[str, layers.Layer] = {}

    def layer(name, make):
        if name not in made:
            made[name] = make(name=name)
        return made[name]

    layer("log_mel", lambda name: LogMel(rate, name=name))
    layer("logits", lambda name: layers.Dense(classes, name=name))
    return layer


def _of(network: keras.Model) -> Layer:
    """The layers of a network."""
    return lambda name, make: network.get_layer(name)


def _logits(heard, layer: Layer, changes: Sequence[layers.Layer] = ()):
    """(batch, samples) to (batch, classes)"""
    bands = layer("log_mel", None)(heard)
    for change in changes:
        bands = change(bands)
    mean = layers.GlobalAveragePooling1D()(_steps(bands, layer, _whole))
    return layer("logits", None)(layer("dropout", partial(layers.Dropout, 0.1))(mean))


def _steps(log_mel, layer: Layer, past: Past):
    """(batch, frames, MELS) to (batch, steps, 2 * WIDTH): after the first convolution a step is STEP samples."""
    x = ops.expand_dims(past(log_mel, STEM - 2), -1)
    x = layers.ZeroPadding2D((0, 2))(_normalised(x, "log_mel", layer))
    x = layer("stem", partial(layers.Conv2D, WIDTH, (STEM, 5), 2, use_bias=False))(x)
    x = layers.AveragePooling2D((1, 2))(layers.ReLU()(_normalised(x, "stem", layer)))
    for block, dilation in enumerate(DILATIONS):
        x = _block(past(x, 4 * dilation), dilation, f"block_{block}", layer)
        if block == 1:
            x = layers.AveragePooling2D((1, 2))(x)
    x = layer("bands", partial(layers.DepthwiseConv2D, (1, x.shape[2]), use_bias=False))(x)
    x = layers.ReLU()(_normalised(x, "bands", layer))
    x = layer("last", partial(layers.Conv2D, 2 * WIDTH, 1, use_bias=False))(x)
    x = layers.ReLU()(_normalised(x, "last", layer))
    return ops.squeeze(x, 2)


def _block(x, dilation: int, name: str, layer: Layer):
    """Two convolutions beside the middle of what they look at (He et al., 2015)."""
    y = layers.ReLU()(_convolved(x, dilation, f"{name}_first", layer))
    y = _convolved(y, dilation, f"{name}_second", layer)
    return layers.ReLU()(layers.Add()([layers.Cropping2D((2 * dilation, 0))(x), y]))


def _convolved(x, dilation: int, name: str, layer: Layer):
    make = partial(layers.Conv2D, WIDTH, 3, dilation_rate=(dilation, 1), use_bias=False)
    return _normalised(layer(name, make)(layers.ZeroPadding2D((0, 1))(x)), name, layer)


def _normalised(x, name: str, layer: Layer):
    return layer(f"{name}_normalised", partial(layers.BatchNormalization, momentum=0.9, epsilon=1e-5))(x)
