"""The front door: fills in defaults, assembles the parts, runs the loop."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensor_optix.core.backoff_scheduler import BackoffScheduler
from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.base_evaluator import BaseEvaluator
from tensor_optix.core.base_optimizer import BaseOptimizer
from tensor_optix.core.base_pipeline import BasePipeline
from tensor_optix.core.callbacks import LoopCallback, checked_callbacks, checked_stop_on
from tensor_optix.core.checkpoint_registry import CheckpointRegistry
from tensor_optix.core.checks import check_int, check_path
from tensor_optix.core.loop.entrance import check_report, check_settings, complete_parts
from tensor_optix.core.loop.process import ONE_BLAS_THREAD, stop_on_interrupt
from tensor_optix.core.loop.run_info import describe_run, setting_differences
from tensor_optix.core.loop_controller import LoopController
from tensor_optix.core.protocols import EnvSource, original
from tensor_optix.core.run_result import RunResult
from tensor_optix.core.storage.atomic_files import check_may_be_made, make_writable_folder
from tensor_optix.core.storage.run_folder import RunFolder, how_to_resume, list_runs, was_started
from tensor_optix.core.types import LoopState, PolicySnapshot
from tensor_optix.exceptions import CheckpointError, InvalidArgumentError, TensorOptixError
from tensor_optix.functional.seeding import derive_seed, fresh_seed
from tensor_optix.reporting.named_callbacks import with_named

if TYPE_CHECKING:
    from tensor_optix.pipeline.evaluation import EvaluationEnv

logger = logging.getLogger(__name__)


class RLOptimizer:
    """Trains an agent by itself: steps, scores, keeps the best, tunes, and stops.

    Args:
        agent: Acts and learns; your model is in it.
        pipeline: Yields windows of interaction.
        evaluator: Scores windows. Default: ``TFEvaluator``, the mean return of the episodes that ended.
        optimizer: Hyperparameter optimizer. Default: ``BackoffOptimizer``, which tunes nothing until it
            is given bounds.
        checkpoint_dir: Each optimizer makes a folder ``run-0001``, ``run-0002``, ... in it, when it runs.
        max_snapshots: Champions kept on disk.
        rollback_on_degradation: Whether an alarm while learning brings back the champion.
        improvement_margin: What a challenger must be better by, on top of the noise.
        max_episodes: Windows of one run; None: until DORMANT.
        base_interval: Looks between suggestions while ACTIVE.
        backoff_factor: Growth of that interval at each look without improvement.
        max_interval_episodes: Largest interval.
        plateau_threshold: Looks in a row on a plateau that make COOLING.
        dormant_threshold: Looks in a row on a plateau that make DORMANT.
        degradation_threshold: Share used by ``BackoffScheduler.check_degradation``.
        callbacks: Hooks, see :class:`LoopCallback`; those of this package also by name, as in
            ``["progress", "tensorboard"]``; see ``docs/watching.md``.
        seed: Source of all randomness of the run; None draws one and records it.
        max_env_steps: Environment steps of one run, for training, choosing a champion and finding causes: never
            more, so the last windows are cut. Up to a tenth is kept for the last choice of a champion (a fifth, if it
            is the only one, and that pays for a round of episodes); None: no limit. The report's steps come on top.
        evaluation_env: Environment (or a callable that makes one) for greedy evaluation. Default: the
            pipeline's own, between two windows. What is made from a callable is closed at the end of each run.
        target_score: End as soon as the lower confidence bound of fresh episodes reaches it; falsely in at most one
            run of twenty. The 20 episodes of a look at it, and the 100 to 280 of a claim, are booked as report.
        report_episodes: Fresh greedy episodes that report on the champion at the end; 0 for none.
        stop_on: Classes of exceptions, such as ``(optuna.TrialPruned,)``, with which a callback may end the run.
            What it raised is raised again at the end, after the report, the files and the hooks.
        baseline: A policy to compare with: a function of an observation, a ``Policy``, or an agent that was bound. It
            plays the report's episodes, too: ``result.report.difference`` is paired by seed. None: no comparison.

    Example:
        >>> result = RLOptimizer(agent, pipeline, max_env_steps=100_000, seed=0).run()  # doctest: +SKIP
        >>> print(result)  # doctest: +SKIP
    """

    def __init__(
        self,
        agent: BaseAgent,
        pipeline: BasePipeline,
        evaluator: BaseEvaluator | None = None,
        optimizer: BaseOptimizer | None = None,
        checkpoint_dir: str | os.PathLike[str] = "./tensor_optix_checkpoints",
        max_snapshots: int = 10,
        rollback_on_degradation: bool = False,
        improvement_margin: float = 0.0,
        max_episodes: int | None = None,
        base_interval: int = 1,
        backoff_factor: float = 2.0,
        max_interval_episodes: int = 100,
        plateau_threshold: int = 5,
        dormant_threshold: int = 20,
        degradation_threshold: float = 0.95,
        callbacks: Iterable[LoopCallback | str] | None = None,
        *,
        seed: int | None = None,
        max_env_steps: int | None = None,
        evaluation_env: EnvSource | None = None,
        target_score: float | None = None,
        report_episodes: int = 100,
        stop_on: Iterable[type[Exception]] = (),
        baseline: Any = None,
    ) -> None:
        evaluator = _default_evaluator() if evaluator is None else evaluator
        tuner = _default_hyperparameter_optimizer() if optimizer is None else optimizer
        intervals: dict[str, Any] = {
            "base_interval": base_interval,
            "backoff_factor": backoff_factor,
            "max_interval_episodes": max_interval_episodes,
            "plateau_threshold": plateau_threshold,
            "dormant_threshold": dormant_threshold,
            "degradation_threshold": degradation_threshold,
        }
        scheduler = BackoffScheduler(**intervals)
        agent, evaluator, tuner, pipeline = complete_parts(agent, evaluator, tuner, pipeline)
        _check_place(checkpoint_dir, max_snapshots)
        check_settings(rollback_on_degradation, improvement_margin, max_episodes, max_env_steps, target_score, seed)
        callbacks, stop_on = checked_callbacks(with_named(callbacks)), checked_stop_on(stop_on)
        seed = fresh_seed() if seed is None else int(seed)
        self._evaluation = None if evaluation_env is None else _play_in(evaluation_env, pipeline)
        _prepare_hyperparameter_optimizer(tuner, agent, seed)
        check_report(report_episodes, self._evaluation)
        self._checkpoint_dir = checkpoint_dir
        self._scheduler = scheduler
        self._folder_in_use: RunFolder | None = None
        self._controller_in_use: LoopController | None = None
        settings: dict[str, Any] = {
            "rollback_on_degradation": rollback_on_degradation,
            "improvement_margin": improvement_margin,
            "max_episodes": max_episodes,
            "max_env_steps": max_env_steps,
            "target_score": target_score,
            "report_episodes": report_episodes,
        }
        self._make_controller = functools.partial(
            LoopController,
            agent,
            evaluator,
            tuner,
            pipeline,
            backoff_scheduler=scheduler,
            callbacks=callbacks,
            seed=seed,
            play_episodes=self._evaluation,
            stop_on=stop_on,
            baseline=_act_of_baseline(baseline, report_episodes),
            **settings,
        )
        self._max_snapshots = max_snapshots
        self._agent, self._pipeline = agent, pipeline
        self._settings = {
            "max_snapshots": max_snapshots,
            **settings,
            **intervals,
            "evaluation_env": evaluation_env is not None,
            "hyperparameter_optimizer": type(tuner).__name__,
        }
        self._seed = seed

    def _describe(self) -> dict[str, Any]:
        if self._pipeline.agent is None:  # it may ask for something of the pipeline
            self._pipeline.set_agent(original(self._agent))
        return describe_run(self._settings, self._seed, self._agent, self._pipeline)

    def run(self, resume: bool | str | Path = False) -> RunResult:
        """Run until DORMANT, out of budget, or asked to stop; the agent then holds the champion.

        The first Ctrl-C ends the run cleanly after the current window, with a report of at most 10 episodes and without
        a last choice of a champion; a second one ends it at once. ``stop()`` leaves the end as it is.
        Called again, the run goes on from where it was, with a new budget.

        Args:
            resume: Go on with an earlier run, as if it had never been interrupted: True for the latest
                one in ``checkpoint_dir``, or the folder of a run. Everything must be given as it was then.

        Raises:
            CheckpointError: There is nothing to resume, or another process holds the run.
            Exception: What a callback ended the run with, if it is of a class in ``stop_on``.
        """
        if not isinstance(resume, bool):
            check_path("resume", resume)
        if resume:
            self._take_over(self._latest_run() if resume is True else Path(resume).absolute())
        elif self._run_folder.is_closed:
            self._folder_in_use = RunFolder.open(self._run_folder.path)
            self._controller.recorder.run_folder = self._run_folder
        with stop_on_interrupt(self._controller.stop_request), ONE_BLAS_THREAD, self._run_folder as folder:
            if not resume:
                self._say_what_lies_beside()
                folder.write_run_json(self._describe())
            with self._evaluation or contextlib.nullcontext():
                return self._controller.run(bool(resume))

    def _say_what_lies_beside(self) -> None:
        own = self._run_folder.path
        earlier = [run.name for run in list_runs(own.parent) if run != own and was_started(run)]
        if earlier and not was_started(own):
            logger.warning(
                "%s holds earlier runs (%s, the latest). This one is written beside them, to %s; %s.",
                own.parent,
                earlier[-1],
                own.name,
                how_to_resume(own.parent / earlier[-1]),
            )

    def _latest_run(self) -> Path:
        """Return the latest run that was ever started, this one included.

        Raises:
            CheckpointError: There is none, or it was interrupted before its first checkpoint.
        """
        started = [run for run in list_runs(self._checkpoint_dir) if was_started(run)]
        if not started:
            raise CheckpointError(
                f"Nothing to resume: {self._checkpoint_dir} holds no run with a checkpoint. Start a new run instead."
            )
        return started[-1].absolute()

    @property
    def _run_folder(self) -> RunFolder:
        """The folder of this run, made when first asked for; one in which nothing ever ran goes with this object."""
        if self._folder_in_use is None:
            self._folder_in_use = RunFolder.create(self._checkpoint_dir)
            weakref.finalize(self, self._folder_in_use.discard_if_unused)
        return self._folder_in_use

    @property
    def _controller(self) -> LoopController:
        if self._controller_in_use is None:
            self._controller_in_use = self._controller_in(self._run_folder)
        return self._controller_in_use

    def _take_over(self, path: Path) -> None:
        """Go on in the folder of an earlier run; the one made for this run, if any, was never used."""
        make_writable_folder(Path(self._checkpoint_dir).absolute())
        unused = self._folder_in_use
        if unused is not None and path.resolve() == unused.path.resolve():
            unused.close()
            unused = None
        self._folder_in_use = RunFolder.open(path)
        if unused is not None:
            unused.discard_if_unused()
        self._controller_in_use = self._controller_in(self._folder_in_use)
        self._say_what_is_asked_for_otherwise()

    def _say_what_is_asked_for_otherwise(self) -> None:
        try:
            recorded = self._run_folder.read_run_json()
        except CheckpointError:
            return
        longer, others = setting_differences(recorded, self._describe())
        for difference in longer:
            logger.warning("Resuming with other settings: %s.", difference)
        for difference in others:
            note = f"the run was resumed, but not exactly: {difference}"
            logger.warning("%s.", note)
            self._controller.recorder.notes.append(note)

    def _controller_in(self, folder: RunFolder) -> LoopController:
        try:
            registry = CheckpointRegistry(str(folder.path), self._max_snapshots)
            return self._make_controller(checkpoint_registry=registry, run_folder=folder)
        except TensorOptixError:
            folder.discard_if_unused()
            raise

    def stop(self) -> None:
        """Ask the run to end after the current window; from any thread."""
        if self._controller_in_use is not None:
            self._controller_in_use.stop()

    @property
    def state(self) -> LoopState:
        """What the loop is doing."""
        return self._scheduler.current_state

    @property
    def best_snapshot(self) -> PolicySnapshot | None:
        """The champion, None before the first scored window."""
        return None if self._controller_in_use is None else self._controller_in_use.best_snapshot

    @property
    def last_result(self) -> RunResult | None:
        """What the last run came to, also when it ended with an error."""
        return None if self._controller_in_use is None else self._controller_in_use.last_result

    @property
    def seed(self) -> int:
        """The seed in use: the one given, or the one drawn."""
        return self._seed if self._controller_in_use is None else self._controller_in_use.seed

    @property
    def run_dir(self) -> Path:
        """Folder of this run; asking for it reserves it."""
        return Path(self._run_folder.path)


def _check_place(checkpoint_dir: Any, max_snapshots: Any) -> None:
    """Raise unless so many snapshots could be kept in such a folder; nothing is made."""
    check_path("checkpoint_dir", checkpoint_dir)
    check_may_be_made(Path(checkpoint_dir))
    check_int("max_snapshots", max_snapshots, at_least=1)


def _act_of_baseline(baseline: Any, report_episodes: Any) -> Any:
    """Return how a baseline acts, None for none."""
    if baseline is None:
        return None
    from tensor_optix.pipeline.acting import acting_as_baseline

    if report_episodes == 0:
        raise InvalidArgumentError(
            "`baseline` is compared with in the report's episodes, and `report_episodes` is 0. Leave one of them out."
        )
    return acting_as_baseline(baseline)


def _default_evaluator() -> BaseEvaluator:
    from tensor_optix.adapters.tensorflow.tf_evaluator import TFEvaluator

    return TFEvaluator()


def _default_hyperparameter_optimizer() -> BaseOptimizer:
    from tensor_optix.optimizers.backoff_optimizer import BackoffOptimizer

    return BackoffOptimizer()


def _prepare_hyperparameter_optimizer(tuner: BaseOptimizer, agent: BaseAgent, seed: int) -> None:
    """Hand on the seed, and the agent's own bounds where the tuner was told to use them.

    What has bounds and was not given is tuned from the agent's default on, and told among its hyperparameters.
    """
    tuner.set_seed(derive_seed(seed, "hyperparameter_optimizer"))
    tuner.bind_bounds(agent.hyperparam_bounds())
    tuned = tuner.param_bounds if isinstance(tuner.param_bounds, Mapping) else {}
    defaults = {name: value for name, value in agent.default_hyperparams().items() if name in tuned}
    if defaults:
        current = agent.get_hyperparams().copy()
        if not defaults.keys() <= current.params.keys():
            current.params = {**defaults, **current.params}
            agent.set_hyperparams(current)


def _play_in(evaluation_env: Any, pipeline: Any) -> EvaluationEnv:
    """Return what plays greedy episodes in an environment of their own."""
    from tensor_optix.pipeline.evaluation import EvaluationEnv

    return EvaluationEnv(evaluation_env, pipeline.on_env_error, pipeline.environment_state, pipeline.action_mask)
