"""Log what frozen policies score, window after window: the steady series on which a watchdog must stay quiet.

    python benchmarks/judgement_frozen.py                # writes benchmarks/results/curves/frozen.npz

Policies from hardly trained to trained, each sampled as it is for more than 1,000 windows in which episodes ended.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from judgement_envs import make_env

RESULT = Path(__file__).with_name("results") / "curves" / "frozen.npz"
WINDOWS = 1_250
POLICIES = [
    # environment, training steps, window
    ("CartPole", 2_000, 200),
    ("CartPole", 6_000, 400),
    ("FrozenLake", 15_000, 100),
    ("FrozenLake", 40_000, 100),
    ("Catch", 10_000, 60),
    ("Catch", 25_000, 60),
    ("Identity", 6_000, 60),
    ("Identity", 20_000, 60),
    ("Blackjack", 10_000, 20),
    ("CliffWalking", 30_000, 100),
    ("Acrobot", 15_000, 300),
]
SETTINGS = {"hidden_units": (64,), "train_frequency": 4, "learning_rate": 1e-3, "epsilon_decay_steps": 5_000}


def series_of(env, steps, window, seed):
    """Train, freeze, and return the mean return of the episodes that ended in each window."""
    import keras

    from tensor_optix.presets import make_agent, make_pipeline

    keras.backend.clear_session()

    def make():
        return make_env(env)

    agent = make_agent(make, "dqn", seed=seed, **SETTINGS)
    pipeline = make_pipeline(make, agent, window_size=window, seed=seed)
    agent.bind(pipeline.observation_space, pipeline.action_space, seed=seed)
    scores, taken = [], 0
    for data in pipeline.episodes():
        if taken < steps:
            agent.learn(data)
            taken += data.env_steps
            continue
        if len(data.completed_returns):
            scores.append(float(np.mean(data.completed_returns)))
        if len(scores) >= WINDOWS + 10:
            break
    pipeline.teardown()
    return np.asarray(scores[10:], dtype=np.float32)  # without those whose episodes began while it still learned


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    kept = {}
    for number, (env, steps, window) in enumerate(POLICIES):
        scores = series_of(env, steps, window, seed=500 + number)
        kept[f"{env} after {steps}"] = scores
        print(f"{env} after {steps}: mean {scores.mean():.4g}, sd {scores.std():.4g}", flush=True)
        np.savez_compressed(
            arguments.out, names=json.dumps(list(kept)), **{f"s{i}": v for i, v in enumerate(kept.values())}
        )


def load(path=RESULT):
    """Return ``{name: scores}``."""
    with np.load(path) as stored:
        return {name: stored[f"s{i}"].astype(np.float64) for i, name in enumerate(json.loads(str(stored["names"])))}


if __name__ == "__main__":
    main()
