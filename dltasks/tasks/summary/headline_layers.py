"""Layers of the headline network: an encoder-decoder transformer that can copy tokens of its source."""

from typing import Any

import keras
from keras import layers, ops

from dltasks.tasks.summary.attention import (
    COUNT_BUCKETS,
    MASK_PENALTY,
    EncoderBlock,
    LocalConvolution,
    count_tokens,
    padding_bias,
)
from dltasks.tasks.summary.decoder_layers import DecoderBlock, StepAttention


@keras.saving.register_keras_serializable("dltasks.summary")
class HeadlineModel(layers.Layer):
    """Pointer-generator transformer (See, Liu and Manning, 2017, Get To The Point).

    From source (batch, length) and previous tokens (batch, steps), padded with 0, to what follows each
    previous token: token_probabilities (batch, steps, vocabulary_size); copy_probabilities (batch, steps,
    length) of copying each token of the source; and generation_probability (batch, steps, 1), the weight of
    the former in their mixture.
    """

    def __init__(
        self,
        vocabulary_size: int,
        hidden_size: int,
        heads: int,
        convolutions: int,
        encoder_layers: int,
        decoder_layers: int,
        max_source_tokens: int,
        max_headline_tokens: int,
        dropout: float,
        **options,
    ):
        super().__init__(**options)
        self.settings: dict[str, Any] = {
            "vocabulary_size": vocabulary_size,
            "hidden_size": hidden_size,
            "heads": heads,
            "convolutions": convolutions,
            "encoder_layers": encoder_layers,
            "decoder_layers": decoder_layers,
            "max_source_tokens": max_source_tokens,
            "max_headline_tokens": max_headline_tokens,
            "dropout": dropout,
        }
        self.hidden_size, self.steps, self.heads = hidden_size, max_headline_tokens, heads
        initializer = keras.initializers.RandomNormal(0.0, 0.05)

        def embedding(count, name):
            return layers.Embedding(count, hidden_size, embeddings_initializer=initializer, name=name)

        self.token_embedding = embedding(vocabulary_size, "token_embedding")
        self.position_embedding = embedding(max_source_tokens, "position_embedding")
        self.count_embedding = embedding(COUNT_BUCKETS, "count_embedding")
        self.step_embedding = embedding(max_headline_tokens, "step_embedding")
        self.convolutions = [
            LocalConvolution(hidden_size, name=f"convolution_{i}") for i in range(convolutions)
        ]
        self.encoder = [
            EncoderBlock(hidden_size, heads, dropout, name=f"encoder_{i}") for i in range(encoder_layers)
        ]
        self.decoder = [
            DecoderBlock(hidden_size, heads, dropout, name=f"decoder_{i}") for i in range(decoder_layers)
        ]
        self.memory_norm, self.state_norm = (
            layers.LayerNormalization(epsilon=1e-5, name=name) for name in ("memory_norm", "state_norm")
        )
        self.dropout = layers.Dropout(dropout, name="dropout")
        self.copy_query = layers.Dense(hidden_size, use_bias=False, name="copy_query")
        self.copy_key = layers.Dense(hidden_size, use_bias=False, name="copy_key")
        self.gate = layers.Dense(1, name="gate")

    def get_config(self):
        return super().get_config() | self.settings

    def build(self, *_):
        for table in (
            self.token_embedding,
            self.position_embedding,
            self.count_embedding,
            self.step_embedding,
        ):
            table.build((None, None))
        for layer in (
            *self.convolutions,
            *self.encoder,
            *self.decoder,
            self.memory_norm,
            self.state_norm,
            self.copy_query,
            self.copy_key,
            self.gate,
        ):
            layer.build((None, None, self.hidden_size))
        self.bias = self.add_weight(
            shape=(self.settings["vocabulary_size"],), initializer="zeros", name="bias"
        )

    def call(self, source, previous, training=False):
        memory, bias = self.encode(source, training)
        x = self.decode(previous, memory, bias, training)
        return self.compute_outputs(x, self.copy_key(memory), bias[:, 0])

    def encode(self, source, training=False):
        """Memory (batch, length, hidden_size) of the source, and the bias that hides its padding."""
        positions = ops.arange(ops.shape(source)[1])[None]
        x = self.token_embedding(source) + self.position_embedding(positions)
        x = self.dropout(x + self.count_embedding(count_tokens(source)), training=training)
        bias = padding_bias(source)
        for convolution in self.convolutions:
            x = convolution(x)
        for block in self.encoder:
            x = block(x, bias, training=training)
        return self.memory_norm(x), bias

    def decode(self, previous, memory, bias, training=False):
        """State of the decoder after each of the previous tokens, (batch, steps, hidden_size)."""
        steps = ops.arange(ops.shape(previous)[1])
        x = self.token_embedding(previous) + self.step_embedding(steps[None])
        x = self.dropout(x, training=training)
        future_bias = -MASK_PENALTY * ops.cast(steps[None, :] > steps[:, None], "float32")[None, None]
        for block in self.decoder:
            x = block(x, memory, bias, future_bias, training=training)
        return x

    def compute_outputs(self, x, copy_keys, bias):
        """The three outputs for states x of the decoder. copy_keys, bias: of the source."""
        x = self.state_norm(x)
        return {
            "token_probabilities": ops.softmax(self._token_logits(x), axis=-1),
            "copy_probabilities": ops.softmax(self._copy_logits(x, copy_keys, bias), axis=-1),
            "generation_probability": ops.sigmoid(self.gate(x)),
        }

    def _token_logits(self, x):
        return ops.matmul(x, ops.transpose(self.token_embedding.embeddings)) + self.bias

    def _copy_logits(self, x, copy_keys, bias):
        logits = ops.matmul(self.copy_query(x), ops.transpose(copy_keys, (0, 2, 1)))
        return logits * self.hidden_size**-0.5 + bias

    def encode_memory(self, source):
        """All that `decode_step` needs of a source (1, length), by name."""
        memory, bias = self.encode(source)
        tensors = {"copy_keys": self.copy_key(memory), "padding_bias": bias}
        for i, block in enumerate(self.decoder):
            keys, values = block.source_attention.project_memory(memory)
            tensors |= {f"keys_{i}": keys, f"values_{i}": values}
        return tensors

    def step_inputs(self) -> dict[str, tuple[tuple[int | None, ...], str]]:
        """Shapes and dtypes of the inputs of `decode_step` by name; None is the number of beams."""
        length, size = self.settings["max_source_tokens"], self.hidden_size // self.heads
        inputs: dict[str, tuple[tuple[int | None, ...], str]] = {
            "token": ((None,), "int32"),
            "position": ((1,), "int32"),
            "copy_keys": ((1, length, self.hidden_size), "float32"),
            "padding_bias": ((1, 1, 1, length), "float32"),
        }
        for i in range(len(self.decoder)):
            inputs[f"keys_{i}"] = ((1, self.heads, size, length), "float32")
            inputs[f"values_{i}"] = ((1, self.heads, length, size), "float32")
            inputs[f"past_keys_{i}"] = ((None, self.heads, size, self.steps), "float32")
            inputs[f"past_values_{i}"] = ((None, self.heads, self.steps, size), "float32")
        return inputs

    def decode_step(self, inputs):
        """Outputs (beams, ...) for the last token of each beam, and the past including this step.

        inputs: as `step_inputs` describes them; `position` is that of the token in the sequence, from 0.
        Later positions of the past are ignored.
        """
        positions = ops.arange(self.steps)
        slot = ops.cast(ops.equal(positions, inputs["position"]), "float32")
        future_bias = -MASK_PENALTY * ops.cast(positions > inputs["position"], "float32")[None, None, None]
        x = (self.token_embedding(inputs["token"]) + self.step_embedding(inputs["position"]))[None]
        past = {}
        for i, block in enumerate(self.decoder):
            keys, values = f"past_keys_{i}", f"past_values_{i}"
            step = StepAttention(
                inputs[f"keys_{i}"], inputs[f"values_{i}"], inputs["padding_bias"], slot, future_bias
            )
            x, past[keys], past[values] = block.decode_step(x, inputs[keys], inputs[values], step)
        outputs = self.compute_outputs(x, inputs["copy_keys"], inputs["padding_bias"][:, 0])
        return {name: values[0] for name, values in outputs.items()} | past

    def log_likelihood(self, source, sequence, training=False):
        """Log-probability of each token of a sequence (batch, steps + 1) but the first, given the others."""
        memory, bias = self.encode(source, training)
        x = self.state_norm(self.decode(sequence[:, :-1], memory, bias, training))
        targets = sequence[:, 1:]
        logits = self._token_logits(x)
        # Not by way of all probabilities of the vocabulary: their gradient takes as long as everything else.
        target_logits = ops.sum(x * self.token_embedding(targets), axis=-1) + ops.take(self.bias, targets)
        generated = target_logits - ops.logsumexp(logits, axis=-1)
        copy_logits = ops.log_softmax(self._copy_logits(x, self.copy_key(memory), bias[:, 0]), axis=-1)
        differs = ops.cast(ops.not_equal(targets[:, :, None], source[:, None, :]), "float32")
        copied = ops.logsumexp(copy_logits + -MASK_PENALTY * differs, axis=-1)
        gate = self.gate(x)[:, :, 0]
        return ops.logaddexp(generated - ops.softplus(-gate), copied - ops.softplus(gate))


@keras.saving.register_keras_serializable("dltasks.summary")
class LogLikelihood(layers.Layer):
    """Log-probability of each token of a sequence but the first, (batch, steps), given the source."""

    def __init__(self, model: HeadlineModel, **options):
        super().__init__(**options)
        self.model = model

    def call(self, source, sequence, training=False):
        return self.model.log_likelihood(source, sequence, training)

    def compute_output_shape(self, source_shape, sequence_shape):
        return (sequence_shape[0], self.model.steps)
