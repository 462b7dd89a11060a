"""Small real runs on CartPole, in NumPy alone, for callbacks to look at: whole, or crashed and resumed."""

import gymnasium as gym
from resume_fakes import LinearAgent, MeanReturn

from tensor_optix import BatchPipeline, LoopCallback, RLOptimizer

MAX_ENV_STEPS = 3000
WINDOW_STEPS = 100


def save_at_every_barrier():
    """Do what the fixture of this name does, in a script."""
    from tensor_optix.core.loop.run_checkpoint import RunCheckpoint

    RunCheckpoint.save_if_due = RunCheckpoint.save


class Crash(BaseException):
    """No error that the loop would handle: the process is gone."""


class CrashAt(LoopCallback):
    """Ends a run as a kill does, as far as files are concerned."""

    def __init__(self, window):
        self.window = window

    def on_episode_end(self, episode_id, eval_metrics):
        if episode_id == self.window:
            raise Crash


class RowKeeper(LoopCallback):
    """Keeps what the hooks of a window were given."""

    def __init__(self):
        self.rows, self.windows, self.run = [], [], None

    def on_run_start(self, run):
        self.run = run

    def on_window(self, row, window):
        self.rows.append(dict(row))
        self.windows.append(window)


def make_optimizer(folder, callbacks=(), *, agent=None, env=None, num_envs=1, **arguments):
    """Return an optimizer; same arguments, same run."""
    make = env or (lambda: gym.make("CartPole-v1"))
    source = make if num_envs == 1 else lambda: gym.vector.SyncVectorEnv([make] * num_envs)
    agent = agent or LinearAgent()
    pipeline = BatchPipeline(source, agent, WINDOW_STEPS // num_envs, barrier_interval_steps=500)
    given = {"max_env_steps": MAX_ENV_STEPS, "report_episodes": 3, "seed": 0, **arguments}
    return RLOptimizer(agent, pipeline, MeanReturn(), checkpoint_dir=folder, callbacks=callbacks, **given)


def crashed_and_resumed(folder, make_callbacks, *, crash_at=17, **arguments):
    """Crash a run between two barriers, resume it as a new process would, and return its result.

    Use it with the fixture `save_at_every_barrier`.
    """
    try:
        make_optimizer(folder, [*make_callbacks(), CrashAt(crash_at)], **arguments).run()
    except Crash:
        pass
    else:
        raise AssertionError("the run did not crash")
    return make_optimizer(folder, make_callbacks(), **arguments).run(resume=True)
