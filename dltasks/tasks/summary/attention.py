"""Layers shared by both networks: attention, transformer blocks and local convolutions."""

import keras
from keras import layers, ops

MASK_PENALTY = 1e4
"""Amount subtracted from the logits of masked positions."""

COUNT_BUCKETS = 8
"""Number of distinct token counts; all higher counts share the last one."""


def token_mask(tokens):
    """1.0 for each token and 0.0 for padding, float32 of the shape of `tokens`."""
    return ops.cast(ops.not_equal(tokens, 0), "float32")


def padding_bias(tokens):
    """Bias that hides the padding of `tokens` (batch, length) in attention logits, (batch, 1, 1, length)."""
    return -MASK_PENALTY * ops.cast(ops.equal(tokens, 0), "float32")[:, None, None]


def count_tokens(tokens):
    """Counts of each token in its row, int32 (batch, length), at most COUNT_BUCKETS - 1; 0 for padding."""
    equal = ops.cast(ops.equal(tokens[:, :, None], tokens[:, None, :]), "float32")
    counts = ops.sum(equal, axis=-1) * token_mask(tokens)
    return ops.cast(ops.minimum(counts, COUNT_BUCKETS - 1.0), "int32")


@keras.saving.register_keras_serializable("dltasks.summary")
class Attention(layers.Layer):
    """Multi-head scaled dot-product attention (Vaswani et al., 2017, Attention Is All You Need).

    From queries (batch, queries, hidden_size) and a memory (batch, keys, hidden_size) to an array like the
    queries.
    """

    def __init__(self, hidden_size: int, heads: int, **options):
        super().__init__(**options)
        self.hidden_size, self.heads = hidden_size, heads
        self.query, self.key, self.value, self.out = (
            layers.Dense(hidden_size, use_bias=False, name=name) for name in ("query", "key", "value", "out")
        )

    def get_config(self):
        return super().get_config() | {"hidden_size": self.hidden_size, "heads": self.heads}

    def build(self, *_):
        for layer in (self.query, self.key, self.value, self.out):
            layer.build((None, None, self.hidden_size))

    def project_memory(self, memory):
        """Transposed keys (batch, heads, head_size, length) and values (batch, heads, length, head_size)."""
        keys = self._split_heads(self.key(memory), (0, 2, 3, 1))
        return keys, self._split_heads(self.value(memory), (0, 2, 1, 3))

    def _split_heads(self, x, order):
        heads = ops.reshape(x, (ops.shape(x)[0], -1, self.heads, self.hidden_size // self.heads))
        return ops.transpose(heads, order)

    def attend(self, x, keys, values, bias):
        """Attention of x to projected keys and values.

        bias: added to the logits, broadcast to (batch, heads, queries, keys).
        """
        queries = self._split_heads(self.query(x), (0, 2, 1, 3))
        logits = ops.matmul(queries, keys) * (self.hidden_size // self.heads) ** -0.5 + bias
        context = ops.transpose(ops.matmul(ops.softmax(logits, axis=-1), values), (0, 2, 1, 3))
        return self.out(ops.reshape(context, (ops.shape(x)[0], -1, self.hidden_size)))

    def call(self, x, memory, bias):
        keys, values = self.project_memory(memory)
        return self.attend(x, keys, values, bias)


@keras.saving.register_keras_serializable("dltasks.summary")
class EncoderBlock(layers.Layer):
    """Pre-norm transformer block.

    Xiong et al., 2020, On Layer Normalization in the Transformer Architecture. From (batch, length,
    hidden_size) and a bias as `Attention` takes it to an array of the same shape.
    """

    def __init__(self, hidden_size: int, heads: int, dropout: float = 0.0, **options):
        super().__init__(**options)
        self.hidden_size, self.heads, self.dropout_rate = hidden_size, heads, dropout
        self.attention = Attention(hidden_size, heads, name="attention")
        self.attention_norm, self.feedforward_norm = (
            layers.LayerNormalization(epsilon=1e-5, name=name)
            for name in ("attention_norm", "feedforward_norm")
        )
        self.feedforward_in = layers.Dense(2 * hidden_size, activation="relu", name="feedforward_in")
        self.feedforward_out = layers.Dense(hidden_size, name="feedforward_out")
        self.dropout = layers.Dropout(dropout, name="dropout")

    def get_config(self):
        settings = {"hidden_size": self.hidden_size, "heads": self.heads, "dropout": self.dropout_rate}
        return super().get_config() | settings

    def build(self, *_):
        for layer in (self.attention_norm, self.feedforward_norm, self.feedforward_in, self.attention):
            layer.build((None, None, self.hidden_size))
        self.feedforward_out.build((None, None, 2 * self.hidden_size))

    def call(self, x, bias, training=False):
        y = self.attention_norm(x)
        x = x + self.dropout(self.attention(y, y, bias), training=training)
        y = self.feedforward_out(self.feedforward_in(self.feedforward_norm(x)))
        return x + self.dropout(y, training=training)


@keras.saving.register_keras_serializable("dltasks.summary")
class LocalConvolution(layers.Layer):
    """Residual gated convolution over three neighboring tokens, (batch, length, hidden_size).

    Dauphin et al., 2017, Language Modeling with Gated Convolutional Networks.
    """

    def __init__(self, hidden_size: int, **options):
        super().__init__(**options)
        self.hidden_size = hidden_size
        self.norm = layers.LayerNormalization(epsilon=1e-5, name="norm")
        self.convolution = layers.Conv1D(2 * hidden_size, 3, padding="same", name="convolution")

    def get_config(self):
        return super().get_config() | {"hidden_size": self.hidden_size}

    def build(self, *_):
        self.norm.build((None, None, self.hidden_size))
        self.convolution.build((None, None, self.hidden_size))

    def call(self, x):
        y, gate = ops.split(self.convolution(self.norm(x)), 2, axis=-1)
        return x + y * ops.sigmoid(gate)
