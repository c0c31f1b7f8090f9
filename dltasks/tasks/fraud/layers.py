"""Keras layers of the networks on transactions."""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

MAX_PIECES = 6
"""Maximum number of pieces of a feature between two edges."""

VALUES_PER_FEATURE = 2 * MAX_PIECES
"""Encoded values of a feature: MAX_PIECES pieces, a step at each edge between them, and its logarithm."""

MIN_EDGE_ROWS = 16
"""Minimum number of training transactions on each side of an edge."""

STEP_WIDTH = 0.03
"""Width of a step, as a fraction of the narrower piece beside it."""

MAX_GAIN = 6.0
"""Maximum factor of a piece that few transactions reach."""

EPSILON = 1e-6
"""Distance of probabilities from 0 and 1 where logarithms are taken."""


@keras.saving.register_keras_serializable("dltasks.fraud")
class PiecewiseLinearEncoding(layers.Layer):
    """Features (batch, features) to (batch, features * VALUES_PER_FEATURE).

    Each feature is encoded by how far it reaches into each piece between two edges, 0 to 1 (Gorishniy,
    Rubachev and Babenko, 2022, On Embeddings for Numerical Features in Tabular Deep Learning); the edges are
    those of a small tree that predicts frauds by this feature alone. Narrow pieces at the edges let the
    network express "above 220". Pieces that few transactions reach are amplified, or a few epochs would not
    be enough to learn from them. The last value is sign(x) log(1 + |x|), standardized and clipped to 6.
    """

    def build(self, shape: Any) -> None:
        size = (shape[-1], VALUES_PER_FEATURE - 1)

        def constant(name: str, shape: tuple[int, ...], value: str) -> Any:
            return self.add_weight(shape=shape, initializer=value, trainable=False, name=name)

        self.starts = constant("starts", size, "zeros")
        self.scales = constant("scales", size, "zeros")
        self.gains = constant("gains", size, "ones")
        self.mean = constant("mean", (shape[-1],), "zeros")
        self.scale = constant("scale", (shape[-1],), "ones")

    def adapt(self, features: np.ndarray, is_fraud: np.ndarray) -> None:
        """Fit edges and scales to training features (count, features) and labels, bool (count,)."""
        size = (features.shape[1], VALUES_PER_FEATURE - 1)
        starts, scales, gains = (np.zeros(size, np.float32) for _ in range(3))
        for i, values in enumerate(features.T):
            begins, widths = pieces_between(_find_edges(values.astype(np.float64), is_fraud))
            reached = np.clip((values[:, None] - begins) / widths, 0, 1)
            starts[i, : len(begins)], scales[i, : len(begins)] = begins, 1 / widths
            gains[i, : len(begins)] = np.clip(0.5 / np.maximum(reached.std(axis=0), 1e-6), 1, MAX_GAIN)
        self.starts.assign(starts)
        self.scales.assign(scales)
        self.gains.assign(gains)
        _adapt_logs(self, features)

    def call(self, features: Any) -> Any:
        reached = ops.clip((features[..., None] - self.starts) * self.scales, 0.0, 1.0) * self.gains
        values = ops.concatenate([reached, _standardized_logs(self, features)[..., None]], -1)
        return ops.reshape(values, (-1, features.shape[-1] * VALUES_PER_FEATURE))

    def compute_output_shape(self, shape: Any) -> tuple[Any, ...]:
        return (shape[0], shape[-1] * VALUES_PER_FEATURE)


def _find_edges(values: np.ndarray, is_fraud: np.ndarray) -> np.ndarray:
    """Edges from the lowest to nearly the highest value.

    At most MAX_PIECES - 1 lie between, where the fraud rate changes most.
    """
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(
        max_leaf_nodes=MAX_PIECES, min_samples_leaf=MIN_EDGE_ROWS, criterion="entropy", random_state=0
    )
    tree = tree.fit(values[:, None], is_fraud).tree_
    inner = tree.threshold[tree.feature >= 0]
    edges = np.unique([values.min(), *inner, np.quantile(values, 0.999)])
    return edges if len(edges) > 1 else np.array([edges[0], edges[0] + 1.0])


def pieces_between(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Starts and widths of the pieces between the edges, then of a narrow one at each inner edge."""
    widths = np.diff(edges)
    steps = STEP_WIDTH * np.minimum(widths[:-1], widths[1:])
    return np.concatenate([edges[:-1], edges[1:-1] - steps / 2]), np.concatenate([widths, steps])


def _adapt_logs(layer: Any, features: np.ndarray) -> None:
    """Set `mean` and `scale` of a layer to those of the logarithms of training features (count, features)."""
    logs = np.sign(features) * np.log1p(np.abs(features))
    layer.mean.assign(logs.mean(axis=0))
    layer.scale.assign(1 / (logs.std(axis=0) + 1e-3))


def _standardized_logs(layer: Any, features: Any) -> Any:
    """sign(x) log(1 + |x|), standardized with `mean` and `scale` of a layer and clipped to 6."""
    logs = ops.sign(features) * ops.log(1.0 + ops.abs(features))
    return ops.clip((logs - layer.mean) * layer.scale, -6.0, 6.0)


@keras.saving.register_keras_serializable("dltasks.fraud")
class BatchEnsembleDense(layers.Layer):
    """A dense layer of an ensemble that shares its kernel.

    (batch, inputs) or (batch, ensemble, inputs) to (batch, ensemble, units). Each member has its own scales
    of inputs and outputs and its own bias (Wen, Tran and Ba, 2020, BatchEnsemble; Gorishniy, Kotelnikov and
    Babenko, 2024, TabM).
    """

    def __init__(self, ensemble_size: int, units: int, **options: Any):
        super().__init__(**options)
        self.ensemble_size, self.units = ensemble_size, units

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"ensemble_size": self.ensemble_size, "units": self.units}

    def build(self, shape: Any) -> None:
        inputs, is_first = shape[-1], len(shape) == 2
        size = (self.ensemble_size, self.units)
        self.kernel = self.add_weight(shape=(inputs, self.units), initializer="he_normal", name="kernel")
        # The members differ from the first layer on, and only by these random scales.
        scales = keras.initializers.RandomNormal(1.0, 0.5) if is_first else "ones"
        self.output_scale = self.add_weight(shape=size, initializer=scales, name="output_scale")
        biases = keras.initializers.RandomUniform(-0.1, 0.1)
        self.bias = self.add_weight(shape=size, initializer=biases, name="bias")
        self.input_scale = None
        if not is_first:
            self.input_scale = self.add_weight(
                shape=(self.ensemble_size, inputs), initializer="ones", name="input_scale"
            )

    def call(self, x: Any) -> Any:
        if self.input_scale is None:
            x = ops.matmul(x, self.kernel)[:, None]
        else:
            x = ops.matmul(x * self.input_scale, self.kernel)
        return x * self.output_scale + self.bias

    def compute_output_shape(self, shape: Any) -> tuple[Any, ...]:
        return (shape[0], self.ensemble_size, self.units)


@keras.saving.register_keras_serializable("dltasks.fraud")
class EnsembleLogits(layers.Layer):
    """(batch, ensemble, units) to a logit of each member, (batch, ensemble)."""

    def build(self, shape: Any) -> None:
        members, units = shape[1:]
        narrow = keras.initializers.RandomNormal(0.0, 0.5 * units**-0.5)
        self.kernel = self.add_weight(shape=(members, units), initializer=narrow, name="kernel")
        self.bias = self.add_weight(shape=(members,), initializer="zeros", name="bias")

    def call(self, x: Any) -> Any:
        return ops.sum(x * self.kernel, -1) + self.bias

    def compute_output_shape(self, shape: Any) -> tuple[Any, ...]:
        return tuple(shape[:2])


@keras.saving.register_keras_serializable("dltasks.fraud")
class CalibratedProbability(layers.Layer):
    """Logits (batch, ensemble), and trees' (batch, 1) if any, to a calibrated probability (batch, 1).

    The log-odds of the ensemble's mean probability and those of the trees are weighted (Wolpert, 1992,
    stacking) and shifted (Platt, 1999).
    """

    def build(self, shapes: Any) -> None:
        equal = keras.initializers.Constant(1 / len(shapes))
        self.slopes = self.add_weight(shape=(len(shapes),), initializer=equal, trainable=False, name="slopes")
        self.offset = self.add_weight(shape=(), initializer="zeros", trainable=False, name="offset")

    def call(self, parts: Any) -> Any:
        logits, *trees = parts
        mean = ops.clip(ops.mean(ops.sigmoid(logits), -1, keepdims=True), EPSILON, 1 - EPSILON)
        odds = self.slopes[0] * (ops.log(mean) - ops.log(1.0 - mean))
        for tree_odds in trees:
            odds = odds + self.slopes[1] * tree_odds
        return ops.sigmoid(odds + self.offset)

    def compute_output_shape(self, shapes: Any) -> tuple[Any, ...]:
        return (shapes[0][0], 1)


@keras.saving.register_keras_serializable("dltasks.fraud")
class CategoryEmbeddings(layers.Layer):
    """Category ids (batch, categories), 0 for unknown values, to concatenated embeddings (batch, values).

    vocabulary_sizes: known values of each category.
    """

    def __init__(self, vocabulary_sizes: list[int], **options: Any):
        super().__init__(**options)
        self.vocabulary_sizes = list(vocabulary_sizes)
        self.embeddings = [layers.Embedding(n + 1, min(8, 1 + n // 2)) for n in self.vocabulary_sizes]

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"vocabulary_sizes": self.vocabulary_sizes}

    def build(self, shape: Any) -> None:
        for embedding in self.embeddings:
            embedding.build((shape[0],))

    def call(self, category_ids: Any) -> Any:
        vectors = [embedding(category_ids[:, i]) for i, embedding in enumerate(self.embeddings)]
        return ops.concatenate(vectors, axis=-1)

    def compute_output_shape(self, shape: Any) -> tuple[Any, ...]:
        return (shape[0], sum(embedding.output_dim for embedding in self.embeddings))


@keras.saving.register_keras_serializable("dltasks.fraud")
class HistoryAttention(layers.Layer):
    """The card's last transactions (batch, steps, features), summarized for the newest: (batch, units).

    Scaled dot-product attention of the newest transaction over all (Vaswani et al., 2017); where the mask
    (batch, steps) is 0 there is no transaction, and it has no weight.
    """

    def __init__(self, units: int, **options: Any):
        super().__init__(**options)
        self.units = units
        self.encoding = PiecewiseLinearEncoding(name="encoding")
        self.key, self.query, self.value = (layers.Dense(units) for _ in range(3))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"units": self.units}

    def build(self, history_shape: Any, history_mask_shape: Any) -> None:
        _, steps, features = history_shape
        self.encoding.build((None, features))
        self.key.build((None, features * VALUES_PER_FEATURE))
        self.query.build((None, self.units))
        self.value.build((None, steps, self.units))
        self.position = self.add_weight(shape=(steps, self.units), initializer="zeros", name="position")

    def call(self, history: Any, history_mask: Any) -> Any:
        _, steps, features = history.shape
        keys = ops.relu(self.key(self.encoding(ops.reshape(history, (-1, features)))))
        keys = ops.reshape(keys, (-1, steps, self.units)) + self.position
        query = self.query(keys[:, -1])[:, None]
        weights = ops.sum(query * keys, axis=-1) * self.units**-0.5 - 1e4 * (1.0 - history_mask)
        weights = ops.softmax(weights, axis=-1)
        return ops.sum(weights[..., None] * self.value(keys), axis=1)

    def compute_output_shape(self, history_shape: Any, history_mask_shape: Any) -> tuple[Any, ...]:
        return (history_shape[0], self.units)


@keras.saving.register_keras_serializable("dltasks.fraud")
class LogStandardization(layers.Layer):
    """sign(x) log(1 + |x|) of features (batch, features), standardized and clipped to 6."""

    def build(self, shape: Any) -> None:
        self.mean = self.add_weight(shape=shape[-1:], initializer="zeros", trainable=False, name="mean")
        self.scale = self.add_weight(shape=shape[-1:], initializer="ones", trainable=False, name="scale")

    def adapt(self, features: np.ndarray) -> None:
        """Fit mean and scale to training features (count, features)."""
        _adapt_logs(self, features)

    def call(self, features: Any) -> Any:
        return _standardized_logs(self, features)

    def compute_output_shape(self, shape: Any) -> tuple[Any, ...]:
        return shape


@keras.saving.register_keras_serializable("dltasks.fraud")
class ReconstructionError(layers.Layer):
    """Mean squared difference of two (batch, features): (batch, 1)."""

    def call(self, pair: Any) -> Any:
        return ops.mean(ops.square(pair[0] - pair[1]), axis=-1, keepdims=True)

    def compute_output_shape(self, shapes: Any) -> tuple[Any, ...]:
        return (shapes[0][0], 1)
