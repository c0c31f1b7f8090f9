"""The extractive network: how much each sentence of a text says of the whole."""

import keras
from keras import layers, ops

from dltasks.tasks.summary.attention import FAR, Block, Near

HEADS = 4
TOLD = 6
"""Numbers that tell of a word without saying which it is."""

ANONYMOUS = 0.35
"""Share of the training texts that the network reads without knowing their words."""

MISSED = 0.1
"""Share of the other texts' pieces that it does not know either."""


@keras.saving.register_keras_serializable("dltasks.summary")
class Sentences(layers.Layer):
    """pieces, counts and rarity (batch, sentences, length), total and known (batch, 1), to vectors of the sentences,
    (batch, sentences, units).

    A piece is told by its own vector, by how often its word stands in the whole text and how rare it is elsewhere, and by
    its neighbours; a sentence is the mean of its pieces, weighed in each of HEADS parts by what matters to it (Lin et al., 2017, A
    Structured Self-attentive Sentence Embedding), and their sum. Of a text that is not `known` the vectors of the pieces are
    not looked at: what a word means elsewhere would mislead. In training this is so of some texts at random.
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
        self.random = keras.random.SeedGenerator(2)

    def get_config(self):
        return super().get_config() | self.settings

    def build(self, *_):
        self.pieces.build((None, None))
        self.often.build((None, None, TOLD))
        for each in (self.near, self.weight, self.value, self.added):
            each.build((None, None, self.units))
        self.whole.build((None, None, self.units + self.units // 2))

    def call(self, pieces, counts, rarity, total, known, training=False):
        batch, sentences, length = (ops.shape(pieces)[i] for i in range(3))
        flat = ops.reshape(pieces, (-1, length))
        there = ops.expand_dims(ops.cast(ops.not_equal(flat, 0), "float32"), -1)
        if training:
            known = known * ops.cast(
                keras.random.uniform((batch, 1), seed=self.random) > ANONYMOUS, "float32"
            )
        named = ops.reshape(ops.ones_like(rarity) * ops.expand_dims(known, -1), (-1, length, 1))
        if training:
            seen = keras.random.uniform(ops.shape(flat), seed=self.random) > MISSED
            named = named * ops.expand_dims(ops.cast(seen, "float32"), -1)
        told = ops.reshape(self.often(_told(counts, rarity, total)), (-1, length, self.units))
        x = self.dropout(self.pieces(flat) * named + told, training=training)
        x = self.near(x * there) * there
        weights = ops.softmax(self.weight(x) - FAR * (1.0 - there), axis=1)
        values = ops.reshape(self.value(x), (-1, length, HEADS, self.units // HEADS))
        means = ops.reshape(ops.sum(ops.expand_dims(weights, -1) * values, axis=1), (-1, self.units))
        sums = ops.sum(self.added(x) * there, axis=1) / 16.0
        vectors = self.whole(ops.concatenate([means, sums], axis=-1))
        return ops.reshape(vectors, (batch, sentences, self.units))

    def compute_output_shape(self, pieces_shape, counts_shape, rarity_shape, total_shape, known_shape):
        return (*pieces_shape[:2], self.units)


def _told(counts, rarity, total):
    """(batch, sentences, length, TOLD) of counts and rarity in a text of total (batch, 1) sentences."""
    counts = ops.cast(counts, "float32")
    share = counts / ops.expand_dims(ops.maximum(total, 1.0), -1)
    often = ops.log1p(counts)
    again = ops.cast(counts > 1, "float32")
    rare = rarity / 10.0
    return ops.stack(
        [often, ops.minimum(share, 2.0), ops.log1p(16.0 * share), rare, rare * often, rare * again], axis=-1
    )


@keras.saving.register_keras_serializable("dltasks.summary")
class Judged(layers.Layer):
    """Vectors of the sentences, with where they stand and what the others say, to logits (batch, sentences).

    places: int32 (batch, sentences), 0 where it is not told, else from 1. In training it is not told of half of the
    texts, so that the network can do without.
    """

    def __init__(self, units: int, places: int, blocks: int, dropout: float, **options):
        super().__init__(**options)
        self.settings = {"units": units, "places": places, "blocks": blocks, "dropout": dropout}
        self.units = units
        narrow = keras.initializers.RandomNormal(0.0, 0.1)
        self.places = layers.Embedding(places, units, embeddings_initializer=narrow, name="places")
        self.blocks = [Block(units, HEADS, dropout, name=f"block_{i}") for i in range(blocks)]
        self.norm = layers.LayerNormalization(epsilon=1e-5, name="norm")
        self.logit = layers.Dense(1, name="logit")
        self.random = keras.random.SeedGenerator(1)

    def get_config(self):
        return super().get_config() | self.settings

    def build(self, *_):
        self.places.build((None, None))
        for each in (*self.blocks, self.norm, self.logit):
            each.build((None, None, self.units))

    def call(self, vectors, places, there, training=False):
        if training:
            told = keras.random.uniform((ops.shape(places)[0], 1), seed=self.random) < 0.5
            places = places * ops.cast(told, "int32")
        x = vectors + self.places(places)
        bias = -FAR * ops.expand_dims(1.0 - there, (1, 2))
        for block in self.blocks:
            x = block(x, bias, training=training)
        return ops.squeeze(self.logit(self.norm(x)), -1)

    def compute_output_shape(self, vectors_shape, places_shape, there_shape):
        return vectors_shape[:2]
