import pytest
from extra_venvs import run_with

from tensor_optix.reporting import mlflow

RUN = """
import sys
from pathlib import Path
import logged_runs
from logged_runs import make_optimizer, crashed_and_resumed
import mlflow
from tensor_optix.reporting.mlflow import MLflowCallback

logged_runs.save_at_every_barrier()
root = Path(sys.argv[1])
mlflow.set_tracking_uri(f"sqlite:///{root}/mlflow.db")
client = mlflow.MlflowClient()

def runs():
    experiment = client.get_experiment_by_name("tensor-optix")
    return client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])

def steps(run, key="train/loss"):
    return [metric.step for metric in client.get_metric_history(run.info.run_id, key)]

result = make_optimizer(root / "whole", [MLflowCallback(every_seconds=0.0)]).run()
(whole,) = runs()
assert whole.info.status == "FINISHED" and whole.info.run_name == "run-0001"
assert whole.data.params["env_id"] == "CartPole-v1" and whole.data.params["learning_rate"] == "0.01"
assert whole.data.metrics["result/mean"] == result.confirmed_mean
assert whole.data.tags["reason"] == "budget"
assert len(steps(whole)) > 20

crashed_and_resumed(root / "crashed", lambda: [MLflowCallback(every_seconds=0.0)])
assert len(runs()) == 2
assert steps(runs()[-1]) == steps(whole)

with mlflow.start_run() as active:
    make_optimizer(root / "own", ["mlflow"], max_env_steps=None, max_episodes=3).run()
    assert mlflow.active_run().info.run_id == active.info.run_id
own = client.get_run(active.info.run_id)
assert own.data.params["agent"] == "LinearAgent" and steps(own, "run/score")[-1] == 300
print("read")
"""


@pytest.mark.extras
def test_a_real_store_has_what_was_logged(tmp_path):
    assert run_with("mlflow", RUN, tmp_path, cwd=tmp_path).splitlines()[-1] == "read"


def test_a_run_that_was_stopped_is_not_finished():
    assert mlflow._STATUS_OF == {"error": "FAILED", "stopped": "KILLED"}
