"""Runs of what a page shows, cut short."""

from tensor_optix import RLOptimizer
from tensor_optix.algorithms import ppo

WHOLE = RLOptimizer.__init__


def cut_short(max_windows=2, put=setattr):
    """Let every run end after so many windows, with a report of two episodes; `put` as `monkeypatch.setattr`."""

    def short(self, *arguments, **settings):
        settings.pop("max_env_steps", None)
        WHOLE(self, *arguments, **{**settings, "max_episodes": max_windows, "report_episodes": 2})

    put(RLOptimizer, "__init__", short)
    put(ppo, "pays_to_compile", lambda *_: False)
