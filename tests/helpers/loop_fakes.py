"""What drives the real loop in tests: no tuning, and a loop of fakes with one callback that writes everything down."""

from tensor_optix import BackoffScheduler, BaseOptimizer, CheckpointRegistry, LoopController
from tensor_optix.testing.fakes import RecordingCallback, RewardEvaluator, ScriptedPipeline, StatefulAgent


class NoTuning(BaseOptimizer):
    """Suggests what is; keeps the history that it was shown last."""

    def suggest(self, current_hyperparams, metrics_history):
        self.history = metrics_history
        return current_hyperparams.copy()

    def on_improvement(self, metrics):
        pass

    def on_plateau(self, metrics_history):
        pass


class CountUp(NoTuning):
    """Adds one to `x` at every suggestion."""

    def suggest(self, current_hyperparams, metrics_history):
        suggested = super().suggest(current_hyperparams, metrics_history)
        suggested.params["x"] += 1.0
        return suggested


def make_loop(tmp_path, scores, agent=None, live=False, optimizer=None, callbacks=(), scheduler=None, **arguments):
    """Return a loop over a script of scores (or a pipeline), and what notes its events."""
    recorder = RecordingCallback()
    loop = LoopController(
        agent or StatefulAgent(),
        arguments.pop("evaluator", None) or RewardEvaluator(),
        optimizer or NoTuning(),
        scores if hasattr(scores, "episodes") else ScriptedPipeline(scores, live=live),
        CheckpointRegistry(str(tmp_path / "run")),
        scheduler or BackoffScheduler(),
        callbacks=[*callbacks, recorder],
        seed=0,
        **arguments,
    )
    return loop, recorder
