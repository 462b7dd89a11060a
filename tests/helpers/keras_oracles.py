"""One gradient step of each agent on data whose loss can be written down, and what ``keras.Model.fit`` makes of it."""

import gymnasium as gym
import keras
import numpy as np
import tensorflow as tf

from tensor_optix import DQNAgent, EpisodeData, HyperparamSet, PPOAgent, SACAgent, TFAgent

OBSERVATIONS = gym.spaces.Box(-5.0, 5.0, (3,), np.float32)
CHOICES = gym.spaces.Discrete(2)
NUMBERS = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)
RATE = 0.01

FEATURES = ("constraints", "regularizers", "activity", "add_loss", "frozen")


@keras.saving.register_keras_serializable(package="tests")
class Adds(keras.layers.Layer):
    """Adds the mean square of what it passes on to the loss."""

    def call(self, x):
        self.add_loss(0.3 * keras.ops.mean(keras.ops.square(x)))
        return x


def body(features):
    """The layers of a small network that uses some features."""
    first, options = {}, {}
    if "constraints" in features:
        first |= {"kernel_constraint": keras.constraints.MaxNorm(0.6), "bias_constraint": keras.constraints.NonNeg()}
        options["kernel_constraint"] = keras.constraints.UnitNorm(axis=0)
    if "regularizers" in features:
        first |= {"kernel_regularizer": keras.regularizers.L2(0.2), "bias_regularizer": keras.regularizers.L1(0.1)}
    if "activity" in features:
        first["activity_regularizer"] = keras.regularizers.L2(0.05)
    layers = [keras.layers.Dense(4, activation="tanh", **first)]
    if "add_loss" in features:
        layers.append(Adds())
    if "frozen" in features:
        layers.append(keras.layers.Dense(4, activation="tanh", trainable=False))
    return [*layers, keras.layers.Dense(3, activation="tanh", **options)]


def network(features, num_outputs, seed, num_inputs=3):
    """The same for the same seed."""
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((num_inputs,)), *body(features), keras.layers.Dense(num_outputs)])


def critic_network(features, seed):
    keras.utils.set_random_seed(seed)
    inputs = [keras.Input((3,)), keras.Input((1,))]
    x = keras.layers.Concatenate()(inputs)
    for layer in [*body(features), keras.layers.Dense(1)]:
        x = layer(x)
    return keras.Model(inputs, x)


def window(observations, actions, rewards):
    """Steps that are episodes of their own: returns are rewards, and nothing is bootstrapped."""
    ends = np.ones(len(rewards), bool)
    return EpisodeData(
        observations, actions, rewards, ends, np.zeros_like(ends), [], 0, next_observations=np.zeros_like(observations)
    )


def params(**others):
    return HyperparamSet({"learning_rate": RATE, "gamma": 0.9, **others}, 0)


def fitted(model, optimizer, loss, x, y, num_steps):
    """Let Keras take steps; return all weights."""
    model.compile(optimizer=optimizer, loss=loss)
    for _ in range(num_steps):
        model.train_on_batch(x, y)
    return model.get_weights()


def own_loss(features, optimizer, num_steps):
    """``TFAgent`` with ``compute_loss_fn``."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(8, 3)).astype(np.float32), rng.normal(size=(8, 2)).astype(np.float32)

    def loss(model, episode_data, returns):
        return tf.reduce_mean(tf.square(model(episode_data.observations) - y))

    model = network(features, 2, 0)
    agent = TFAgent(model, optimizer(), params(), compute_loss_fn=loss)
    agent.bind(OBSERVATIONS, CHOICES, seed=0)
    for _ in range(num_steps):
        told = agent.learn(window(x, np.zeros(8, int), np.ones(8)))
    return agent, told, model.get_weights(), fitted(network(features, 2, 0), optimizer(), "mse", x, y, num_steps)


def policy_loss(y, logits):
    """Of advantages in the first column and one-hot actions in the others, at ratio 1, with an entropy bonus."""
    log_probs, y = tf.nn.log_softmax(tf.cast(logits, tf.float32)), tf.cast(y, tf.float32)
    chosen = tf.reduce_sum(log_probs * y[:, 1:], axis=-1)
    entropy = -tf.reduce_sum(tf.exp(log_probs) * log_probs, axis=-1)
    return -y[:, 0] * tf.exp(chosen - tf.stop_gradient(chosen)) - 0.1 * entropy


def policy_gradient(features, optimizer, num_steps):
    """``TFAgent`` as it learns by default: on equal observations its baseline is one number, which centring removes."""
    rng = np.random.default_rng(2)
    x, actions, rewards = np.full((256, 3), 0.7, np.float32), rng.integers(0, 2, 256), rng.normal(1.0, 2.0, 256)
    model = network(features, 2, 0)
    agent = TFAgent(model, optimizer(), params(num_epochs=1, entropy_coef=0.1, kl_target=1e6))
    agent.bind(OBSERVATIONS, CHOICES, seed=0)
    told = agent.learn(window(x, actions, rewards))
    if num_steps == 2:  # an accumulating optimizer has not moved yet; the memory then holds both windows alike
        agent._learner._recent.clear()
        agent._learner.kl_factor = 1.0
        told = agent.learn(window(x, actions, rewards))
    advantages = (rewards - rewards.mean()) / rewards.std()
    y = np.column_stack([advantages, np.eye(2)[actions]]).astype(np.float32)
    return agent, told, model.get_weights(), fitted(network(features, 2, 0), optimizer(), policy_loss, x, y, num_steps)


def ppo(features, optimizer, num_steps):
    rng = np.random.default_rng(3)
    x, actions, rewards = rng.normal(size=(32, 3)).astype(np.float32), rng.integers(0, 2, 32), rng.normal(size=32)
    actor, critic = network(features, 2, 0), network(features, 1, 1)
    values = critic.predict(x, verbose=0)[:, 0].astype(np.float64)
    agent = PPOAgent(
        actor,
        critic,
        optimizer(),
        params(num_epochs=1, entropy_coef=0.1, value_coef=0.5, kl_target=None, max_grad_norm=None),
        batch_size=32,
        normalize_observations=False,
        scale_rewards=False,
        jit_compile=False,
    )
    agent.bind(OBSERVATIONS, CHOICES, seed=0)
    for _ in range(num_steps):
        told = agent.learn(window(x, actions, rewards))
    advantages = rewards - values
    advantages = (advantages - advantages.mean()) / advantages.std()
    y = np.column_stack([advantages, np.eye(2)[actions]]).astype(np.float32)
    entry = keras.Input((3,))
    actor_too, critic_too = network(features, 2, 0), network(features, 1, 1)
    both = keras.Model(entry, [actor_too(entry), critic_too(entry)])
    both.compile(optimizer=optimizer(), loss=[policy_loss, "mse"], loss_weights=[1.0, 0.5])
    for _ in range(num_steps):
        both.train_on_batch(x, [y, rewards[:, None].astype(np.float32)])
    expected = [*actor_too.get_weights(), *critic_too.get_weights()]
    return agent, told, [*actor.get_weights(), *critic.get_weights()], expected


def dqn(features, optimizer, num_steps):
    """On a replay of one transition, drawn again and again."""
    x, actions, rewards = np.full((8, 3), 0.7, np.float32), np.ones(8, int), np.full(8, 0.4)

    def loss(y, q):
        error = tf.abs(tf.cast(y, tf.float32)[:, 0] - tf.cast(q, tf.float32)[:, 1])
        return tf.where(error < 1.0, 0.5 * error**2, error - 0.5)

    model = network(features, 2, 0)
    agent = DQNAgent(
        model,
        optimizer(),
        params(train_frequency=8, gradient_steps=1, max_grad_norm=1e9),
        batch_size=16,
        buffer_size=64,
        learning_starts=0,
        num_steps=1,
        scale_rewards=False,
    )
    agent.bind(OBSERVATIONS, CHOICES, seed=0)
    for _ in range(num_steps):
        told = agent.learn(window(x, actions, rewards))
    expected = fitted(
        network(features, 2, 0), optimizer(), loss, np.tile(x, (2, 1)), np.full((16, 1), 0.4, np.float32), num_steps
    )
    return agent, told, model.get_weights(), expected


def sac(features, optimizer, num_steps):
    """Both critics and the actor, each with an optimizer of its own, on a replay of one transition."""
    x, actions, rewards = np.full((8, 3), 0.7, np.float32), np.full((8, 1), 0.3, np.float32), np.full(8, 0.4)
    actor, critic = network(features, 2, 0), critic_network(features, 1)
    agent = SACAgent(
        actor,
        critic,
        optimizer(),
        params(train_frequency=8, gradient_steps=1, alpha=0.2),
        batch_size=16,
        buffer_size=64,
        learning_starts=0,
        scale_rewards=False,
    )
    agent.bind(OBSERVATIONS, NUMBERS, seed=0)
    trained = [i for i, w in enumerate(critic.weights) if any(w is v for v in critic.trainable_weights)]

    def twin_of(weights):
        """All weights of the twin: those that are frozen are the critic's."""
        arrays, own = agent.get_state().arrays, list(weights)
        for n, i in enumerate(trained):
            own[i] = arrays[f"twin.{n}"]
        return own

    generator = np.random.Generator(np.random.PCG64())
    generator.bit_generator.state = agent.get_state().meta["learner"]["generator"]
    critics = [critic_network(features, 1), critic_network(features, 1)]
    critics[1].set_weights(twin_of(critic.get_weights()))
    x16, a16 = np.tile(x, (2, 1)), np.tile(actions, (2, 1))
    noises = [generator.standard_normal((1, 16, 2), np.float32)[0] for _ in range(num_steps)]
    for _ in range(num_steps):
        told = agent.learn(window(x, actions, rewards))

    def actor_loss(noise, outputs):
        outputs, noise = tf.cast(outputs, tf.float32), tf.cast(noise, tf.float32)
        mean, log_std = outputs[:, :1], tf.clip_by_value(outputs[:, 1:], -20.0, 2.0)
        u = mean + tf.exp(log_std) * noise[:, :1]
        normal = -0.5 * noise[:, :1] ** 2 - log_std - 0.5 * np.log(2 * np.pi)
        log_prob = normal - 2.0 * (np.log(2.0) - u - tf.math.softplus(-2.0 * u))
        q = tf.minimum(*(tf.cast(critic([tf.constant(x16), tf.tanh(u)]), tf.float32) for critic in critics))
        return (0.2 * log_prob - q)[:, 0]

    actor_too = network(features, 2, 0)
    actor_too.compile(optimizer=optimizer(), loss=actor_loss, run_eagerly=True)

    def critic_loss(y, q):
        return 0.5 * tf.square(tf.cast(q, tf.float32) - tf.cast(y, tf.float32))[:, 0]

    for critic_too in critics:
        critic_too.compile(optimizer=optimizer(), loss=critic_loss)
    for noise in noises:  # gradients are all taken at the same weights: the actor's first
        actor_too.train_on_batch(x16, noise)
        for critic_too in critics:
            critic_too.train_on_batch([x16, a16], np.full((16, 1), 0.4, np.float32))
    found = [*actor.get_weights(), *critic.get_weights(), *twin_of(critic.get_weights())]
    return agent, told, found, [w for model in (actor_too, *critics) for w in model.get_weights()]


AGENTS = {"own_loss": own_loss, "policy_gradient": policy_gradient, "ppo": ppo, "dqn": dqn, "sac": sac}
"""By name what takes steps with an agent and with Keras: returns the agent, what it told, its weights and Keras's."""
