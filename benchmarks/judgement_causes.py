"""Does the loop find out why scores dropped? A damaged policy, a changed world, or nothing at all.

    python benchmarks/judgement_causes.py --out causes.jsonl

Champions are trained by the loop itself, on CartPole, Acrobot and Pendulum. Then, one case after another: the current
policy's weights are damaged, or the physics of the running environment changes at once, or goes on changing while the
episodes are played, or nothing happens (noise raised the alarm). The loop's own response plays and tells the cause. A
damage or a change counts only if it costs the champion at least one spread of its returns, as an alarm would need.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import gymnasium as gym
import numpy as np

SETTINGS = {
    "CartPole": (30_000, 32, {}),
    "Acrobot": (60_000, 64, {}),
    "Pendulum": (150_000, 100, {"gamma": 0.9, "learning_rate": 1e-3}),
}
CHAMPIONS = [(name, seed, *settings) for name, settings in SETTINGS.items() for seed in (2, 3, 4, 5)]
"""Environment, seed, training steps, window of each of the 8 environments, settings."""

CASES = ["damage"] * 5 + ["abrupt"] * 4 + ["gradual"] * 4 + ["noise"] * 4
EXPECTED = {"damage": "policy damaged", "abrupt": "world changed", "gradual": "world changed", "noise": "false alarm"}
IDS = {"CartPole": "CartPole-v1", "Acrobot": "Acrobot-v1", "Pendulum": "Pendulum-v1"}
PHYSICS = {
    "CartPole": {"force_mag": (0.2, 0.1, 0.05), "gravity": (3.0, 8.0, 20.0), "masscart": (5.0, 15.0, 40.0, 80.0)},
    "Acrobot": {"LINK_MASS_2": (1.6, 2.5, 4.0), "LINK_LENGTH_1": (1.4, 1.8, 2.5), "MAX_VEL_2": (0.5, 0.3, 0.2)},
    "Pendulum": {"max_torque": (0.7, 0.5, 0.3), "m": (1.4, 2.0, 3.0), "g": (1.4, 2.0, 3.0)},
}
"""What may change, and factors from mild to severe."""

REFERENCE = 40  # episodes of the report, which the loop holds later ones against
DRIFT_STEPS = 20_000  # environment steps in which a gradual change is completed
DRIFT_SEEN = 0.6  # share of it that has happened when the alarm is raised


class World:
    """The physics that all copies of an environment share."""

    def __init__(self):
        self.name, self.factor, self.progress, self.is_gradual = None, 1.0, 1.0, False

    def change(self, name, factor, gradual=False):
        self.name, self.factor, self.is_gradual = name, factor, gradual
        self.progress = DRIFT_SEEN if gradual else 1.0

    def reset(self):
        self.change(None, 1.0)

    def tick(self):
        if self.is_gradual:
            self.progress = min(1.0, self.progress + 1.0 / DRIFT_STEPS)

    @property
    def factor_now(self):
        return 1.0 + (self.factor - 1.0) * self.progress


class Changing(gym.Wrapper):
    """An environment whose physics follow a world."""

    def __init__(self, env, world):
        super().__init__(env)
        self._world = world
        self._changed = None

    def step(self, action):
        self._world.tick()
        self._follow()
        return self.env.step(action)

    def _follow(self):
        world, plain = self._world, self.env.unwrapped
        if self._changed is not None:
            setattr(plain, *self._changed)
            self._changed = None
        if world.name is not None:
            self._changed = (world.name, getattr(plain, world.name))
            setattr(plain, world.name, self._changed[1] * world.factor_now)
        if hasattr(plain, "polemass_length"):
            plain.total_mass = plain.masspole + plain.masscart
            plain.polemass_length = plain.masspole * plain.length


def make_champion(name, seed, steps, window, settings, folder):
    """Train with the loop and return the optimizer, whose agent holds the champion, and the world."""
    from tensor_optix import RLOptimizer
    from tensor_optix.presets import make_agent, make_pipeline

    world = World()

    def make():
        return Changing(gym.make(IDS[name]), world)

    agent = make_agent(make, "ppo", seed=seed, **settings)
    pipeline = make_pipeline(make, agent, num_envs=8, window_size=window, seed=seed)
    trainer = RLOptimizer(
        agent,
        pipeline,
        checkpoint_dir=folder,
        seed=seed,
        max_env_steps=steps,
        dormant_threshold=10_000,
        report_episodes=REFERENCE,
    )
    trainer.run()
    return trainer, agent, pipeline, world


def play(pipeline, agent, seed, episodes=40):
    from tensor_optix.core.judgement.arena import GreedyActor

    return pipeline.play_episodes(GreedyActor(agent, pipeline.give_way), episodes, seed=seed).returns


def damaged(agent, rng, scale):
    """Add noise to the policy's weights."""
    for variable in agent.model.trainable_variables:
        value = variable.numpy()
        spread = value.std() or 0.1
        variable.assign(value + scale * spread * rng.normal(size=value.shape).astype(value.dtype))
    agent.refresh()


def is_real(returns, before):
    """Whether a drop is one: a spread of the champion's returns, and 5 % of their size."""
    drop = before.mean() - returns.mean()
    return drop > max(before.std(), 0.05 * abs(before.mean()))


def bring_about(case, name, rng, world, agent, pipeline, before):
    """Damage or change until it hurts; return what was done, None where nothing did."""
    if case == "noise":
        return "nothing"
    if case == "damage":
        healthy = agent.get_state("learner")
        for scale in np.array([0.3, 0.6, 1.2, 2.4, 4.8]) * rng.uniform(0.8, 1.25):
            agent.set_state(healthy)
            damaged(agent, rng, scale)
            if is_real(play(pipeline, agent, int(rng.integers(2**31))), before):
                return f"noise of {scale:.2f} spreads on the weights"
        return None
    for attribute in rng.permutation(list(PHYSICS[name])).tolist():
        for factor in PHYSICS[name][attribute]:
            world.change(attribute, factor)
            if case == "gradual":  # what has happened by the alarm must hurt by itself
                world.progress = DRIFT_SEEN
            if is_real(play(pipeline, agent, int(rng.integers(2**31))), before):
                world.change(attribute, factor, gradual=case == "gradual")
                return f"{attribute} x {factor}{', gradually' if case == 'gradual' else ''}"
    return None


def run_champion(number):
    """Return one record per case."""
    name, seed, steps, window, settings = CHAMPIONS[number]
    rng = np.random.default_rng([2024, number])
    records = []
    with tempfile.TemporaryDirectory() as folder:
        trainer, agent, pipeline, world = make_champion(name, seed, steps, window, settings, folder)
        loop = trainer._controller
        loop.parts.ledger.max_env_steps = None  # its training used the budget up, and alarms come after it
        pipeline.setup()
        champion = agent.get_state("learner")
        before = play(pipeline, agent, 7)
        for case in CASES:
            agent.set_state(champion)
            world.reset()
            done = bring_about(case, name, rng, world, agent, pipeline, before)
            if done is None:
                continue
            loop.parts.ledger.steps["diagnosis"] = 0  # each case is the first alarm of its run
            cause = loop.parts.alarm.play_for_cause()
            records.append({
                "env": name,
                "seed": seed,
                "champion_mean": round(float(before.mean()), 2),
                "case": case,
                "done": done,
                "found": cause.value,
                "right": cause.value == EXPECTED[case],
            })  # fmt: skip
        pipeline.teardown()
    return records


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--champion", type=int, help="only this one of the list")
    arguments = parser.parse_args()
    for number in range(len(CHAMPIONS)) if arguments.champion is None else [arguments.champion]:
        started = time.perf_counter()
        records = run_champion(number)
        with arguments.out.open("a") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)
        right = sum(record["right"] for record in records)
        print(f"{CHAMPIONS[number][:2]}: {right} of {len(records)}, {time.perf_counter() - started:.0f} s", flush=True)
        for record in records:
            if not record["right"]:
                print("   ", record["case"], record["done"], "->", record["found"], flush=True)


if __name__ == "__main__":
    main()
