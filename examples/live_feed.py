"""Learn from a machine that waits for nobody: hold a temperature, while it goes on.

A feed yields what it measures and is sent the action; acting goes on in a thread of its own while the agent learns.
"""

import argparse
import threading
import time

import gymnasium as gym
import numpy as np

from tensor_optix import LivePipeline, PPOAgent, RLOptimizer, TFEvaluator


class Oven:
    """Stands for your machine: a heater that is on or off, and a door that somebody opens now and then."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)  # temperature from the wanted one, its change
    action_space = gym.spaces.Discrete(2)

    def __init__(self, seconds_per_step=0.001, seed=0):
        self.seconds_per_step, self.chance = seconds_per_step, np.random.default_rng(seed)
        self.temperature, self.change = -1.0, 0.0

    def stream(self):
        action = yield self.measured(), 0.0, False, False, {}  # the first reward belongs to nothing
        while True:
            time.sleep(self.seconds_per_step)
            self.heat(action)
            action = yield self.measured(), -abs(self.temperature), False, False, {}  # it never ends

    def heat(self, action):
        is_open = self.chance.random() < 0.02
        before = self.temperature
        self.temperature += 0.05 * (1.0 if action else -1.0) - 0.3 * is_open
        self.temperature = float(np.clip(self.temperature, -1.0, 1.0))
        self.change = self.temperature - before

    def measured(self):
        return np.array([self.temperature, self.change], np.float32)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=30.0, help="how long to learn")
    options = parser.parse_args()
    agent = PPOAgent()
    pipeline = LivePipeline(Oven(), agent, LivePipeline.every_n_steps(256), on_full="drop_oldest")
    per_step = TFEvaluator(
        primary_score_fn=lambda window, diagnostics: float(np.mean(window.rewards))
    )  # no episode ends
    optimizer = RLOptimizer(agent, pipeline, per_step, seed=0)  # without a time limit: learns, then watches and repairs
    alarm = threading.Timer(options.seconds, optimizer.stop)
    alarm.start()
    result = optimizer.run()
    alarm.cancel()
    scores = result.history["score"]
    print(result)
    print(f"Mean reward of a step, first and last windows: {np.mean(scores[:3]):.3f}, {np.mean(scores[-3:]):.3f}")


if __name__ == "__main__":
    main()
