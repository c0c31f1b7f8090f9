"""The two Keras networks, extractive and headline, and how they are compiled for training."""

from typing import Any

import keras
from keras import layers, ops

from dltasks.protocols import Signature
from dltasks.tasks.summary.attention import MASK_PENALTY, token_mask
from dltasks.tasks.summary.config import SummaryConfig
from dltasks.tasks.summary.extract_layers import SentenceEncoder, SentenceMask, SentenceScorer
from dltasks.tasks.summary.headline_layers import HeadlineModel, LogLikelihood

SHARPNESS = 20.0
"""Inverse temperature of the target distribution over the sentences of a text."""


def extract_network(vocabulary_size: int, config: SummaryConfig) -> keras.Model:
    """Network from tokens to `scores` (batch, sentences), the expected ROUGE of each sentence alone, 0 to 1.

    Inputs are `tokens` and `token_counts`, int32 (batch, sentences, length), the counts of the word of each
    token in the whole text, and `sentence_count`, float32 (batch, 1), of the whole text.
    """
    inputs = {
        "tokens": keras.Input((None, None), dtype="int32", name="tokens"),
        "token_counts": keras.Input((None, None), dtype="int32", name="token_counts"),
        "sentence_count": keras.Input((1,), name="sentence_count"),
    }
    encoder = SentenceEncoder(
        vocabulary_size, config.resolve_hidden_size(), config.dropout, name="sentence_encoder"
    )
    vectors = encoder(inputs["tokens"], inputs["token_counts"], inputs["sentence_count"])
    mask = SentenceMask(name="sentence_mask")(inputs["tokens"])
    scorer = SentenceScorer(
        config.resolve_hidden_size(), config.resolve_encoder_layers(), config.dropout, name="logits"
    )
    scores = layers.Activation("sigmoid", name="scores")(scorer(vectors, mask))
    return keras.Model(inputs, {"scores": scores}, name="extract")


def headline_network(
    vocabulary_size: int, max_source_tokens: int, max_headline_tokens: int, config: SummaryConfig
) -> keras.Model:
    """Network from `source` and `sequence` to the outputs of `HeadlineModel` after each token but the last.

    source: int32 (batch, max_source_tokens). sequence: int32 (batch, max_headline_tokens + 1), beginning with
    START.
    """
    source = keras.Input((max_source_tokens,), dtype="int32", name="source")
    sequence = keras.Input((max_headline_tokens + 1,), dtype="int32", name="sequence")
    hidden_size = config.resolve_hidden_size()
    model = HeadlineModel(
        vocabulary_size=vocabulary_size,
        hidden_size=hidden_size,
        heads=hidden_size // 64,
        convolutions=config.convolutions,
        encoder_layers=config.resolve_encoder_layers(),
        decoder_layers=config.decoder_layers,
        max_source_tokens=max_source_tokens,
        max_headline_tokens=max_headline_tokens,
        dropout=config.dropout,
        name="headline_model",
    )
    inputs = {"source": source, "sequence": sequence}
    return keras.Model(inputs, model(source, sequence[:, :-1]), name="headline_network")


def headline_signatures(network: Any) -> dict[str, Signature]:
    """Signatures of a headline network: `encode` once for a text, then `predict_token` for each token.

    The converter sorts signatures by name, and golden vectors pass the outputs of one to the next, so that
    `encode` must be the first.
    """
    model = network.get_layer("headline_model")
    length = model.settings["max_source_tokens"]
    return {
        "encode": Signature(
            network, lambda inputs: model.encode_memory(inputs["source"]), {"source": ((1, length), "int32")}
        ),
        "predict_token": Signature(network, model.decode_step, model.step_inputs()),
    }


def training_model(network: Any, config: SummaryConfig) -> keras.Model:
    """The network with its loss, metric and optimizer; see `Task.training_model`."""
    optimizer = keras.optimizers.AdamW(
        config.peak_learning_rate(), beta_2=0.98, weight_decay=config.weight_decay, clipnorm=1.0
    )
    if config.style == "extract":
        name, output = "oracle_scores", network.get_layer("logits").output
        loss, metric = ranking_loss, TopOracleScore(name="oracle_score")
    else:
        name, output = "tokens", _log_likelihood(network)
        loss, metric = negative_log_likelihood, MeanLogLikelihood(name="log_likelihood")
    model = keras.Model(network.inputs, {name: output}, name="training_model")
    vectors = [variable for variable in model.trainable_variables if len(variable.shape) < 2]
    optimizer.exclude_from_weight_decay(vectors)
    model.compile(
        optimizer=optimizer,
        loss={name: loss},
        metrics={name: [metric]},
        jit_compile=keras.backend.backend() == "jax",
    )
    return model


def _log_likelihood(network: Any) -> Any:
    inputs = {tensor.name: tensor for tensor in network.inputs}
    layer = LogLikelihood(network.get_layer("headline_model"), name="log_likelihood")
    return layer(inputs["source"], inputs["sequence"])


def ranking_loss(oracle_scores, logits):
    """Loss (batch,) of the order and the scores of sentences.

    oracle_scores: (batch, sentences), negative for padding. Sum of the cross entropy of the softmax over a
    text (ListNet; Cao et al., 2007, Learning to Rank) and the mean cross entropy of each sentence's own
    score.
    """
    mask = ops.cast(oracle_scores >= 0, "float32")
    bias = -MASK_PENALTY * (1.0 - mask)
    targets = ops.softmax(SHARPNESS * oracle_scores + bias, axis=-1)
    listwise = -ops.sum(targets * ops.log_softmax(logits + bias, axis=-1) * mask, axis=-1)
    pointwise = ops.softplus(logits) - ops.maximum(oracle_scores, 0.0) * logits
    return listwise + ops.sum(pointwise * mask, axis=-1) / ops.maximum(ops.sum(mask, axis=-1), 1.0)


def negative_log_likelihood(tokens, log_likelihood):
    """Negative log-likelihood (batch,) of the tokens of a headline, per token of the mean headline."""
    mask = token_mask(tokens)
    return -ops.sum(log_likelihood * mask, axis=-1) / ops.maximum(ops.mean(ops.sum(mask, axis=-1)), 1.0)


@keras.saving.register_keras_serializable("dltasks.summary")
class TopOracleScore(keras.metrics.Mean):
    """Mean oracle score of the sentence with the highest logit."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        best = ops.argmax(y_pred - MASK_PENALTY * ops.cast(y_true < 0, "float32"), axis=-1)
        return super().update_state(ops.take_along_axis(y_true, best[:, None], axis=-1), sample_weight)


@keras.saving.register_keras_serializable("dltasks.summary")
class MeanLogLikelihood(keras.metrics.Mean):
    """Mean natural log-likelihood of a token."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        return super().update_state(y_pred, token_mask(y_true))
