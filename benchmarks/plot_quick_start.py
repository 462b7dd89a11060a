"""Draws the picture in the README: one Quick Start, from its first window to its report.

python benchmarks/plot_quick_start.py --seed 0 --output docs/images/quick_start.png
"""

import argparse
import tempfile
from pathlib import Path

import quick_start

from tensor_optix.reporting.report import plot_run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", choices=sorted(quick_start.LAYER_SIZES), default="CartPole-v1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-env-steps", type=int, default=400_000)
    parser.add_argument("--output", type=Path, default=Path("docs/images/quick_start.png"))
    arguments = parser.parse_args()
    quick_start.tf.keras.utils.set_random_seed(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        optimizer, _ = quick_start.build(
            arguments.env, folder, seed=arguments.seed, max_env_steps=arguments.max_env_steps
        )
        result = optimizer.run()
    print(result)
    print(f"Drawn: {plot_run(result, arguments.output)}")


if __name__ == "__main__":
    main()
