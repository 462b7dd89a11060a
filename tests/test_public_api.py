"""The public contract: where names live, what calls look like, and what importing costs."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import subprocess
import sys
from types import ModuleType

import pytest

import tensor_optix

NAMES_OF_MODULE = {
    "optimizer": ["RLOptimizer"],
    "core.types": ["EpisodeData", "EvalMetrics", "HyperparamSet", "PolicySnapshot", "LoopState"],
    "core.base_agent": ["BaseAgent"],
    "core.base_evaluator": ["BaseEvaluator"],
    "core.base_optimizer": ["BaseOptimizer"],
    "core.base_pipeline": ["BasePipeline", "EpisodeBoundaryFn"],
    "core.loop_controller": ["LoopController", "LoopCallback"],
    "core.backoff_scheduler": ["BackoffScheduler"],
    "core.checkpoint_registry": ["CheckpointRegistry"],
    "adapters.tensorflow.tf_agent": ["TFAgent"],
    "adapters.tensorflow.tf_evaluator": ["TFEvaluator"],
    "pipeline.batch_pipeline": ["BatchPipeline"],
    "pipeline.live_pipeline": ["LivePipeline"],
    "optimizers.backoff_optimizer": ["BackoffOptimizer"],
    "optimizers.pbt_optimizer": ["PBTOptimizer"],
}
NAMES_PINNED_ABOVE = ["AgentState", "ParamSpec", "Policy", "RunResult", "evaluate", "load_agent"]
NAMES_PINNED_ABOVE += ["EvaluationResult", "PlateauDetector", "DegradationDetector", "Trend"]

SIGNATURES = {
    "EpisodeData": """(observations, actions, rewards, terminated, truncated, infos, episode_id, timestamp=...,
        metadata=..., next_observations=None, valid=None, completed_returns=None, completed_lengths=None,
        action_log_probs=None, policy_version=None)""",
    "EvalMetrics": """(primary_score, metrics, episode_id, timestamp=..., hyperparams=None, env_steps=None,
        num_episodes=None)""",
    "EvalMetrics.beats": "(self, other, margin=0.0)",
    "HyperparamSet": "(params, episode_id, timestamp=...)",
    "HyperparamSet.copy": "(self)",
    "PolicySnapshot": "(snapshot_id, eval_metrics, hyperparams, weights_path, episode_id, timestamp=...)",
    "ParamSpec": "(low, high, scale='linear', integer=False)",
    "BaseAgent.act": "(self, observation)",
    "BaseAgent.learn": "(self, episode_data)",
    "BaseAgent.get_hyperparams": "(self)",
    "BaseAgent.set_hyperparams": "(self, hyperparams)",
    "BaseAgent.save_weights": "(self, path)",
    "BaseAgent.load_weights": "(self, path)",
    "BaseAgent.bind": "(self, observation_space, action_space, *, num_envs=1, seed=None)",
    "BaseAgent.act_batch": "(self, observations)",
    "BaseAgent.act_greedy": "(self, observation)",
    "BaseAgent.get_state": "(self, scope='learner')",
    "BaseAgent.set_state": "(self, state)",
    "BaseAgent.policy": "(self)",
    "BaseAgent.hyperparam_bounds": "(self)",
    "BaseAgent.bold_hyperparams": "(self)",
    "BaseAgent.on_world_change": "(self)",
    "BaseEvaluator.score": "(self, episode_data, train_diagnostics)",
    "BaseEvaluator.compare": "(self, candidate, baseline)",
    "BaseOptimizer.suggest": "(self, current_hyperparams, metrics_history)",
    "BaseOptimizer.on_improvement": "(self, metrics)",
    "BaseOptimizer.on_plateau": "(self, metrics_history)",
    "BasePipeline.setup": "(self)",
    "BasePipeline.episodes": "(self)",
    "BasePipeline.teardown": "(self)",
    "LoopCallback.on_run_start": "(self, run)",
    "LoopCallback.on_loop_start": "(self)",
    "LoopCallback.on_window": "(self, row, window)",
    "LoopCallback.on_greedy_episodes": "(self, use, num_episodes)",
    "LoopCallback.on_decision": "(self, kind, facts)",
    "LoopCallback.on_loop_stop": "(self)",
    "LoopCallback.on_run_end": "(self, result)",
    "LoopCallback.on_episode_end": "(self, episode_id, eval_metrics)",
    "LoopCallback.on_improvement": "(self, snapshot)",
    "LoopCallback.on_plateau": "(self, episode_id, state)",
    "LoopCallback.on_dormant": "(self, episode_id)",
    "LoopCallback.on_degradation": "(self, episode_id, eval_metrics)",
    "LoopCallback.on_hyperparam_update": "(self, old_params, new_params)",
    "RLOptimizer": """(agent, pipeline, evaluator=None, optimizer=None, checkpoint_dir='./tensor_optix_checkpoints',
        max_snapshots=10, rollback_on_degradation=False, improvement_margin=0.0, max_episodes=None, base_interval=1,
        backoff_factor=2.0, max_interval_episodes=100, plateau_threshold=5, dormant_threshold=20,
        degradation_threshold=0.95, callbacks=None, *, seed=None, max_env_steps=None, evaluation_env=None,
        target_score=None, stop_on=(), baseline=None)""",
    "RLOptimizer.run": "(self, resume=False)",
    "RLOptimizer.stop": "(self)",
    "LoopController": """(agent, evaluator, optimizer, pipeline, checkpoint_registry, backoff_scheduler,
        rollback_on_degradation=False, improvement_margin=0.0, max_episodes=None, callbacks=None)""",
    "LoopController.run": "(self)",
    "LoopController.stop": "(self)",
    "BackoffScheduler": """(base_interval=1, backoff_factor=2.0, max_interval_episodes=100, plateau_threshold=5,
        dormant_threshold=20, degradation_threshold=0.95)""",
    "BackoffScheduler.record_improvement": "(self, score)",
    "BackoffScheduler.record_non_improvement": "(self)",
    "BackoffScheduler.record_degradation": "(self)",
    "BackoffScheduler.check_degradation": "(self, score)",
    "BackoffScheduler.should_adapt": "(self, n)",
    "CheckpointRegistry": "(checkpoint_dir, max_snapshots=10)",
    "CheckpointRegistry.save": "(self, agent, eval_metrics, hyperparams)",
    "CheckpointRegistry.load_best": "(self, agent)",
    "TFAgent": "(model, optimizer, hyperparams, compute_loss_fn=None)",
    "TFAgent.policy_model": "(self)",
    "TFEvaluator": """(reward_weight=..., stability_weight=..., length_weight=..., primary_score_fn=...,
        max_episode_length=1000)""",
    "BatchPipeline": "(env, agent=None, window_size=200, *, seed=None, close_env=False)",
    "BatchPipeline.set_agent": "(self, agent)",
    "LivePipeline": """(data_source, agent=None, episode_boundary_fn=None, buffer_size=1000,
        reconnect_on_disconnect=True)""",
    "LivePipeline.set_agent": "(self, agent)",
    "LivePipeline.every_n_steps": "(n)",
    "LivePipeline.every_n_seconds": "(s)",
    "LivePipeline.on_done_signal": "()",
    "BackoffOptimizer": "(param_bounds=None, perturbation_scale=0.05, min_delta=1e-7)",
    "PBTOptimizer": """(param_bounds=None, history_size=50, exploit_percentile=0.20, top_percentile=0.20,
        explore_scale=0.10, exploit_scale=0.05)""",
    "evaluate": "(agent_or_policy, env, num_episodes=100, *, seed=0, greedy=True, against=None)",
    "load_agent": "(run_dir, *, custom_objects=None, continue_training=True, env=None)",
    "PlateauDetector.update": "(self, score)",
    "DegradationDetector.update": "(self, score)",
    "DegradationDetector.calibrate": "(self, scores)",
}
"""As the contract writes them; ``...`` stands for a default that it leaves open."""

PROPERTIES = {
    "EpisodeData": ["dones", "total_reward", "length"],
    "BasePipeline": ["is_live"],
    "RLOptimizer": ["state", "best_snapshot"],
    "LoopController": ["state", "best_snapshot"],
    "BackoffScheduler": ["current_state", "current_interval", "consecutive_non_improvements", "best_score"],
    "CheckpointRegistry": ["best"],
    "RunResult": ["confirmed_mean", "confirmed_interval"],
}

LAZY_PACKAGES = [f"tensor_optix{name}" for name in ("", ".adapters.tensorflow", ".algorithms", ".pipeline")]

IMPORT_SECONDS = 0.5


class TestNames:
    @pytest.mark.parametrize(("module", "names"), NAMES_OF_MODULE.items(), ids=NAMES_OF_MODULE)
    def test_each_lives_in_its_module_and_at_the_top(self, module: str, names: list[str]) -> None:
        home = importlib.import_module(f"tensor_optix.{module}")
        for name in names:
            assert getattr(home, name) is getattr(tensor_optix, name)

    @pytest.mark.parametrize("name", NAMES_PINNED_ABOVE)
    def test_pinned_additions_are_at_the_top(self, name: str) -> None:
        assert getattr(tensor_optix, name) is not None

    def test_the_list_of_names_is_sorted_and_whole(self) -> None:
        assert tensor_optix.__all__ == sorted(set(tensor_optix.__all__))
        promised = {*NAMES_PINNED_ABOVE, *(name for names in NAMES_OF_MODULE.values() for name in names)}
        assert promised <= set(tensor_optix.__all__)
        assert set(tensor_optix.__all__) <= set(dir(tensor_optix))

    @pytest.mark.parametrize("name", tensor_optix.__all__)
    def test_every_listed_name_loads(self, name: str) -> None:
        assert getattr(tensor_optix, name) is not None

    def test_an_unknown_name_is_an_attribute_error(self) -> None:
        with pytest.raises(AttributeError, match="has no attribute 'RLOptimiser'"):
            _ = tensor_optix.RLOptimiser

    @pytest.mark.parametrize("package", LAZY_PACKAGES)
    def test_what_type_checkers_read_is_what_is_loaded(self, package: str) -> None:
        module = importlib.import_module(package)
        homes = names_for_type_checkers(module)
        assert sorted(homes) == module.__all__
        for name, home in homes.items():
            assert getattr(module, name) is getattr(importlib.import_module(home), name)
        assert set(module.__all__) <= set(dir(module))

    def test_loop_states_are_exactly_four(self) -> None:
        assert [state.name for state in tensor_optix.LoopState] == ["ACTIVE", "COOLING", "DORMANT", "WATCHDOG"]

    @pytest.mark.parametrize(("name", "properties"), PROPERTIES.items(), ids=PROPERTIES)
    def test_what_is_read_is_a_property(self, name: str, properties: list[str]) -> None:
        for attribute in properties:
            assert isinstance(inspect.getattr_static(getattr(tensor_optix, name), attribute), property)


class TestSignatures:
    @pytest.mark.parametrize(("path", "promised"), SIGNATURES.items(), ids=SIGNATURES)
    def test_call_is_as_promised(self, path: str, promised: str) -> None:
        built = signature_of(path)
        assert complaint(parse_signature(promised), built) is None, f"{path}{built} is not {promised}"

    @pytest.mark.parametrize(
        ("promised", "built", "is_kept"),
        [
            ("(a, b=1)", "(a, b=1)", True),
            ("(a, b=1)", "(a, b=1, c=2, *, d=3)", True),
            ("(a, b=...)", "(a, b=5)", True),
            ("(a, *, b=None)", "(a, c=0, *, b=None)", True),
            ("(a, b=1)", "(a, b=2)", False),
            ("(a, b=...)", "(a, b)", False),
            ("(a, b)", "(b, a)", False),
            ("(a)", "(a, b)", False),
            ("(a, *, b=None)", "(a)", False),
            ("(a=1)", "(*, a=1)", False),
        ],
    )
    def test_the_comparison_itself(self, promised: str, built: str, is_kept: bool) -> None:
        assert (complaint(parse_signature(promised), parse_signature(built)) is None) is is_kept


class TestWhatImportingCosts:
    def test_the_package_needs_no_tensorflow_and_little_time(self) -> None:
        code = "import sys, tensor_optix; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
        assert best_seconds([sys.executable, "-c", code]) < IMPORT_SECONDS

    def test_the_command_line_help_needs_no_tensorflow_and_little_time(self) -> None:
        code = (
            "import atexit, os, sys\n"
            "heavy = {'tensorflow', 'keras', 'gymnasium'}\n"
            "atexit.register(lambda: os._exit(7) if heavy & set(sys.modules) else None)\n"
            "sys.argv = ['tensor-optix', '--help']\n"
            "from tensor_optix.cli.main import main\n"
            "main()"
        )
        assert best_seconds([sys.executable, "-c", code]) < IMPORT_SECONDS


def best_seconds(command: list[str], num_runs: int = 5) -> float:
    """Return the least processor time of a command, which must succeed each time.

    On an idle machine that is its wall time, too; on a busy one it is the figure that means something.
    """
    seconds = []
    for _ in range(num_runs):
        before = os.times()
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "100"}, timeout=60)
        after = os.times()
        assert done.returncode == 0, done.stderr
        seconds.append(after.children_user + after.children_system - before.children_user - before.children_system)
        if seconds[-1] < IMPORT_SECONDS:
            break
    return min(seconds)


def names_for_type_checkers(module: ModuleType) -> dict[str, str]:
    """Return each name that an `if TYPE_CHECKING` block imports, with the module it imports it from."""
    tree = ast.parse(inspect.getsource(module))
    blocks = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    imports = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: node.module or "" for node in imports for alias in node.names}


def signature_of(path: str) -> inspect.Signature:
    """Return how a name of the package (or a method of one) is called, without annotations."""
    target = tensor_optix
    for name in path.split("."):
        target = getattr(target, name)
    return inspect.signature(target)


def parse_signature(text: str) -> inspect.Signature:
    """Return a written signature as an object; its defaults are literals."""
    arguments = ast.parse(f"def f{text}: pass").body[0].args
    literals = [None if default is None else ast.literal_eval(default) for default in arguments.kw_defaults]
    defaults = [ast.literal_eval(default) for default in arguments.defaults]
    padded = [inspect.Parameter.empty] * (len(arguments.args) - len(defaults)) + defaults
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(x.arg, kind, default=d) for x, d in zip(arguments.args, padded, strict=True)]
    kind = inspect.Parameter.KEYWORD_ONLY
    parameters += [
        inspect.Parameter(x.arg, kind, default=d) for x, d in zip(arguments.kwonlyargs, literals, strict=True)
    ]
    return inspect.Signature(parameters)


def complaint(promised: inspect.Signature, built: inspect.Signature) -> str | None:
    """Return how ``built`` breaks a promise, None if every promised call still works."""
    position_of = {name: i for i, name in enumerate(built.parameters)}
    for i, (name, want) in enumerate(promised.parameters.items()):
        got = built.parameters.get(name)
        if got is None:
            return f"{name} is missing"
        if want.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD and (
            got.kind is not want.kind or position_of[name] != i
        ):
            return f"{name} cannot be given at position {i}"
        if want.default is ... and got.default is inspect.Parameter.empty:
            return f"{name} has no default"
        if want.default is not ... and got.default != want.default:
            return f"{name} defaults to {got.default!r}, not to {want.default!r}"
    extra = [x for x in built.parameters.values() if x.name not in promised.parameters]
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [x.name for x in extra if x.default is inspect.Parameter.empty and x.kind not in variadic]
    return f"{needed} have no default" if needed else None
