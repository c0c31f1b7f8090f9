"""Muon for a network of convolutions."""

import keras
from keras import ops


class Muon(keras.optimizers.Muon):
    """Keras's Muon (Jordan et al., 2024), which takes matrices only, with the kernels of convolutions flattened to
    matrices as its authors do; all else, and kernels of a single channel, is left to AdamW.

    Their steps have one size (Liu et al., 2025), so that one learning rate serves both.
    """

    @classmethod
    def of(cls, learning_rate: float, weight_decay: float) -> "Muon":
        """With the same decay, decoupled from the gradient, for all variables."""
        return cls(learning_rate, weight_decay=weight_decay, adam_weight_decay=weight_decay)

    def _should_use_adamw(self, variable):
        return len(variable.shape) != 4 or 1 in variable.shape[2:]

    def _muon_update_step(self, gradient, variable, learning_rate, momentum):
        self.assign_add(momentum, gradient + momentum * (self.momentum - 1))
        step = gradient + self.momentum * momentum if self.nesterov else momentum
        matrix = ops.reshape(step, (-1, variable.shape[-1]))
        turned = self.lr_adjust(self.zeropower_via_newtonschulz5(matrix, self.ns_steps))
        learning_rate = ops.cast(learning_rate, variable.dtype)
        self.assign_sub(variable, learning_rate * ops.reshape(turned, variable.shape))
