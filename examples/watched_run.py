"""A run watched from all sides: a panel, CSV, Monitor and evaluation files, and a number of your own in the logs."""

from tensor_optix import LoopCallback, RLOptimizer, make_agent, make_pipeline
from tensor_optix.reporting.eval_callback import EvalCallback


class ReturnSpread(LoopCallback):
    """Publishes a number that every logger writes beside its own."""

    def on_run_start(self, run):
        self.run = run

    def on_window(self, row, window):
        if len(window.completed_returns):
            self.run.publish(**{"rollout/ep_rew_std": window.completed_returns.std()})


agent, pipeline = make_agent("CartPole-v1", seed=0), make_pipeline("CartPole-v1")
every = EvalCallback("CartPole-v1", every_env_steps=5_000, num_episodes=10)
result = RLOptimizer(
    agent, pipeline, seed=0, max_env_steps=60_000, callbacks=["progress", ReturnSpread(), every, "csv", "monitor"]
).run()

print(result)
print(f"\nFiles: {result.run_dir}/progress.csv, 0.monitor.csv, evaluations.npz")
print("Means of the regular evaluations:", [float(returns.mean()) for returns in every.evaluations["results"]])
