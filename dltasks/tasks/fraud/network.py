"""The networks: numbers of a transaction, encoded piecewise linearly, through an ensemble that shares its weights, and
through trees."""

import keras
import numpy as np
from keras import layers, ops

from dltasks.tasks.fraud.trees import Trees

LEAVES = 6
"""Pieces of a number between two edges."""

VALUES = 2 * LEAVES
"""Values that tell of a number: LEAVES pieces, a step at each edge between them, and its logarithm."""

FEWEST = 16
"""Training transactions on each side of an edge."""

STEP = 0.03
"""Width of a step, as a share of the narrower piece beside it."""

LOUDEST = 6.0
"""What a piece that few transactions reach is multiplied by at most."""

SMALLEST = 1e-6

SHARES = (0.2, 0.8)
"""What the members' log-odds and the trees' weigh in the answer, unless the validation part says otherwise."""


@keras.saving.register_keras_serializable("dltasks.fraud")
class Pieces(layers.Layer):
    """Numbers (batch, features) to (batch, features * VALUES): piecewise-linear encoding, and a standardised logarithm.

    Each number is told by how far it reaches into each piece between two edges, 0 to 1 (Gorishniy, Rubachev and Babenko,
    2022, On Embeddings for Numerical Features in Tabular Deep Learning); the edges are those of a small tree that
    tells frauds by this number alone. Narrow pieces at the edges let the network say "above 220". What few
    transactions reach is made louder, or it would not be heard in a few epochs. The last value is sign(x) log(1 + |x|),
    standardised and held within 6.
    """

    def build(self, shape):
        size = (shape[-1], VALUES - 1)

        def constant(name, shape, value):
            return self.add_weight(shape=shape, initializer=value, trainable=False, name=name)

        self.starts = constant("starts", size, "zeros")
        self.scales = constant("scales", size, "zeros")
        self.volumes = constant("volumes", size, "ones")
        self.mean = constant("mean", (shape[-1],), "zeros")
        self.scale = constant("scale", (shape[-1],), "ones")

    def adapt(self, numbers: np.ndarray, fraud: np.ndarray) -> None:
        """Take edges and scales from the training part: (count, features) and bool (count,)."""
        starts, scales, volumes = (np.zeros((numbers.shape[1], VALUES - 1), np.float32) for _ in range(3))
        for i, values in enumerate(numbers.T):
            begins, widths = pieces(_edges(values.astype(np.float64), fraud))
            reached = np.clip((values[:, None] - begins) / widths, 0, 1)
            starts[i, : len(begins)], scales[i, : len(begins)] = begins, 1 / widths
            volumes[i, : len(begins)] = np.clip(0.5 / np.maximum(reached.std(axis=0), 1e-6), 1, LOUDEST)
        logs = np.sign(numbers) * np.log1p(np.abs(numbers))
        for weights, found in ((self.starts, starts), (self.scales, scales), (self.volumes, volumes)):
            weights.assign(found)
        self.mean.assign(logs.mean(axis=0))
        self.scale.assign(1 / (logs.std(axis=0) + 1e-3))

    def call(self, numbers):
        reached = ops.clip((numbers[..., None] - self.starts) * self.scales, 0.0, 1.0) * self.volumes
        logs = ops.sign(numbers) * ops.log(1.0 + ops.abs(numbers))
        logs = ops.clip((logs - self.mean) * self.scale, -6.0, 6.0)
        values = ops.concatenate([reached, logs[..., None]], -1)
        return ops.reshape(values, (-1, numbers.shape[-1] * VALUES))

    def compute_output_shape(self, shape):
        return (shape[0], shape[-1] * VALUES)


def _edges(values: np.ndarray, fraud: np.ndarray) -> np.ndarray:
    """From the least value to nearly the highest, with at most LEAVES - 1 between where the share of frauds changes most."""
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(
        max_leaf_nodes=LEAVES, min_samples_leaf=FEWEST, criterion="entropy", random_state=0
    )
    tree = tree.fit(values[:, None], fraud).tree_
    inner = tree.threshold[tree.feature >= 0]
    edges = np.unique([values.min(), *inner, np.quantile(values, 0.999)])
    return edges if len(edges) > 1 else np.array([edges[0], edges[0] + 1.0])


def pieces(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each piece begins and how wide it is: those between the edges, then a narrow one at each inner edge."""
    widths = np.diff(edges)
    narrow = STEP * np.minimum(widths[:-1], widths[1:])
    return np.concatenate([edges[:-1], edges[1:-1] - narrow / 2]), np.concatenate([widths, narrow])


@keras.saving.register_keras_serializable("dltasks.fraud")
class Members(layers.Layer):
    """A dense layer of many members that share its kernel: (batch, inputs) or (batch, members, inputs) to (batch,
    members, units).

    Each member scales inputs and outputs its own way and adds its own bias (Wen, Tran and Ba, 2020, BatchEnsemble; Gorishniy,
    Kotelnikov and Babenko, 2024, TabM).
    """

    def __init__(self, members: int, units: int, **options):
        super().__init__(**options)
        self.ensemble_size, self.units = members, units

    def get_config(self):
        return super().get_config() | {"members": self.ensemble_size, "units": self.units}

    def build(self, shape):
        inputs, first = shape[-1], len(shape) == 2
        self.kernel = self.add_weight(shape=(inputs, self.units), initializer="he_normal", name="kernel")
        # The members differ from the first layer on, and by nothing else than this.
        spread = keras.initializers.RandomNormal(1.0, 0.5) if first else "ones"
        self.outward = self.add_weight(
            shape=(self.ensemble_size, self.units), initializer=spread, name="outward"
        )
        self.bias = self.add_weight(
            shape=(self.ensemble_size, self.units),
            initializer=keras.initializers.RandomUniform(-0.1, 0.1),
            name="bias",
        )
        self.inward = None
        if not first:
            self.inward = self.add_weight(
                shape=(self.ensemble_size, inputs), initializer="ones", name="inward"
            )

    def call(self, x):
        x = (
            ops.matmul(x, self.kernel)[:, None]
            if self.inward is None
            else ops.matmul(x * self.inward, self.kernel)
        )
        return x * self.outward + self.bias

    def compute_output_shape(self, shape):
        return (shape[0], self.ensemble_size, self.units)


@keras.saving.register_keras_serializable("dltasks.fraud")
class Logits(layers.Layer):
    """(batch, members, units) to a logit of each member, (batch, members)."""

    def build(self, shape):
        members, units = shape[1:]
        narrow = keras.initializers.RandomNormal(0.0, 0.5 * units**-0.5)
        self.kernel = self.add_weight(shape=(members, units), initializer=narrow, name="kernel")
        self.bias = self.add_weight(shape=(members,), initializer="zeros", name="bias")

    def call(self, x):
        return ops.sum(x * self.kernel, -1) + self.bias

    def compute_output_shape(self, shape):
        return shape[:2]


@keras.saving.register_keras_serializable("dltasks.fraud")
class Calibration(layers.Layer):
    """Logits of members (batch, members), and the trees' (batch, 1) where there are any, to one calibrated probability
    (batch, 1).

    The log-odds of the members' mean probability and those of the trees, weighed (Wolpert, 1992, stacking) and moved
    (Platt, 1999).
    """

    def build(self, shapes):
        even = keras.initializers.Constant(1 / len(shapes))
        self.slopes = self.add_weight(shape=(len(shapes),), initializer=even, trainable=False, name="slopes")
        self.offset = self.add_weight(shape=(), initializer="zeros", trainable=False, name="offset")

    def call(self, parts):
        logits, *trees = parts
        mean = ops.clip(ops.mean(ops.sigmoid(logits), -1, keepdims=True), SMALLEST, 1 - SMALLEST)
        odds = self.slopes[0] * (ops.log(mean) - ops.log(1.0 - mean))
        for each in trees:
            odds = odds + self.slopes[1] * each
        return ops.sigmoid(odds + self.offset)

    def compute_output_shape(self, shapes):
        return (shapes[0][0], 1)


def classifier(features: int, categories: list[int], steps: int, config) -> keras.Model:
    """numbers (batch, features) and codes (batch, categories) where there are any, and of a sequence past (batch, steps,
    features) and there (batch, steps), to probability (batch, 1).

    categories: words in the vocabulary of each.
    """
    inputs = _inputs(features, categories, steps)
    x = _encoded(inputs, categories)
    if steps:
        lately = Lately(config.width, name="lately")(inputs["past"], inputs["there"])
        x = layers.Concatenate(name="joined")([x, lately])
    for depth in (1, 2):
        hidden = Members(config.ensemble_size, config.width, name=f"members_{depth}")(x)
        hidden = layers.Activation("relu", name=f"relu_{depth}")(hidden)
        x = hidden if depth == 1 else layers.Add(name="residual")([x, hidden])
    parts = [Logits(name="logits")(x)]
    if config.trees and features:
        parts.append(Trees(config.trees, name="trees")(inputs["numbers"]))
    return keras.Model(inputs, {"probability": Calibration(name="probability")(parts)}, name="classifier")


def _inputs(features: int, categories: list[int], steps: int) -> dict:
    inputs = {}
    if features:
        inputs["numbers"] = keras.Input((features,), name="numbers")
    if categories:
        inputs["codes"] = keras.Input((len(categories),), dtype="int32", name="codes")
    if steps:
        inputs["past"] = keras.Input((steps, features), name="past")
        inputs["there"] = keras.Input((steps,), name="there")
    return inputs


def _encoded(inputs: dict, categories: list[int]):
    """(batch, values) of all that is known of the transaction itself."""
    parts = []
    if "numbers" in inputs:
        parts.append(Pieces(name="pieces")(inputs["numbers"]))
    if categories:
        parts.append(Categories(categories, name="categories")(inputs["codes"]))
    return layers.Concatenate(name="told")(parts) if len(parts) > 1 else parts[0]


@keras.saving.register_keras_serializable("dltasks.fraud")
class Categories(layers.Layer):
    """Codes (batch, categories), 0 for what is not known, to learned vectors, one after the other: (batch, values).

    words: known values of each category.
    """

    def __init__(self, words: list[int], **options):
        super().__init__(**options)
        self.words = list(words)
        self.tables = [layers.Embedding(each + 1, min(8, 1 + each // 2)) for each in self.words]

    def get_config(self):
        return super().get_config() | {"words": self.words}

    def build(self, shape):
        for each in self.tables:
            each.build((shape[0],))

    def call(self, codes):
        return ops.concatenate([table(codes[:, i]) for i, table in enumerate(self.tables)], axis=-1)

    def compute_output_shape(self, shape):
        return (shape[0], sum(each.output_dim for each in self.tables))


@keras.saving.register_keras_serializable("dltasks.fraud")
class Lately(layers.Layer):
    """The card's last transactions past (batch, steps, features), weighed by how much each matters for the last: (batch,
    units).

    Scaled dot-product attention of the last transaction over all (Vaswani et al., 2017); where there (batch, steps) is 0
    no transaction was, and it has no weight.
    """

    def __init__(self, units: int, **options):
        super().__init__(**options)
        self.units = units
        self.pieces = Pieces(name="pieces")
        self.told, self.asked, self.value = (layers.Dense(units) for _ in range(3))

    def get_config(self):
        return super().get_config() | {"units": self.units}

    def build(self, past_shape, there_shape):
        _, steps, features = past_shape
        self.pieces.build((None, features))
        self.told.build((None, features * VALUES))
        self.asked.build((None, self.units))
        self.value.build((None, steps, self.units))
        self.place = self.add_weight(shape=(steps, self.units), initializer="zeros", name="place")

    def call(self, past, there):
        _, steps, features = past.shape
        told = ops.relu(self.told(self.pieces(ops.reshape(past, (-1, features)))))
        told = ops.reshape(told, (-1, steps, self.units)) + self.place
        asked = self.asked(told[:, -1])[:, None]
        weights = ops.sum(asked * told, axis=-1) * self.units**-0.5 - 1e4 * (1.0 - there)
        weights = ops.softmax(weights, axis=-1)
        return ops.sum(weights[..., None] * self.value(told), axis=1)

    def compute_output_shape(self, past_shape, there_shape):
        return (past_shape[0], self.units)


def autoencoder(features: int, categories: list[int], config) -> keras.Model:
    """numbers (batch, features) to error (batch, 1): how badly the transaction is rebuilt from few values.

    The mean squared difference of the standardised numbers; they are told with noise and through plan.width / 8 values
    (Vincent et al., 2008, denoising autoencoders). Categories are told, and not rebuilt.
    """
    inputs = _inputs(features, categories, 0)
    wanted = Standardised(name="standardised")(inputs["numbers"])
    x = layers.GaussianNoise(0.1, name="noise")(wanted)
    if categories:
        x = layers.Concatenate(name="told")([x, Categories(categories, name="categories")(inputs["codes"])])
    for i, units in enumerate((config.width, max(2, config.width // 8), config.width)):
        x = layers.Dense(units, activation="relu", name=f"dense_{i}")(x)
    rebuilt = layers.Dense(features, name="rebuilt")(x)
    error = Distance(name="error")([wanted, rebuilt])
    return keras.Model(inputs, {"error": error}, name="autoencoder")


@keras.saving.register_keras_serializable("dltasks.fraud")
class Standardised(layers.Layer):
    """sign(x) log(1 + |x|) of numbers (batch, features), standardised and held within 6."""

    def build(self, shape):
        self.mean = self.add_weight(shape=shape[-1:], initializer="zeros", trainable=False, name="mean")
        self.scale = self.add_weight(shape=shape[-1:], initializer="ones", trainable=False, name="scale")

    def adapt(self, numbers: np.ndarray) -> None:
        """Take mean and scale from the training part, (count, features)."""
        logs = np.sign(numbers) * np.log1p(np.abs(numbers))
        self.mean.assign(logs.mean(axis=0))
        self.scale.assign(1 / (logs.std(axis=0) + 1e-3))

    def call(self, numbers):
        logs = ops.sign(numbers) * ops.log(1.0 + ops.abs(numbers))
        return ops.clip((logs - self.mean) * self.scale, -6.0, 6.0)

    def compute_output_shape(self, shape):
        return shape


@keras.saving.register_keras_serializable("dltasks.fraud")
class Distance(layers.Layer):
    """Mean squared difference of two (batch, features): (batch, 1)."""

    def call(self, pair):
        return ops.mean(ops.square(pair[0] - pair[1]), axis=-1, keepdims=True)

    def compute_output_shape(self, shapes):
        return (shapes[0][0], 1)


def adapt(network: keras.Model, inputs: dict[str, np.ndarray], targets: dict[str, np.ndarray]) -> None:
    """Take edges, scales and the share of frauds from the training part."""
    for layer in network.layers:
        if isinstance(layer, Standardised):
            layer.adapt(inputs["numbers"])
        if isinstance(layer, Pieces | Lately):
            encoding = layer if isinstance(layer, Pieces) else layer.pieces
            encoding.adapt(inputs["numbers"], targets["probability"][:, 0] > 0.5)
        if isinstance(layer, Logits):
            share = float(np.clip(targets["probability"].mean(), 1e-4, 1 - 1e-4))
            layer.bias.assign(np.full(layer.bias.shape, np.log(share / (1 - share)), np.float32))


@keras.saving.register_keras_serializable("dltasks.fraud")
class Likelihood(keras.metrics.Mean):
    """Mean natural log-likelihood of the members' mean probability; more is better."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        mean = ops.clip(ops.mean(ops.sigmoid(y_pred), -1, keepdims=True), SMALLEST, 1 - SMALLEST)
        return super().update_state(y_true * ops.log(mean) + (1 - y_true) * ops.log(1 - mean), sample_weight)


@keras.saving.register_keras_serializable("dltasks.fraud")
class Closeness(keras.metrics.Mean):
    """The mean reconstruction error, negative: more is better."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        return super().update_state(-y_pred, sample_weight)


def training_model(network: keras.Model, config, targets: dict[str, np.ndarray]) -> keras.Model:
    """The network compiled to learn: each member by its own log loss, the autoencoder by its error."""
    optimizer = keras.optimizers.AdamW(config.learning_rate, weight_decay=config.weight_decay)
    if config.unsupervised:
        model = network
        loss, metric = {"error": _error}, {"error": [Closeness(name="likelihood")]}
    else:
        logits = network.get_layer("logits").output
        model = keras.Model(network.inputs, {"probability": logits}, name="learner")
        loss, metric = (
            {"probability": _log_loss(config, targets["probability"])},
            {"probability": [Likelihood(name="likelihood")]},
        )
    model.compile(
        optimizer=optimizer, loss=loss, metrics=metric, jit_compile=keras.backend.backend() == "jax"
    )
    return model


def _error(_, errors):
    return ops.mean(errors, axis=-1)


def _log_loss(config, targets: np.ndarray):
    """Mean log loss of the members' logits; with plan.balance frauds weigh together as much as the others."""
    share = float(np.clip(targets.mean(), 1e-6, 1 - 1e-6))
    weights = (0.5 / share, 0.5 / (1 - share)) if config.balance else (1.0, 1.0)

    def loss(target, logits):
        each = ops.maximum(logits, 0.0) - logits * target + ops.log1p(ops.exp(-ops.abs(logits)))
        weight = ops.where(target > 0.5, *weights)
        return ops.mean(each * weight, axis=-1)

    return loss


def grow(network: keras.Model, numbers: np.ndarray, fraud: np.ndarray, seed: int) -> None:
    """Grow the trees of a network that has some: numbers (count, features), fraud (count,)."""
    for layer in network.layers:
        if isinstance(layer, Trees):
            layer.adapt(numbers, fraud == 1, seed)


def calibrate(network: keras.Model, inputs: dict[str, np.ndarray], fraud: np.ndarray) -> None:
    """Fit to the validation part what the members' log-odds and the trees' weigh, and the offset of their sum."""
    found = {each.name: each.output for each in network.layers if each.name in ("logits", "trees")}
    parts = keras.Model(network.inputs, found)
    logits, *trees = (_outputs(parts, inputs, name).astype(np.float64) for name in sorted(found))
    mean = np.clip((1 / (1 + np.exp(-logits))).mean(axis=1, keepdims=True), SMALLEST, 1 - SMALLEST)
    odds = np.concatenate([np.log(mean / (1 - mean)), *trees], axis=1)
    slopes, offset = stacked(odds, fraud, SHARES if trees else (1.0,))
    layer = network.get_layer("probability")
    layer.slopes.assign(slopes)
    layer.offset.assign(offset)


def stacked(odds: np.ndarray, fraud: np.ndarray, shares: tuple[float, ...]) -> tuple[np.ndarray, float]:
    """Slopes (parts,) of log-odds (count, parts), and an offset, with the lowest log loss (Platt, 1999); by Newton's method,
    held near `shares` and 0 by a weak prior.

    The prior counts as ten transactions: few frauds to fit to must not turn the probabilities around.
    """
    inputs = np.concatenate([odds, np.ones((len(odds), 1))], axis=1)
    usual = np.array([*shares, 0.0])
    weights, prior = usual, np.diag([10.0] * len(shares) + [1.0])
    for _ in range(50):
        given = 1 / (1 + np.exp(-inputs @ weights))
        gradient = inputs.T @ (given - fraud) + prior @ (weights - usual)
        curvature = (inputs * (given * (1 - given))[:, None]).T @ inputs + prior
        step = np.linalg.solve(curvature, gradient)
        weights = weights - step
        if np.abs(step).max() < 1e-8:
            break
    return np.clip(weights[:-1], 0.2 * usual[:-1], 5), float(np.clip(weights[-1], -5, 5))


def errors(network: keras.Model, inputs: dict[str, np.ndarray]) -> tuple[float, ...]:
    """The reconstruction errors that each thousandth of these transactions lies below."""
    found = np.quantile(_outputs(network, inputs, "error"), np.linspace(0, 1, 1001))
    # Strictly growing, as shares are interpolated between them.
    return tuple(map(float, np.maximum.accumulate(found + 1e-9 * np.arange(len(found)))))


def _outputs(network: keras.Model, inputs: dict[str, np.ndarray], name: str, size: int = 8192) -> np.ndarray:
    count = len(next(iter(inputs.values())))
    parts = [
        network.predict_on_batch({key: values[at : at + size] for key, values in inputs.items()})[name]
        for at in range(0, count, size)
    ]
    return np.concatenate([np.asarray(each) for each in parts])
