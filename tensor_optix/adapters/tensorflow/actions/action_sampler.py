"""What every kind of action offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, ClassVar, Protocol, Self

import gymnasium as gym
import numpy as np
import tensorflow as tf
from keras import ops

from tensor_optix.core.mask_layout import MaskLayout

NEVER = 1e9
"""Logits so far below the others have a probability of exactly 0 in float32, and an entropy of 0."""


class ActionSampler(ABC):
    """How a model's outputs ``[K]`` or ``[N, K]`` become actions of one space, in NumPy.

    Samplers are frozen dataclasses, so a frozen policy may share them. Noise comes from outside, drawn
    in blocks beforehand: drawing it one action at a time would cost as much as a small network.
    What the model gave comes first in every method here and in a ``Density``: what narrows the choice
    beside it is one more argument behind.

    Attributes:
        num_outputs: K, how many numbers per observation the model must give.
        shape: Shape of one action.
        dtype: Dtype of one action.
        outputs_mean: What each output stands for, for error messages.
    """

    num_outputs: int
    shape: tuple[int, ...]
    dtype: np.dtype
    outputs_mean: ClassVar[str]

    @property
    def log_std(self) -> np.ndarray | None:
        """Log of the spread that it was made with, ``[K]``, where a learned spread belongs to the policy."""
        return None

    @abstractmethod
    def draw_noise(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return noise for ``count`` actions, a row each."""

    def sample_one(self, outputs: np.ndarray, noise: np.ndarray, mask: np.ndarray | None = None) -> Any:
        """Return the action that outputs ``[K]`` and a row of noise make, one that a mask ``[A]`` allows."""
        outputs = outputs if mask is None else self.masked(outputs, mask)
        return self._to_env(self._drawn(outputs, noise), self.shape)

    def sample(self, outputs: np.ndarray, noise: np.ndarray, masks: np.ndarray | None = None) -> np.ndarray:
        """Return actions ``[N, *shape]`` from outputs ``[N, K]`` and N rows of noise, which masks ``[N, A]`` allow."""
        outputs = outputs if masks is None else self.masked(outputs, masks)
        return self._to_env(self._drawn(outputs, noise), (len(outputs), *self.shape))

    def greedy_one(self, outputs: np.ndarray, mask: np.ndarray | None = None) -> Any:
        """Return the most likely action for outputs ``[K]`` of those that a mask ``[A]`` allows."""
        outputs = outputs if mask is None else self.masked(outputs, mask)
        return self._to_env(self._likeliest(outputs), self.shape)

    def greedy(self, outputs: np.ndarray, masks: np.ndarray | None = None) -> np.ndarray:
        """Return the most likely actions ``[N, *shape]`` for outputs ``[N, K]`` that masks ``[N, A]`` allow."""
        outputs = outputs if masks is None else self.masked(outputs, masks)
        return self._to_env(self._likeliest(outputs), (len(outputs), *self.shape))

    @property
    def mask_layout(self) -> MaskLayout | None:
        """How a mask of what is allowed is laid out; None where there are none for such actions: the default."""
        return None

    def masked(self, outputs: np.ndarray, masks: np.ndarray) -> np.ndarray:
        """Return outputs ``[..., K]`` under which an option that masks ``[..., A]`` rule out has no probability.

        Raises:
            NotImplementedError: There are no masks for such actions.
        """
        raise NotImplementedError(f"{type(self).__name__} has no masks.")

    def allows(self, masks: np.ndarray, actions: Any) -> np.ndarray:
        """Tell which of the environment's actions ``[N, *shape]`` masks ``[N, A]`` allow."""
        outputs = np.zeros((len(masks), self.num_outputs), np.float32)
        possible: np.ndarray = np.isfinite(self.log_prob(self.masked(outputs, masks), actions))
        return possible

    def masked_layer(self, outputs: Any, masks: Any) -> Any:
        """Return the same for symbolic outputs ``[B, K]`` and masks ``[B, A]`` of 0 and 1, both in float32."""
        raise NotImplementedError(f"{type(self).__name__} has no masks.")

    @abstractmethod
    def log_prob(self, outputs: np.ndarray, actions: Any) -> np.ndarray:
        """Return the log-probability ``[N]`` of the environment's actions under outputs ``[N, K]``.

        Where there are masks, they are one more argument ``[N, A]``.
        """

    @abstractmethod
    def encode(self, actions: Any) -> np.ndarray:
        """Turn actions ``[B, ...]`` of the environment into what is learned from."""

    @abstractmethod
    def greedy_layer(self, outputs: Any) -> Any:
        """Return the most likely actions ``[B, *shape]`` for symbolic outputs ``[B, K]`` in float32.

        Integers come in the dtype of the space (int64 for a Discrete one), numbers in float32 or, where
        the space is narrower, in its own dtype. Only Keras's operations are used, so that a saved model
        is read by plain Keras, and of them only those that ONNX and TFLite know.
        """

    def noisy_layer(self, outputs: Any, noise: SymbolicNumbers) -> Any:
        """Return symbolic outputs ``[B, K]`` whose most likely action is a draw from the policy.

        Raises:
            NotImplementedError: This kind of action is exported greedily only; the default.
        """
        raise NotImplementedError(f"{type(self).__name__} has no noisy_layer: export it with deterministic=True.")

    def explains(self, outputs: np.ndarray, actions: np.ndarray, within: np.ndarray) -> np.ndarray:
        """Tell which actions ``[N, *shape]`` are greedy, or would be if outputs ``[N, K]`` were a bit different.

        Args:
            outputs: What the model gave.
            actions: As the environment takes them.
            within: By how much each of a row's outputs may be different, ``[N]``.
        """
        rows = (actions == self.greedy(outputs)).reshape(len(outputs), -1)
        same: np.ndarray = rows.all(axis=-1)
        return same

    def misfit(self, known: Any, new: Any) -> str | None:
        """Return why what acts in the space ``known`` cannot act in ``new``, None where it can."""
        return self._difference(known, new) if type(known) is type(new) else "another kind of space"

    def in_space(self, known: Any, new: Any) -> Self:
        """Return the sampler as it acts in ``new``, which fits.

        Args:
            known: The space that the networks were made for.
            new: One that :meth:`misfit` has nothing against.
        """
        return replace(self, dtype=new.dtype)  # type: ignore[type-var]

    def has_density_of(self, other: Any) -> bool:
        """Tell whether what learns through this may learn through ``other``, which differs by ``in_space`` alone."""
        return True

    def _difference(self, known: Any, new: Any) -> str | None:
        """Return why two spaces of one kind are too different, None where they are not."""
        return None if known.shape == new.shape else f"the shape {new.shape} instead of {known.shape}"

    def _drawn(self, outputs: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Return outputs whose most likely action is a draw from the policy."""
        return outputs + noise

    def _likeliest(self, outputs: np.ndarray) -> np.ndarray:
        return outputs

    def _to_env(self, outputs: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Return the action that what ``_drawn`` or ``_likeliest`` gave stands for, in ``shape``."""
        raise NotImplementedError

    def _shaped(self, actions: Any) -> Any:
        """Return symbolic actions ``[B, C]`` in the shape of the space."""
        return actions if len(self.shape) == 1 else ops.reshape(actions, (-1, *self.shape))


class SymbolicNumbers(Protocol):
    """Random numbers of a symbolic model, new at each call."""

    def uniform(self, like: Any) -> Any:
        """Return numbers from 0 to 1, without 1, in the shape of ``like``."""
        ...

    def normal(self, like: Any) -> Any:
        """Return standard normal numbers in the shape of ``like``."""
        ...


class PolicyHead(ActionSampler):
    """A sampler that policy gradients learn through: the acting and the learning half of a policy.

    Attributes:
        space_class: Gymnasium's class of the spaces that it is for.
        served: These spaces in words, for error messages.
    """

    space_class: ClassVar[type[gym.Space[Any]]]
    served: ClassVar[str]

    @classmethod
    def serves(cls, action_space: Any) -> bool:
        """Tell whether this is the kind of actions that are in ``action_space``."""
        return isinstance(action_space, cls.space_class)

    @classmethod
    @abstractmethod
    def for_space(cls, action_space: Any) -> Self:
        """Make one for a space that it serves."""

    @property
    def encoded_spec(self) -> tf.TensorSpec:
        """Shape and dtype of encoded actions, batch first."""
        one = self.encode(self.greedy(np.zeros((1, self.num_outputs), np.float32)))
        return tf.TensorSpec((None, *one.shape[1:]), one.dtype)

    @abstractmethod
    def density(self, log_std: Any) -> Density:
        """Return how likely encoded actions are.

        Args:
            log_std: A variable ``[K]``, log of the learned spread; None where there is none.
        """

    def with_log_std(self, log_std: np.ndarray) -> Self:
        """Return the same head with another spread."""
        return self


class Density(Protocol):
    """How likely encoded actions are under a model's outputs, in TensorFlow; all methods can be traced."""

    def masked(self, outputs: Any, masks: Any) -> Any:
        """Return outputs ``[B, K]`` under which what masks ``[B, A]``, bool, rule out has no probability.

        They are finite, so that what follows has no NaN, nor its gradients: beyond :data:`NEVER` nothing is drawn.
        """
        ...

    def log_prob(self, outputs: Any, actions: Any) -> Any:
        """Return ``log p(a | o)``, ``[B]``, of encoded actions under outputs ``[B, K]``."""
        ...

    def entropy(self, outputs: Any) -> Any:
        """Return the entropy in nats, ``[B]``."""
        ...
