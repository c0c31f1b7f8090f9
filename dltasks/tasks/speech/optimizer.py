"""Muon for convolutional networks."""

from typing import Any

import keras
from keras import ops


class Muon(keras.optimizers.Muon):
    """Keras's Muon (Jordan et al., 2024) with the kernels of convolutions flattened to matrices.

    The original takes matrices only; its authors flatten kernels in the same way. All other variables,
    and kernels of a single channel, are left to AdamW. Both take steps of one size (Liu et al., 2025), so
    that one learning rate serves both.
    """

    @classmethod
    def create(cls, learning_rate: float, weight_decay: float) -> "Muon":
        """With the same weight decay, decoupled from the gradient, for all variables."""
        return cls(learning_rate, weight_decay=weight_decay, adam_weight_decay=weight_decay)

    def _should_use_adamw(self, variable: Any) -> bool:
        return len(variable.shape) != 4 or 1 in variable.shape[2:]

    def _muon_update_step(self, gradient: Any, variable: Any, learning_rate: Any, momentum: Any) -> None:
        self.assign_add(momentum, gradient + momentum * (self.momentum - 1))
        step = gradient + self.momentum * momentum if self.nesterov else momentum
        matrix = ops.reshape(step, (-1, variable.shape[-1]))
        orthogonal = self.lr_adjust(self.zeropower_via_newtonschulz5(matrix, self.ns_steps))
        learning_rate = ops.cast(learning_rate, variable.dtype)
        self.assign_sub(variable, learning_rate * ops.reshape(orthogonal, variable.shape))
