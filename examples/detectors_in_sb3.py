"""The detectors in another library: stop a Stable-Baselines3 run once it is trained, and tell when it gets worse.

    pip install stable-baselines3
    python examples/detectors_in_sb3.py

``PlateauDetector`` and ``DegradationDetector`` know nothing of the loop that feeds them: one score at a time is all.
Here a score is a look, the mean return of five finished episodes, as in tensor-optix's own loop.
"""

from collections import deque

import numpy as np

from tensor_optix.monitoring import DegradationDetector, PlateauDetector, Trend

try:
    from stable_baselines3.common.callbacks import BaseCallback
except ImportError:  # the callback can be read, tested and fed by hand without it

    class BaseCallback:
        """What of Stable-Baselines3's class is used here."""

        locals, num_timesteps = {}, 0


class Judgement(BaseCallback):
    """Ends training where the plateau is confirmed, and notes where the policy got worse.

    So many looks in a row without more to be gained end the run (`looks_to_stop`), and so many say what is normal
    (`baseline_looks`).
    """

    def __init__(self, episodes_per_look=5, looks_to_stop=10, baseline_looks=30):
        super().__init__()
        self.episodes_per_look, self.looks_to_stop = episodes_per_look, looks_to_stop
        self.plateau = PlateauDetector()
        self.degradation = DegradationDetector.while_learning()
        self.trend = Trend.WARMING_UP
        self.degraded_at = []
        self._returns, self._recent = [], deque(maxlen=baseline_looks)
        self._looks_since_baseline = self._looks_without_gain = 0

    def _on_step(self):
        """Take in the episodes that ended with this step; returning False ends training."""
        for info in self.locals.get("infos", ()):
            if "episode" in info:  # written by the Monitor that Stable-Baselines3 wraps around every environment
                self._returns.append(float(info["episode"]["r"]))
            if len(self._returns) >= self.episodes_per_look:
                self._look(float(np.mean(self._returns)))
                self._returns.clear()
        return self._looks_without_gain < self.looks_to_stop

    def _look(self, score):
        self.trend = self.plateau.update(score)
        is_over = self.trend in (Trend.PLATEAU, Trend.STALLED)
        self._looks_without_gain = self._looks_without_gain + 1 if is_over else 0
        if self.degradation.baseline is not None and self.degradation.update(score):
            self.degraded_at.append(self.num_timesteps)
            self._recent.clear()
            self._looks_since_baseline = 0
        self._recent.append(score)
        self._looks_since_baseline += 1
        if self._looks_since_baseline >= self._recent.maxlen:  # what is normal rises as the policy learns
            self.degradation.calibrate(list(self._recent))
            self._looks_since_baseline = 0


def main():
    import stable_baselines3

    judgement = Judgement()
    model = stable_baselines3.PPO("MlpPolicy", "CartPole-v1", seed=0, verbose=0)
    model.learn(total_timesteps=500_000, callback=judgement)
    print(f"stopped at {model.num_timesteps:,} of 500,000 steps: {judgement.trend.value}")
    print(f"worse at {judgement.degraded_at or 'no time'}")


if __name__ == "__main__":
    main()
