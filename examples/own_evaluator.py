"""A score of your own, a callback that is told what happens, and every setting of the loop with its default."""

import gymnasium as gym
import keras
import numpy as np

from tensor_optix import (
    BaseEvaluator,
    BatchPipeline,
    EpisodeData,
    EvalMetrics,
    HyperparamSet,
    LoopCallback,
    RLOptimizer,
    TFAgent,
)


class Careful(BaseEvaluator):
    """Scores a window by its bad episodes: what four of five of them reach."""

    def score(self, episode_data: EpisodeData, train_diagnostics: dict) -> EvalMetrics:
        returns = episode_data.completed_returns
        if not len(returns):
            return EvalMetrics(float("nan"), {}, episode_data.episode_id)  # no evidence: nothing moves on it
        score = float(np.quantile(returns, 0.2))
        return EvalMetrics(score, {"mean": float(np.mean(returns))}, episode_data.episode_id)


class Diary(LoopCallback):
    """Writes down what happens; whatever a callback does not need, it leaves out."""

    def on_improvement(self, snapshot):
        print(f"window {snapshot.episode_id}: new champion, {snapshot.eval_metrics.primary_score:.1f}")

    def on_plateau(self, episode_id, state):
        print(f"window {episode_id}: a plateau, {state.name}")

    def on_degradation(self, episode_id, eval_metrics):
        print(f"window {episode_id}: worse beyond noise, {eval_metrics.primary_score:.1f}")

    def on_dormant(self, episode_id):
        print(f"window {episode_id}: nothing more is to be gained")


layers = [keras.Input((4,)), keras.layers.Dense(64, activation="relu"), keras.layers.Dense(2)]
params = HyperparamSet({"learning_rate": 3e-4, "gamma": 0.99}, episode_id=0)
agent = TFAgent(keras.Sequential(layers), keras.optimizers.Adam(), params)

optimizer = RLOptimizer(
    agent,
    BatchPipeline(gym.make("CartPole-v1"), agent, window_size=400),
    evaluator=Careful(),
    optimizer=None,  # tunes nothing
    checkpoint_dir="./tensor_optix_checkpoints",
    max_snapshots=10,  # champions kept on disk
    rollback_on_degradation=True,  # default: False
    improvement_margin=0.0,  # what a champion must be better by, beyond the noise
    max_episodes=None,  # windows; None: until DORMANT
    base_interval=1,  # looks between suggestions of the hyperparameter optimizer
    backoff_factor=2.0,
    max_interval_episodes=100,
    plateau_threshold=5,  # looks without gain until COOLING
    dormant_threshold=20,  # and until DORMANT
    degradation_threshold=0.95,
    callbacks=[Diary(), "progress"],
    seed=0,
)
print(optimizer.run())
