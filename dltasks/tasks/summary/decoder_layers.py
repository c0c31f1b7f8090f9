"""The decoder block of the headline network, for whole sequences and for single steps."""

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers, ops

from dltasks.tasks.summary.attention import Attention


@dataclass(frozen=True)
class StepAttention:
    """What a decoder block attends to in one step.

    Attributes:
        keys: projected keys of the source, (1, heads, head_size, length).
        values: projected values of the source, (1, heads, length, head_size).
        padding_bias: hides the padding of the source, (1, 1, 1, length).
        slot: 1.0 at the current step and 0.0 elsewhere, (steps,).
        future_bias: hides later steps, (1, 1, 1, steps).
    """

    keys: Any
    values: Any
    padding_bias: Any
    slot: Any
    future_bias: Any


@keras.saving.register_keras_serializable("dltasks.summary")
class DecoderBlock(layers.Layer):
    """Pre-norm transformer block with self-attention and attention to the source."""

    def __init__(self, hidden_size: int, heads: int, dropout: float = 0.0, **options):
        super().__init__(**options)
        self.hidden_size, self.heads, self.dropout_rate = hidden_size, heads, dropout
        self.self_attention, self.source_attention = (
            Attention(hidden_size, heads, name="self_attention"),
            Attention(hidden_size, heads, name="source_attention"),
        )
        self.self_attention_norm, self.source_attention_norm, self.feedforward_norm = (
            layers.LayerNormalization(epsilon=1e-5, name=name)
            for name in ("self_attention_norm", "source_attention_norm", "feedforward_norm")
        )
        self.feedforward_in = layers.Dense(2 * hidden_size, activation="relu", name="feedforward_in")
        self.feedforward_out = layers.Dense(hidden_size, name="feedforward_out")
        self.dropout = layers.Dropout(dropout, name="dropout")

    def get_config(self):
        settings = {"hidden_size": self.hidden_size, "heads": self.heads, "dropout": self.dropout_rate}
        return super().get_config() | settings

    def build(self, *_):
        for layer in (
            self.self_attention_norm,
            self.source_attention_norm,
            self.feedforward_norm,
            self.feedforward_in,
            self.self_attention,
            self.source_attention,
        ):
            layer.build((None, None, self.hidden_size))
        self.feedforward_out.build((None, None, 2 * self.hidden_size))

    def call(self, x, memory, source_bias, future_bias, training=False):
        y = self.self_attention_norm(x)
        x = x + self.dropout(self.self_attention(y, y, future_bias), training=training)
        y = self.source_attention(self.source_attention_norm(x), memory, source_bias)
        x = x + self.dropout(y, training=training)
        return x + self.dropout(self._feed_forward(x), training=training)

    def _feed_forward(self, x):
        return self.feedforward_out(self.feedforward_in(self.feedforward_norm(x)))

    def decode_step(self, x, past_keys, past_values, step: StepAttention):
        """One step of `call` for x (1, beams, hidden_size): its output, and the past including this step."""
        y = ops.transpose(self.self_attention_norm(x), (1, 0, 2))  # (beams, 1, hidden_size)
        key, value = self.self_attention.project_memory(y)
        past_keys = past_keys * (1.0 - step.slot) + key * step.slot
        past_values = past_values * (1.0 - step.slot[:, None]) + value * step.slot[:, None]
        y = self.self_attention.attend(y, past_keys, past_values, step.future_bias)
        x = x + ops.transpose(y, (1, 0, 2))
        y = self.source_attention_norm(x)
        x = x + self.source_attention.attend(y, step.keys, step.values, step.padding_bias)
        return x + self._feed_forward(x), past_keys, past_values
