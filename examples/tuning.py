"""Hyperparameters tuned while learning, from a learning rate a hundred times lower than the usual one.

python examples/tuning.py --by backoff      # backoff, pbt, or nothing
"""

import argparse

from tensor_optix import BackoffOptimizer, ParamSpec, PBTOptimizer, RLOptimizer, make_agent, make_pipeline

BOUNDS = {
    "learning_rate": (1e-6, 1e-2),  # a wide range above 0: steps are taken on a logarithmic scale
    "gamma": ParamSpec(0.9, 0.999, scale="one_minus_log"),
}
TUNERS = {
    "backoff": lambda: BackoffOptimizer(BOUNDS, perturbation_scale=0.5),  # looks to both sides, keeps what is better
    "pbt": lambda: PBTOptimizer(BOUNDS, history_size=50),  # copies from the best of its history, with a small change
    "nothing": lambda: None,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--by", choices=TUNERS, default="backoff")
    parser.add_argument("--max-env-steps", type=int, default=100_000)
    options = parser.parse_args()
    agent = make_agent("CartPole-v1", "policy_gradient", learning_rate=3e-6, seed=0)
    pipeline = make_pipeline("CartPole-v1", agent, num_envs=1, window_size=200)
    tuner = TUNERS[options.by]()
    result = RLOptimizer(agent, pipeline, optimizer=tuner, seed=0, max_env_steps=options.max_env_steps).run()
    print(result)
    print("Champion's hyperparameters:", result.champion.hyperparams.params)


if __name__ == "__main__":
    main()
