"""What both networks are made of: embedded pieces, attention, and blocks of it."""

import keras
from keras import layers, ops

FAR = 1e4
"""Taken from the logits of what is not to be looked at."""

MOST_OFTEN = 8
"""Counts of a piece in its text that are told apart."""


def counted(pieces):
    """How often each piece stands in its own row, (batch, length), at most MOST_OFTEN - 1; 0 is no piece."""
    same = ops.cast(ops.equal(pieces[:, :, None], pieces[:, None, :]), "float32")
    there = ops.cast(ops.not_equal(pieces, 0), "float32")
    count = ops.sum(same, axis=-1) * there
    return ops.cast(ops.minimum(count, MOST_OFTEN - 1.0), "int32")


@keras.saving.register_keras_serializable("dltasks.summary")
class Attention(layers.Layer):
    """Scaled dot-product attention in heads (Vaswani et al., 2017): (batch, queries, units) over (batch, keys, units)."""

    def __init__(self, units: int, heads: int, **options):
        super().__init__(**options)
        self.units, self.heads = units, heads
        self.query, self.key, self.value, self.out = (
            layers.Dense(units, use_bias=False, name=name) for name in ("query", "key", "value", "out")
        )

    def get_config(self):
        return super().get_config() | {"units": self.units, "heads": self.heads}

    def build(self, *_):
        for each in (self.query, self.key, self.value, self.out):
            each.build((None, None, self.units))

    def remembered(self, memory):
        """Keys (batch, heads, size, length), stored turned, and values (batch, heads, length, size)."""
        return self._heads(self.key(memory), (0, 2, 3, 1)), self._heads(self.value(memory), (0, 2, 1, 3))

    def _heads(self, x, order):
        split = ops.reshape(x, (ops.shape(x)[0], -1, self.heads, self.units // self.heads))
        return ops.transpose(split, order)

    def attend(self, x, keys, values, bias):
        """What x looks up. bias: added to the logits, broadcast to (batch, heads, queries, keys)."""
        queries = self._heads(self.query(x), (0, 2, 1, 3))
        logits = ops.matmul(queries, keys) * (self.units // self.heads) ** -0.5 + bias
        found = ops.transpose(ops.matmul(ops.softmax(logits, axis=-1), values), (0, 2, 1, 3))
        return self.out(ops.reshape(found, (ops.shape(x)[0], -1, self.units)))

    def call(self, x, memory, bias):
        keys, values = self.remembered(memory)
        return self.attend(x, keys, values, bias)


@keras.saving.register_keras_serializable("dltasks.summary")
class Block(layers.Layer):
    """Attention to the sequence itself and two dense layers, each beside a residual, normalised before (Xiong et al., 2020):
    (batch, length, units), and a bias as `Attention` takes it."""

    def __init__(self, units: int, heads: int, dropout: float = 0.0, **options):
        super().__init__(**options)
        self.units, self.heads, self.rate = units, heads, dropout
        self.attention = Attention(units, heads, name="attention")
        self.before, self.between = (
            layers.LayerNormalization(epsilon=1e-5, name=n) for n in ("before", "between")
        )
        self.wide = layers.Dense(2 * units, activation="relu", name="wide")
        self.narrow = layers.Dense(units, name="narrow")
        self.dropout = layers.Dropout(dropout, name="dropout")

    def get_config(self):
        return super().get_config() | {"units": self.units, "heads": self.heads, "dropout": self.rate}

    def build(self, *_):
        for each in (self.before, self.between, self.wide, self.attention):
            each.build((None, None, self.units))
        self.narrow.build((None, None, 2 * self.units))

    def call(self, x, bias, training=False):
        y = self.before(x)
        x = x + self.dropout(self.attention(y, y, bias), training=training)
        return x + self.dropout(self.narrow(self.wide(self.between(x))), training=training)


@keras.saving.register_keras_serializable("dltasks.summary")
class Near(layers.Layer):
    """A piece with its neighbours: a gated convolution beside a residual (Dauphin et al., 2017), (batch, length, units)."""

    def __init__(self, units: int, **options):
        super().__init__(**options)
        self.units = units
        self.before = layers.LayerNormalization(epsilon=1e-5, name="before")
        self.convolution = layers.Conv1D(2 * units, 3, padding="same", name="convolution")

    def get_config(self):
        return super().get_config() | {"units": self.units}

    def build(self, *_):
        self.before.build((None, None, self.units))
        self.convolution.build((None, None, self.units))

    def call(self, x):
        told, gate = ops.split(self.convolution(self.before(x)), 2, axis=-1)
        return x + told * ops.sigmoid(gate)
