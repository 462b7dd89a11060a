"""An algorithm of your own: advantage actor-critic (Mnih et al., 2016), in a `learn` of 25 lines.

Acting, saving, loading, exporting and everything that the loop does stay as they are; the second network and its
optimizer are saved with the agent, because they are among its attributes.
"""

import gymnasium as gym
import keras
import numpy as np
import tensorflow as tf

from tensor_optix import BatchPipeline, HyperparamSet, RLOptimizer, TFAgent, load_agent


def network(num_outputs):
    layers = [keras.layers.Dense(64, activation="tanh"), keras.layers.Dense(num_outputs)]
    return keras.Sequential([keras.Input((4,)), *layers])


class ActorCritic(TFAgent):
    """One gradient step a window for the actor, several for the critic."""

    def __init__(self, model, optimizer, hyperparams):
        super().__init__(model, optimizer, hyperparams)
        self.critic, self.critic_optimizer = network(1), keras.optimizers.Adam(3e-3)
        self.critic_optimizer.build(self.critic.trainable_variables)

    def learn(self, episode_data):
        window, params = episode_data, self._hyperparams.params
        values = self.critic(window.observations).numpy()[:, 0]
        next_values = self.critic(window.next_observations).numpy()[:, 0]  # true successors, before any reset
        discounts = params["gamma"] * (1.0 - np.asarray(window.terminated, np.float32))  # truncation bootstraps
        errors = np.asarray(window.rewards, np.float32) + discounts * next_values - values
        advantages, running = np.zeros_like(errors), 0.0
        for step in reversed(range(window.length)):  # generalized advantages, cut where an episode ends
            running = errors[step] + params["gamma"] * 0.95 * running * (not window.dones[step])
            advantages[step] = running
        for _ in range(20):
            value_loss = self.improve_critic(window.observations, advantages + values)
        weights = (advantages - advantages.mean()) / (advantages.std() + 1e-6)
        with tf.GradientTape() as tape:
            log_probs = self.log_prob(self.model(window.observations), window.actions)
            loss = -tf.reduce_mean(log_probs * weights)
        self.optimizer.apply(tape.gradient(loss, self.model.trainable_variables), self.model.trainable_variables)
        return {"loss": float(loss), "value_loss": float(value_loss)}

    @tf.function  # traced once: twenty steps take a few milliseconds
    def improve_critic(self, observations, targets):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self.critic(observations)[:, 0] - targets) ** 2)
        self.critic_optimizer.apply(
            tape.gradient(loss, self.critic.trainable_variables), self.critic.trainable_variables
        )
        return loss


def main():
    keras.utils.set_random_seed(0)
    params = HyperparamSet({"learning_rate": 3e-3, "gamma": 0.99}, episode_id=0)
    agent = ActorCritic(network(2), keras.optimizers.Adam(), params)
    pipeline = BatchPipeline(gym.make("CartPole-v1"), agent, window_size=200)
    result = RLOptimizer(agent, pipeline, seed=0, max_env_steps=60_000).run()
    print(result)
    loaded = load_agent(result.run_dir, custom_objects={"ActorCritic": ActorCritic})
    print("Loaded:", type(loaded).__name__)


if __name__ == "__main__":
    main()
