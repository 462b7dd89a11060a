"""What a user may write, with annotations: neither type checker may object to a line of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

import tensor_optix as tx
from tensor_optix import (
    BackoffOptimizer,
    BaseEvaluator,
    BatchPipeline,
    DQNAgent,
    EnvironmentName,
    EpisodeData,
    EvalMetrics,
    EvaluationResult,
    HyperparamSet,
    LivePipeline,
    LoopCallback,
    ParamSpec,
    PBTOptimizer,
    PolicySnapshot,
    PPOAgent,
    RLOptimizer,
    RunResult,
    SACAgent,
    TFAgent,
    TFEvaluator,
    evaluate,
    load_agent,
    make_agent,
    make_pipeline,
)
from tensor_optix.adapters.tensorflow import TFEvaluator as SameEvaluator
from tensor_optix.algorithms import PPOAgent as SameAgent
from tensor_optix.exceptions import TensorOptixError
from tensor_optix.monitoring import PlateauDetector, Trend
from tensor_optix.optimizers import Decision
from tensor_optix.pipeline import BatchPipeline as SamePipeline
from tensor_optix.testing import OptimizerConformance


class LengthOnly(BaseEvaluator):
    def score(self, episode_data: EpisodeData, train_diagnostics: dict[str, Any]) -> EvalMetrics:
        return EvalMetrics(float(episode_data.length), {}, episode_data.episode_id)


class Log(LoopCallback):
    def on_improvement(self, snapshot: PolicySnapshot) -> None:
        print(f"{snapshot.episode_id}: {snapshot.eval_metrics.primary_score:.1f}")


class MyPPO(PPOAgent):
    def learn(self, episode_data: EpisodeData) -> dict[str, Any]:
        return {**super().learn(episode_data), "mine": 1.0}


class ConstantActor:
    def act(self, observation: object) -> int:
        return 1


class Feed:
    def stream(self) -> Iterator[tuple[np.ndarray, float, bool, bool, dict[str, Any]]]:
        yield np.zeros(3), 0.0, False, False, {}


class TestMine(OptimizerConformance):
    def make(self) -> BackoffOptimizer:
        return BackoffOptimizer({"learning_rate": ParamSpec(1e-5, 1e-2, scale="log")})


def train() -> RunResult:
    agent = PPOAgent(batch_size=64, hyperparams=HyperparamSet({"gamma": 0.98}, episode_id=0), hidden_units=[32, 32])
    pipeline = BatchPipeline(gym.make("CartPole-v1"), agent, window_size=256, seed=0)
    loop = RLOptimizer(
        agent,
        pipeline,
        LengthOnly(),
        BackoffOptimizer({"learning_rate": (1e-5, 1e-2)}),
        callbacks=[Log()],
        evaluation_env=lambda: gym.make("CartPole-v1"),
        max_env_steps=1_000,
        target_score=475,
        seed=0,
    )
    result = loop.run()
    mean: float | None = result.confirmed_mean
    champion: PolicySnapshot | None = loop.best_snapshot
    print(result.reason, mean, loop.state.name, champion)
    return loop.run(resume=True)


def use(folder: str) -> float:
    agent: TFAgent = load_agent(folder)
    other: TFAgent = make_agent("CartPole-v1", "dqn", seed=0, learning_rate=1e-3)
    print(other.get_hyperparams().params, other.get_state("policy").arrays)
    outcome: EvaluationResult = evaluate(agent, "CartPole-v1", num_episodes=10)
    low, high = outcome.interval
    print(low + high, outcome.returns.mean(), outcome.lengths[0])
    print(evaluate(ConstantActor(), lambda: gym.make("CartPole-v1")).mean, evaluate(agent.policy(), "CartPole-v1"))
    return outcome.mean


def step_many() -> int:
    pipeline: BatchPipeline = make_pipeline("CartPole-v1", ConstantActor(), num_envs=4)
    vector = gym.make_vec("CartPole-v1", num_envs=2)
    window = next(SamePipeline(vector, ConstantActor()).episodes())
    return pipeline.num_envs + window.env_steps


def follow() -> LivePipeline:
    boundary: tx.EpisodeBoundaryFn = LivePipeline.every_n_steps(256)
    return LivePipeline(Feed(), ConstantActor(), boundary, on_full="drop_oldest")


def others() -> None:
    agents: list[TFAgent] = [
        SACAgent(hidden_units=(8,)),
        DQNAgent(double=False),
        MyPPO(jit_compile="auto"),
        SameAgent(),
    ]
    evaluators = [TFEvaluator(reward_weight=1.0), SameEvaluator(primary_score_fn=lambda window, diagnostics: 1.0)]
    tuner = RLOptimizer(agents[0], step_pipeline(), evaluators[0], PBTOptimizer("agent"))
    trend: Trend = PlateauDetector().update(1.0)
    decisions: list[Decision] = BackoffOptimizer().decisions
    print(tuner.run_dir, trend is Trend.PLATEAU, decisions, tx.__version__, TestMine().make())


def kept_in_a_path(folder: Path) -> EvaluationResult:
    maze = EnvironmentName("maze:Maze-v0", {"size": 7}, wrappers=["maze:hurry"])
    agent = make_agent(maze, "ppo", seed=0, learning_rate=1e-3)
    RLOptimizer(agent, make_pipeline(maze, agent), checkpoint_dir=folder).run(resume=folder / "run-0001")
    return evaluate(load_agent(folder / "run-0001"), EnvironmentName("Walk-v0", wrappers=("walk:slow",)))


def step_pipeline() -> tx.BasePipeline:
    try:
        return make_pipeline("Pendulum-v1", algorithm="sac")
    except TensorOptixError as error:
        raise SystemExit(1) from error
