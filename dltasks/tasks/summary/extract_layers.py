"""Layers of the extractive network, which scores each sentence of a text."""

import keras
from keras import layers, ops

from dltasks.tasks.summary.attention import MASK_PENALTY, EncoderBlock, LocalConvolution, token_mask

HEADS = 4
"""Number of heads of the attention and of the pooling."""

FREQUENCY_FEATURES = 3
"""Number of features that describe how often a word occurs in the whole text."""


@keras.saving.register_keras_serializable("dltasks.summary")
class SentenceEncoder(layers.Layer):
    """Sentence vectors (batch, sentences, hidden_size) of tokens.

    Inputs are tokens and token_counts, both int32 (batch, sentences, length), and sentence_count, float32
    (batch, 1). A token is represented by its embedding, the frequency of its word in the whole text, and its
    neighbors. A sentence is an attention-weighted mean of its tokens for each of HEADS heads (Lin et al.,
    2017, A Structured Self-attentive Sentence Embedding) beside a scaled sum of them.
    """

    def __init__(self, vocabulary_size: int, hidden_size: int, dropout: float, **options):
        super().__init__(**options)
        self.settings = {
            "vocabulary_size": vocabulary_size,
            "hidden_size": hidden_size,
            "dropout": dropout,
        }
        self.hidden_size = hidden_size
        initializer = keras.initializers.RandomNormal(0.0, 0.1)
        self.token_embedding = layers.Embedding(
            vocabulary_size, hidden_size, embeddings_initializer=initializer, name="token_embedding"
        )
        self.frequency = layers.Dense(hidden_size, name="frequency")
        self.local = LocalConvolution(hidden_size, name="local")
        self.pooling = layers.Dense(HEADS, name="pooling")
        self.value = layers.Dense(hidden_size, name="value")
        self.summed = layers.Dense(hidden_size // 2, activation="relu", name="summed")
        self.projection = layers.Dense(hidden_size, name="projection")
        self.dropout = layers.Dropout(dropout, name="dropout")

    def get_config(self):
        return super().get_config() | self.settings

    def build(self, *_):
        self.token_embedding.build((None, None))
        self.frequency.build((None, None, FREQUENCY_FEATURES))
        for layer in (self.local, self.pooling, self.value, self.summed):
            layer.build((None, None, self.hidden_size))
        self.projection.build((None, None, self.hidden_size + self.hidden_size // 2))

    def call(self, tokens, token_counts, sentence_count, training=False):
        batch, sentences, length = (ops.shape(tokens)[i] for i in range(3))
        flat = ops.reshape(tokens, (-1, length))
        mask = ops.expand_dims(token_mask(flat), -1)
        features = frequency_features(token_counts, sentence_count)
        frequencies = ops.reshape(self.frequency(features), (-1, length, self.hidden_size))
        x = self.dropout(self.token_embedding(flat) + frequencies, training=training)
        x = self.local(x * mask) * mask
        means = self._weighted_means(x, mask, length)
        sums = ops.sum(self.summed(x) * mask, axis=1) / 16.0
        vectors = self.projection(ops.concatenate([means, sums], axis=-1))
        return ops.reshape(vectors, (batch, sentences, self.hidden_size))

    def _weighted_means(self, x, mask, length):
        weights = ops.softmax(self.pooling(x) - MASK_PENALTY * (1.0 - mask), axis=1)
        values = ops.reshape(self.value(x), (-1, length, HEADS, self.hidden_size // HEADS))
        return ops.reshape(ops.sum(ops.expand_dims(weights, -1) * values, axis=1), (-1, self.hidden_size))

    def compute_output_shape(self, tokens_shape, token_counts_shape, sentence_count_shape):
        return (*tokens_shape[:2], self.hidden_size)


def frequency_features(token_counts, sentence_count):
    """Features (batch, sentences, length, FREQUENCY_FEATURES) of counts in texts of so many sentences."""
    counts = ops.cast(token_counts, "float32")
    rate = counts / ops.expand_dims(ops.maximum(sentence_count, 1.0), -1)
    return ops.stack([ops.log1p(counts), ops.minimum(rate, 2.0), ops.log1p(16.0 * rate)], axis=-1)


@keras.saving.register_keras_serializable("dltasks.summary")
class SentenceMask(layers.Layer):
    """1.0 for each sentence with tokens, (batch, sentences), from tokens (batch, sentences, length)."""

    def call(self, tokens):
        return ops.cast(ops.any(ops.not_equal(tokens, 0), axis=-1), "float32")

    def compute_output_shape(self, shape):
        return shape[:2]


@keras.saving.register_keras_serializable("dltasks.summary")
class SentenceScorer(layers.Layer):
    """Logits (batch, sentences) of sentence vectors in their context, from the vectors and a sentence mask.

    The order of the sentences is ignored: where a summary stands in a text is a habit of its genre.
    """

    def __init__(self, hidden_size: int, encoder_layers: int, dropout: float, **options):
        super().__init__(**options)
        self.settings = {"hidden_size": hidden_size, "encoder_layers": encoder_layers, "dropout": dropout}
        self.hidden_size = hidden_size
        self.blocks = [
            EncoderBlock(hidden_size, HEADS, dropout, name=f"block_{i}") for i in range(encoder_layers)
        ]
        self.norm = layers.LayerNormalization(epsilon=1e-5, name="norm")
        self.logit = layers.Dense(1, name="logit")

    def get_config(self):
        return super().get_config() | self.settings

    def build(self, *_):
        for layer in (*self.blocks, self.norm, self.logit):
            layer.build((None, None, self.hidden_size))

    def call(self, vectors, sentence_mask, training=False):
        bias = -MASK_PENALTY * ops.expand_dims(1.0 - sentence_mask, (1, 2))
        for block in self.blocks:
            vectors = block(vectors, bias, training=training)
        return ops.squeeze(self.logit(self.norm(vectors)), -1)

    def compute_output_shape(self, vectors_shape, sentence_mask_shape):
        return vectors_shape[:2]
