"""Where the wall time of the Quick Start goes.

A timer interrupts the run every millisecond, and the time since the last interruption is charged to
what is running: acting, learning and stepping the environment are the work; evaluation (greedy
episodes, whatever runs in them, and bringing the champion in and out for them), saving, and building
the agent (once: the optimizer's slots, the acting program and its check against the model) are told
apart; the rest is the loop's own. Nothing is wrapped, so nothing but the interruptions is added.

    python benchmarks/quick_start_profile.py --max-windows 200
"""

import argparse
import collections
import json
import signal
import tempfile
import time

import quick_start

WORK = ("act", "learn", "env.step")
OTHER = ("building", "evaluation", "saving")
INTERVAL_SECONDS = 0.001


class Sampler:
    """Charges time to sections: the innermost section on the stack, or ``evaluation`` if that is on it.

    Args:
        methods: Bound methods by section.
    """

    def __init__(self, methods):
        self._section_of = {m.__func__.__code__: name for name, ms in methods.items() for m in ms}
        self.seconds = dict.fromkeys(("loop", *methods), 0.0)
        self.num_samples = 0

    def __enter__(self):
        self._since = time.perf_counter()
        self._previous = signal.signal(signal.SIGALRM, self._charge)
        signal.setitimer(signal.ITIMER_REAL, INTERVAL_SECONDS, INTERVAL_SECONDS)
        return self

    def __exit__(self, *_):
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, self._previous)

    def _charge(self, _signum, frame):
        now = time.perf_counter()
        self.seconds[self._section(frame)] += now - self._since
        self._since = now
        self.num_samples += 1

    def _section(self, frame):
        found = []
        while frame is not None:
            if frame.f_code in self._section_of:
                found.append(self._section_of[frame.f_code])
            frame = frame.f_back
        return "evaluation" if "evaluation" in found else found[0] if found else "loop"


def sections_of(optimizer, agent):
    """Return the methods that open a section, by section."""
    loop = optimizer._controller
    return {
        "act": [agent.act],
        "learn": [agent.learn],
        "env.step": [loop.pipeline.env.step, loop.pipeline.env.reset],
        "building": [agent.bind],
        "evaluation": [
            *(loop.pipeline.play_episodes, loop.parts.challenges.winner, loop.parts.challenges.report),
            loop.parts.alarm.play_for_cause,
        ],
        "saving": [
            *(loop.parts.incumbent.take_the_place, loop._session.begin, loop._session.save_if_due, loop.registry.flush),
            *(
                optimizer._run_folder.history.append_line,
                optimizer._run_folder.flush,
                optimizer._run_folder.write_run_json,
            ),
            optimizer._run_folder.close,
        ],
    }


def profile(env_id, seed, max_windows):
    """Return seconds by section of one run, and its result."""
    quick_start.tf.keras.utils.set_random_seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        optimizer, agent = quick_start.build(env_id, folder, seed=seed, max_episodes=max_windows)
        with Sampler(sections_of(optimizer, agent)) as sampler:
            result = optimizer.run()
    return sampler, result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env-id", default="CartPole-v1", choices=sorted(quick_start.LAYER_SIZES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-windows", type=int, default=200)
    parser.add_argument("--runs", type=int, default=1, help="how many, of successive seeds; their times are added")
    arguments = parser.parse_args()
    seconds, steps, samples = collections.Counter(), 0, 0
    for seed in range(arguments.seed, arguments.seed + arguments.runs):
        sampler, result = profile(arguments.env_id, seed, arguments.max_windows)
        seconds.update(sampler.seconds)
        steps += result.env_steps["training"]
        samples += sampler.num_samples
    shares = {name: seconds[name] / seconds.total() for name in (*WORK, *OTHER, "loop")}
    print(json.dumps({"seconds": seconds.total(), "env_steps": steps, "shares": shares, "samples": samples}))


if __name__ == "__main__":
    main()
