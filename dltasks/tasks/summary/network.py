"""The networks, built and made ready to learn: one that judges sentences, one that writes a headline."""

import keras
from keras import layers, ops

from dltasks.protocols import Signature
from dltasks.tasks.summary.attention import FAR
from dltasks.tasks.summary.extract_layers import Judged, Sentences
from dltasks.tasks.summary.headline_layers import Likelihood, Writer


def extractor(pieces: int, config) -> keras.Model:
    """pieces and counts int32 (batch, sentences, length), how often the word of each piece stands in the whole text; total
    float32 (batch, 1), sentences of the whole text; to scores (batch, sentences): what ROUGE the sentence alone may get, from 0
    to 1."""
    inputs = {
        "pieces": keras.Input((None, None), dtype="int32", name="pieces"),
        "counts": keras.Input((None, None), dtype="int32", name="counts"),
        "total": keras.Input((1,), name="total"),
    }
    vectors = Sentences(pieces, config.width(), config.dropout, name="sentences")(
        inputs["pieces"], inputs["counts"], inputs["total"]
    )
    there = There(name="there")(inputs["pieces"])
    logits = Judged(config.width(), config.depth(), config.dropout, name="logits")(vectors, there)
    scores = layers.Activation("sigmoid", name="scores")(logits)
    return keras.Model(inputs, {"scores": scores}, name="extractor")


@keras.saving.register_keras_serializable("dltasks.summary")
class There(layers.Layer):
    """1 for each sentence that has pieces, (batch, sentences), of pieces (batch, sentences, length)."""

    def call(self, pieces):
        return ops.cast(ops.any(ops.not_equal(pieces, 0), axis=-1), "float32")

    def compute_output_shape(self, shape):
        return shape[:2]


def headliner(pieces: int, longest: int, steps: int, config) -> keras.Model:
    """source int32 (batch, longest) and sequence int32 (batch, steps + 1), from START on, to `Writer`'s outputs after each of
    its pieces but the last."""
    source = keras.Input((longest,), dtype="int32", name="source")
    sequence = keras.Input((steps + 1,), dtype="int32", name="sequence")
    writer = Writer(
        pieces,
        config.width(),
        config.width() // 64,
        config.convolutions,
        config.depth(),
        config.decoder_layers,
        longest,
        steps,
        config.dropout,
        name="writer",
    )
    return keras.Model(
        {"source": source, "sequence": sequence}, writer(source, sequence[:, :-1]), name="headliner"
    )


def signatures(network) -> dict[str, Signature]:
    """How a headline is written: `encode` once, then `step` after `step`."""
    writer = network.get_layer("writer")
    shapes = writer.tensor_shapes()
    encode = {"source": ((1, writer.settings["longest"]), "int32")}
    return {
        "encode": Signature(network, lambda given: writer.remembered(given["source"]), encode),
        "step": Signature(network, writer.decode_step, shapes),
    }


def training_model(network, config) -> keras.Model:
    """The network compiled to learn."""
    optimizer = keras.optimizers.AdamW(
        config.peak_learning_rate(), beta_2=0.98, weight_decay=config.weight_decay, clipnorm=1.0
    )
    if config.style == "extract":
        logits = network.get_layer("logits").output
        model = keras.Model(network.inputs, {"gains": logits}, name="learner")
        loss, metric = {"gains": _ranking}, {"gains": [Chosen(name="gain")]}
    else:
        writer = network.get_layer("writer")
        inputs = {each.name: each for each in network.inputs}
        likelihood = Likelihood(writer, name="likelihood")(inputs["source"], inputs["sequence"])
        model = keras.Model(network.inputs, {"pieces": likelihood}, name="learner")
        loss, metric = {"pieces": _unlikely}, {"pieces": [LogLikelihood(name="likelihood")]}
    optimizer.exclude_from_weight_decay([each for each in model.trainable_variables if len(each.shape) < 2])
    model.compile(
        optimizer=optimizer, loss=loss, metrics=metric, jit_compile=keras.backend.backend() == "jax"
    )
    return model


SHARPNESS = 20.0
"""How much the best sentences of a text are preferred to the next best in the target of the ranking."""


def _ranking(gains, logits):
    """How far the sentences' order and scores are from what ROUGE says; gains (batch, sentences), negative where none is.

    The cross entropy of the softmax over the text (ListNet; Cao et al., 2007) and that of each sentence's own score.
    """
    there = ops.cast(gains >= 0, "float32")
    hidden = -FAR * (1.0 - there)
    wanted = ops.softmax(SHARPNESS * gains + hidden, axis=-1)
    listwise = -ops.sum(wanted * ops.log_softmax(logits + hidden, axis=-1) * there, axis=-1)
    each = ops.softplus(logits) - ops.maximum(gains, 0.0) * logits
    return listwise + ops.sum(each * there, axis=-1) / ops.maximum(ops.sum(there, axis=-1), 1.0)


@keras.saving.register_keras_serializable("dltasks.summary")
class Chosen(keras.metrics.Mean):
    """Mean gain of the sentence that is judged best."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        best = ops.argmax(y_pred - FAR * ops.cast(y_true < 0, "float32"), axis=-1)
        gain = ops.take_along_axis(y_true, best[:, None], axis=-1)
        return super().update_state(gain, sample_weight)


def _unlikely(wanted, likelihood):
    there = ops.cast(ops.not_equal(wanted, 0), "float32")
    return -ops.sum(likelihood * there, axis=-1) / ops.maximum(ops.mean(ops.sum(there, axis=-1)), 1.0)


@keras.saving.register_keras_serializable("dltasks.summary")
class LogLikelihood(keras.metrics.Mean):
    """Mean natural log-likelihood of a piece; more is better."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        there = ops.cast(ops.not_equal(y_true, 0), "float32")
        return super().update_state(y_pred, there)
