"""Where the wall time of the Quick Start goes.

Wraps methods from the outside and charges every moment to the innermost one that runs: acting,
learning and stepping the environment are the work; evaluation (greedy episodes, whatever runs in
them, and bringing the champion in and out for them), saving, and building the agent (once: the
optimizer's slots, the acting program and its check against the model) are told apart; the rest is
the loop's own. What wrapping costs is measured on a method that does nothing, and taken off.

    python benchmarks/quick_start_profile.py --max-windows 200
"""

import argparse
import functools
import json
import tempfile
import time

import quick_start

WORK = ("act", "learn", "env.step")


class Clock:
    """Charges time to the innermost of nested sections; ``evaluation`` swallows all inside it."""

    def __init__(self):
        self.seconds, self._calls_from = {}, {}
        self._stack = ["loop"]
        self._since = time.perf_counter()

    def enter(self, name):
        self._charge()
        self._calls_from[self._stack[-1]] = self._calls_from.get(self._stack[-1], 0) + 1
        self._stack.append("evaluation" if "evaluation" in self._stack else name)

    def leave(self):
        self._charge()
        self._stack.pop()

    def _charge(self):
        now = time.perf_counter()
        name = self._stack[-1]
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
        self._since = now

    def wrap(self, target, method, name):
        """Charge every call of ``target.method`` to ``name``."""
        original = getattr(target, method)

        @functools.wraps(original)
        def timed(*args, **kwargs):
            self.enter(name)
            try:
                return original(*args, **kwargs)
            finally:
                self.leave()

        setattr(target, method, timed)

    def own_seconds(self):
        """Return seconds by section without what it took to wrap the calls that each one made."""
        cost = cost_of_wrapping()
        return {name: taken - cost * self._calls_from.get(name, 0) for name, taken in self.seconds.items()}


class Idle:
    """Something to call."""

    def rest(self):
        """Do nothing."""


def cost_of_wrapping(num_calls=100_000):
    """Return the seconds that a wrapped call charges to its caller beyond those of a plain call."""
    clock, idle = Clock(), Idle()
    started = time.perf_counter()
    for _ in range(num_calls):
        idle.rest()
    plain = time.perf_counter() - started
    clock.wrap(idle, "rest", "rest")
    clock.enter("loop")
    for _ in range(num_calls):
        idle.rest()
    clock.leave()
    return max(0.0, clock.seconds["loop"] - plain) / num_calls


def profile(env_id, seed, max_windows):
    """Return seconds by section of one run."""
    quick_start.tf.keras.utils.set_random_seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        optimizer, agent = quick_start.build(env_id, folder, seed=seed, max_episodes=max_windows)
        clock = Clock()
        controller = optimizer._controller
        pipeline = controller.pipeline
        clock.wrap(agent, "act", "act")
        clock.wrap(agent, "learn", "learn")
        clock.wrap(pipeline.env, "step", "env.step")
        clock.wrap(pipeline.env, "reset", "env.step")
        clock.wrap(agent, "bind", "building")
        clock.wrap(pipeline, "play_episodes", "evaluation")
        clock.wrap(controller._confirmation, "challenger_wins", "evaluation")
        clock.wrap(controller._confirmation, "report", "evaluation")
        clock.wrap(controller._arena, "play", "evaluation")
        clock.wrap(controller._keeper, "crown", "saving")
        clock.wrap(controller._session, "begin", "saving")
        clock.wrap(controller._session, "save_if_due", "saving")
        clock.wrap(controller.registry, "save", "saving")
        clock.wrap(controller.registry, "flush", "saving")
        for method in ("append_history", "flush", "write_run_json"):
            clock.wrap(optimizer._run_folder, method, "saving")
        clock.enter("loop")
        result = optimizer.run()
        clock.leave()
    return clock.own_seconds(), result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env-id", default="CartPole-v1", choices=sorted(quick_start.LAYER_SIZES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-windows", type=int, default=200)
    seconds, result = profile(**vars(parser.parse_args()))
    total = sum(seconds.values())
    shares = {name: seconds.get(name, 0.0) / total for name in (*WORK, "building", "evaluation", "saving", "loop")}
    print(json.dumps({"seconds": total, "env_steps": result.env_steps["training"], "shares": shares}))


if __name__ == "__main__":
    main()
