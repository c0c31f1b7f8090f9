"""The headline network: an encoder-decoder transformer that may copy any piece of its source."""

import keras
from keras import layers, ops

from dltasks.tasks.summary.attention import FAR, MOST_OFTEN, Attention, Block, Near, counted


@keras.saving.register_keras_serializable("dltasks.summary")
class Writer(layers.Layer):
    """source (batch, length) and previous (batch, steps), pieces that 0 fills up, to what comes after each of the previous:

    vocabulary (batch, steps, pieces), probabilities; copy (batch, steps, length), probabilities of taking each piece of the source;
    written (batch, steps, 1), the share of the first in the mixture (See, Liu and Manning, 2017, Get To The Point).
    """

    def __init__(
        self, pieces, units, heads, convolutions, encoders, decoders, longest, steps, dropout, **options
    ):
        super().__init__(**options)
        self.settings = {
            "pieces": pieces,
            "units": units,
            "heads": heads,
            "convolutions": convolutions,
            "encoders": encoders,
            "decoders": decoders,
            "longest": longest,
            "steps": steps,
            "dropout": dropout,
        }
        self.units, self.steps, self.heads = units, steps, heads
        narrow = keras.initializers.RandomNormal(0.0, 0.05)

        def table(count, name):
            return layers.Embedding(count, units, embeddings_initializer=narrow, name=name)

        self.pieces, self.places = table(pieces, "pieces"), table(longest, "places")
        self.counts, self.times = table(MOST_OFTEN, "counts"), table(steps, "times")
        self.near = [Near(units, name=f"near_{i}") for i in range(convolutions)]
        self.encoder = [Block(units, heads, dropout, name=f"encoder_{i}") for i in range(encoders)]
        self.decoder = [Step(units, heads, dropout, name=f"decoder_{i}") for i in range(decoders)]
        self.memory_norm, self.state_norm = (
            layers.LayerNormalization(epsilon=1e-5, name=name) for name in ("memory_norm", "state_norm")
        )
        self.dropout = layers.Dropout(dropout, name="dropout")
        self.asked = layers.Dense(units, use_bias=False, name="asked")
        self.told = layers.Dense(units, use_bias=False, name="told")
        self.gate = layers.Dense(1, name="gate")

    def get_config(self):
        return super().get_config() | self.settings

    def build(self, *_):
        for table in (self.pieces, self.places, self.counts, self.times):
            table.build((None, None))
        wide = (None, None, self.units)
        for each in (
            *self.near,
            *self.encoder,
            *self.decoder,
            self.memory_norm,
            self.state_norm,
            self.asked,
            self.told,
        ):
            each.build(wide)
        self.gate.build((None, None, self.units))
        self.bias = self.add_weight(shape=(self.settings["pieces"],), initializer="zeros", name="bias")

    def encode(self, source, training=False):
        """(batch, length, units) of the source, and the bias that hides what is no piece of it, (batch, 1, 1, length)."""
        places = ops.arange(ops.shape(source)[1])[None]
        x = self.pieces(source) + self.places(places) + self.counts(counted(source))
        x = self.dropout(x, training=training)
        bias = hidden(source)
        for convolution in self.near:
            x = convolution(x)
        for block in self.encoder:
            x = block(x, bias, training=training)
        return self.memory_norm(x), bias

    def call(self, source, previous, training=False):
        memory, bias = self.encode(source, training)
        x = self.decode(previous, memory, bias, training)
        return self.said(x, self.told(memory), bias[:, 0])

    def decode(self, previous, memory, bias, training=False):
        """(batch, steps, units), the decoder's state after each of the previous pieces."""
        steps = ops.arange(ops.shape(previous)[1])
        x = self.dropout(self.pieces(previous) + self.times(steps[None]), training=training)
        later = -FAR * ops.cast(steps[None, :] > steps[:, None], "float32")[None, None]
        for block in self.decoder:
            x = block(x, memory, bias, later, training=training)
        return x

    def remembered(self, source):
        """All that the steps need of a source (1, length), by name."""
        memory, bias = self.encode(source)
        found = {"told": self.told(memory), "bias": bias}
        for i, block in enumerate(self.decoder):
            found[f"keys_{i}"], found[f"values_{i}"] = block.source.remembered(memory)
        return found

    def tensor_shapes(self) -> dict:
        """Shapes and dtypes of what `step` takes, None where the number of beams stands."""
        length, steps, size = self.settings["longest"], self.steps, self.units // self.heads
        found = {
            "piece": ((None,), "int32"),
            "place": ((1,), "int32"),
            "told": ((1, length, self.units), "float32"),
            "bias": ((1, 1, 1, length), "float32"),
        }
        for i in range(len(self.decoder)):
            found[f"keys_{i}"] = ((1, self.heads, size, length), "float32")
            found[f"values_{i}"] = ((1, self.heads, length, size), "float32")
            found[f"past_keys_{i}"] = ((None, self.heads, size, steps), "float32")
            found[f"past_values_{i}"] = ((None, self.heads, steps, size), "float32")
        return found

    def decode_step(self, given):
        """The next piece of some beams at once: what `shapes` names to the three outputs, (beams, ...), and the past with
        this step in it. place: of the piece in the sequence, from 0; the past's later places are not looked at."""
        slots = ops.arange(self.steps)
        now = ops.cast(ops.equal(slots, given["place"]), "float32")
        bias = -FAR * ops.cast(slots > given["place"], "float32")[None, None, None]
        x = (self.pieces(given["piece"]) + self.times(given["place"]))[None]
        past = {}
        for i, block in enumerate(self.decoder):
            names = (f"past_keys_{i}", f"past_values_{i}")
            x, past[names[0]], past[names[1]] = block.decode_step(
                x,
                given[f"keys_{i}"],
                given[f"values_{i}"],
                given["bias"],
                *(given[n] for n in names),
                now,
                bias,
            )
        said = self.said(x, given["told"], given["bias"][:, 0])
        return {name: values[0] for name, values in said.items()} | past

    def likelihood(self, source, sequence, training=False):
        """Log-probability of each piece of a sequence (batch, steps + 1) but the first, after those before it."""
        memory, bias = self.encode(source, training)
        x = self.state_norm(self.decode(sequence[:, :-1], memory, bias, training))
        wanted = sequence[:, 1:]
        logits = ops.matmul(x, ops.transpose(self.pieces.embeddings)) + self.bias
        # Not through the probabilities of the whole vocabulary: their gradient takes as long as all the rest.
        of_wanted = ops.sum(x * self.pieces(wanted), axis=-1) + ops.take(self.bias, wanted)
        written = of_wanted - ops.logsumexp(logits, axis=-1)
        pointed = ops.log_softmax(self._pointed(x, self.told(memory), bias[:, 0]), axis=-1)
        other = -FAR * ops.cast(ops.not_equal(wanted[:, :, None], source[:, None, :]), "float32")
        copied = ops.logsumexp(pointed + other, axis=-1)
        gate = self.gate(x)[:, :, 0]
        return ops.logaddexp(written - ops.softplus(-gate), copied - ops.softplus(gate))

    def said(self, x, told, bias):
        """The three outputs from the decoder's state. told: (batch, length, units) keys of the source's pieces."""
        x = self.state_norm(x)
        logits = ops.matmul(x, ops.transpose(self.pieces.embeddings)) + self.bias
        pointed = self._pointed(x, told, bias)
        return {
            "vocabulary": ops.softmax(logits, axis=-1),
            "copy": ops.softmax(pointed, axis=-1),
            "written": ops.sigmoid(self.gate(x)),
        }

    def _pointed(self, x, told, bias):
        return ops.matmul(self.asked(x), ops.transpose(told, (0, 2, 1))) * self.units**-0.5 + bias


def hidden(source):
    """(batch, 1, 1, length): 0 where a piece stands, and far below where none does."""
    return -FAR * ops.cast(ops.equal(source, 0), "float32")[:, None, None]


@keras.saving.register_keras_serializable("dltasks.summary")
class Step(layers.Layer):
    """A block of the decoder: as `Block`, looking at the source in between."""

    def __init__(self, units: int, heads: int, dropout: float = 0.0, **options):
        super().__init__(**options)
        self.units, self.heads, self.rate = units, heads, dropout
        self.itself, self.source = (
            Attention(units, heads, name="itself"),
            Attention(units, heads, name="source"),
        )
        self.first, self.second, self.third = (
            layers.LayerNormalization(epsilon=1e-5, name=name) for name in ("first", "second", "third")
        )
        self.wide = layers.Dense(2 * units, activation="relu", name="wide")
        self.narrow = layers.Dense(units, name="narrow")
        self.dropout = layers.Dropout(dropout, name="dropout")

    def get_config(self):
        return super().get_config() | {"units": self.units, "heads": self.heads, "dropout": self.rate}

    def build(self, *_):
        for each in (self.first, self.second, self.third, self.wide, self.itself, self.source):
            each.build((None, None, self.units))
        self.narrow.build((None, None, 2 * self.units))

    def call(self, x, memory, bias, later, training=False):
        y = self.first(x)
        x = x + self.dropout(self.itself(y, y, later), training=training)
        x = x + self.dropout(self.source(self.second(x), memory, bias), training=training)
        return x + self.dropout(self.narrow(self.wide(self.third(x))), training=training)

    def decode_step(self, x, keys, values, bias, past_keys, past_values, now, later):
        """x (1, beams, units) to the same and the past with it in the slot where `now` (steps,) is 1."""
        y = ops.transpose(self.first(x), (1, 0, 2))  # (beams, 1, units)
        key, value = self.itself.remembered(y)
        past_keys = past_keys * (1.0 - now) + key * now
        past_values = past_values * (1.0 - now[:, None]) + value * now[:, None]
        x = x + ops.transpose(self.itself.attend(y, past_keys, past_values, later), (1, 0, 2))
        x = x + self.source.attend(self.second(x), keys, values, bias)
        return x + self.narrow(self.wide(self.third(x))), past_keys, past_values


@keras.saving.register_keras_serializable("dltasks.summary")
class Likelihood(layers.Layer):
    """source and sequence to the log-probability of each piece of it but the first, (batch, steps)."""

    def __init__(self, writer: Writer, **options):
        super().__init__(**options)
        self.writer = writer

    def call(self, source, sequence, training=False):
        return self.writer.likelihood(source, sequence, training)

    def compute_output_shape(self, source_shape, sequence_shape):
        return (sequence_shape[0], self.writer.steps)
