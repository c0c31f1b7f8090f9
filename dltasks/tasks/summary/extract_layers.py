"""The extractive network: how much each sentence of a text says of the whole."""

import keras
from keras import layers, ops

from dltasks.tasks.summary.attention import FAR, Block, Near

HEADS = 4
TOLD = 3
"""Numbers that tell how often a word stands in the whole text."""


@keras.saving.register_keras_serializable("dltasks.summary")
class Sentences(layers.Layer):
    """pieces and counts (batch, sentences, length) and total (batch, 1) to vectors of the sentences, (batch, sentences, units).

    A piece is told by its own vector, by how often its word stands in the whole text, and by its neighbours; a sentence
    is the mean of its pieces, weighed in each of HEADS parts by what matters to it (Lin et al., 2017, A Structured Self-attentive
    Sentence Embedding), and their sum.
    """

    def __init__(self, pieces: int, units: int, dropout: float, **options):
        super().__init__(**options)
        self.settings = {"pieces": pieces, "units": units, "dropout": dropout}
        self.units = units
        narrow = keras.initializers.RandomNormal(0.0, 0.1)
        self.pieces = layers.Embedding(pieces, units, embeddings_initializer=narrow, name="pieces")
        self.often = layers.Dense(units, name="often")
        self.near = Near(units, name="near")
        self.weight = layers.Dense(HEADS, name="weight")
        self.value = layers.Dense(units, name="value")
        self.added = layers.Dense(units // 2, activation="relu", name="added")
        self.whole = layers.Dense(units, name="whole")
        self.dropout = layers.Dropout(dropout, name="dropout")

    def get_config(self):
        return super().get_config() | self.settings

    def build(self, *_):
        self.pieces.build((None, None))
        self.often.build((None, None, TOLD))
        for each in (self.near, self.weight, self.value, self.added):
            each.build((None, None, self.units))
        self.whole.build((None, None, self.units + self.units // 2))

    def call(self, pieces, counts, total, training=False):
        batch, sentences, length = (ops.shape(pieces)[i] for i in range(3))
        flat = ops.reshape(pieces, (-1, length))
        there = ops.expand_dims(ops.cast(ops.not_equal(flat, 0), "float32"), -1)
        told = ops.reshape(self.often(_told(counts, total)), (-1, length, self.units))
        x = self.dropout(self.pieces(flat) + told, training=training)
        x = self.near(x * there) * there
        weights = ops.softmax(self.weight(x) - FAR * (1.0 - there), axis=1)
        values = ops.reshape(self.value(x), (-1, length, HEADS, self.units // HEADS))
        means = ops.reshape(ops.sum(ops.expand_dims(weights, -1) * values, axis=1), (-1, self.units))
        sums = ops.sum(self.added(x) * there, axis=1) / 16.0
        vectors = self.whole(ops.concatenate([means, sums], axis=-1))
        return ops.reshape(vectors, (batch, sentences, self.units))

    def compute_output_shape(self, pieces_shape, counts_shape, total_shape):
        return (*pieces_shape[:2], self.units)


def _told(counts, total):
    """(batch, sentences, length, TOLD) of counts in a text of total (batch, 1) sentences."""
    counts = ops.cast(counts, "float32")
    share = counts / ops.expand_dims(ops.maximum(total, 1.0), -1)
    return ops.stack([ops.log1p(counts), ops.minimum(share, 2.0), ops.log1p(16.0 * share)], axis=-1)


@keras.saving.register_keras_serializable("dltasks.summary")
class Judged(layers.Layer):
    """Vectors of the sentences, beside what the others say, to logits (batch, sentences); there: 1 where a sentence is.

    The order of the sentences is not looked at: where a summary stands is the habit of a kind of text.
    """

    def __init__(self, units: int, blocks: int, dropout: float, **options):
        super().__init__(**options)
        self.settings = {"units": units, "blocks": blocks, "dropout": dropout}
        self.units = units
        self.blocks = [Block(units, HEADS, dropout, name=f"block_{i}") for i in range(blocks)]
        self.norm = layers.LayerNormalization(epsilon=1e-5, name="norm")
        self.logit = layers.Dense(1, name="logit")

    def get_config(self):
        return super().get_config() | self.settings

    def build(self, *_):
        for each in (*self.blocks, self.norm, self.logit):
            each.build((None, None, self.units))

    def call(self, vectors, there, training=False):
        bias = -FAR * ops.expand_dims(1.0 - there, (1, 2))
        for block in self.blocks:
            vectors = block(vectors, bias, training=training)
        return ops.squeeze(self.logit(self.norm(vectors)), -1)

    def compute_output_shape(self, vectors_shape, there_shape):
        return vectors_shape[:2]
