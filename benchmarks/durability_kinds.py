"""What users bring into a run that `durability.py` interrupts: each kind of state, by name.

Those that are saved must end as if nothing had happened. Those that cannot be must be named in the result.
"""

import gymnasium as gym
import keras
import numpy as np
import tensorflow as tf
from gymnasium.vector import AsyncVectorEnv, AutoresetMode
from harness.wrapped_envs import Honest, Tiring, normalised, normalised_together

from tensor_optix import HyperparamSet, LoopCallback, TFAgent

PARAMS = {"learning_rate": 3e-3, "gamma": 0.99}


def statistics_in(dtype):
    return lambda num_envs: normalised(dtype) if num_envs == 1 else normalised_together(dtype, num_envs)


def each(wrap):
    def make(num_envs):
        if num_envs == 1:
            return wrap(gym.make("CartPole-v1"))
        return gym.vector.SyncVectorEnv([lambda: wrap(gym.make("CartPole-v1"))] * num_envs)

    return make


def in_workers(shared_memory, mode):
    def make(num_envs):
        makers = [lambda: gym.make("CartPole-v1")] * num_envs
        return AsyncVectorEnv(makers, shared_memory=shared_memory, autoreset_mode=mode, context="fork")

    return make


WORKERS = {
    f"worker processes, {'shared' if shared else 'own'} memory, {mode.value}": {
        "env": in_workers(shared, mode),
        "has_workers": True,
    }
    for shared in (True, False)
    for mode in AutoresetMode
}


def network(size, seed, *layers):
    def dense(units, activation=None):
        return keras.layers.Dense(units, activation, kernel_initializer=keras.initializers.HeNormal(seed))

    return keras.Sequential([keras.Input((4,)), dense(16, "tanh"), *layers, dense(size)])


class TwoNetworks(TFAgent):
    """Adds what a second network, with an optimizer and seeds of its own, makes of the window."""

    def __init__(self, model, optimizer, hyperparams, seed):
        super().__init__(model, optimizer, hyperparams)
        self.parts = {"critic": network(1, seed), "optimizer": keras.optimizers.Adam(1e-2)}
        self.seeds, self.scale = keras.random.SeedGenerator(seed), tf.Variable(1.0 + seed)
        self.rng = np.random.default_rng(seed)

    def learn(self, episode_data):
        found = super().learn(episode_data)
        critic = self.parts["critic"]
        observations = tf.constant(episode_data.observations.reshape(-1, 4), tf.float32)
        target = keras.random.normal((1,), seed=self.seeds) * self.scale + self.rng.normal()
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((critic(observations) - target) ** 2)
        self.parts["optimizer"].apply(tape.gradient(loss, critic.trainable_variables), critic.trainable_variables)
        self.scale.assign(self.scale * 0.99)
        self.model.variables[-1].assign_add([0.01 * tf.tanh(loss), 0.0])
        return found | {"critic_loss": float(loss)}


def two_networks(seed):
    return TwoNetworks(network(2, seed), keras.optimizers.Adam(), HyperparamSet(PARAMS, 0), seed)


def with_dropout(*layers):
    def loss(model, episode_data, returns):
        logits = model(episode_data.observations.reshape(-1, 4), training=True)
        return tf.reduce_mean(tf.nn.log_softmax(logits)[:, 0] * returns.reshape(-1))

    def make(seed):
        made = [layer(seed) for layer in layers]
        return TFAgent(network(2, seed, *made), keras.optimizers.Adam(), HyperparamSet(PARAMS, 0), loss)

    return make


class Forgetful(LoopCallback):
    """Counts, and does not save it."""

    def __init__(self):
        self.counts = []

    def on_episode_end(self, episode_id, metrics):
        self.counts.append(episode_id)


KINDS = {
    "float16 statistics": {"env": statistics_in(np.float16)},
    "float32 statistics": {"env": statistics_in(np.float32)},
    "float64 statistics": {"env": statistics_in(np.float64)},
    "a wrapper with state_dict": {"env": each(Honest)},
    "a second network": {"agent": two_networks},
    "layers with seeds": {
        "agent": with_dropout(
            lambda seed: keras.layers.Dropout(0.3, seed=seed), lambda seed: keras.layers.GaussianNoise(0.1, seed=seed)
        )
    },
    "a callback without state_dict": {"callbacks": [Forgetful], "says": "the callback Forgetful holds state"},
    "a wrapper without state_dict": {
        "env": each(Tiring),
        "says": "the environment's Tiring carries state over a reset",
    },
    **WORKERS,
}
"""By name: what makes the environment from a number of them and the agent from a seed, where other than usual;
what else listens; whether there are processes that may be killed, too; and, where it cannot be saved, what the
result must say."""
