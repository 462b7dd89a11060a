"""Digests of whole runs: what a redesign must not change, to the last bit.

Each case trains from a fresh agent, in a process of its own, and is told as one SHA-256 over its history, its
environment steps, its report and the weights it left behind. ``killed`` cases end by ``os._exit`` at a window and are
resumed in another process.

    python benchmarks/run_digests.py --save            # write benchmarks/results/run_digests.json
    python benchmarks/run_digests.py                   # compare with it; exit code 1 where one differs
    python benchmarks/run_digests.py --only ppo_vector

Digests hold for one machine, one set of versions and one thread count, which are saved with them.
"""

import argparse
import datetime
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "run_digests.json"

CASES = {
    "quick_start": {"env": "CartPole-v1", "agent": "own_model", "windows": 60},
    "quick_start_custom_loss": {"env": "CartPole-v1", "agent": "own_loss", "windows": 10},
    "tf_agent_box": {"env": "Pendulum-v1", "agent": "policy_gradient", "windows": 20},
    "tf_agent_vector": {"env": "CartPole-v1", "agent": "policy_gradient", "num_envs": 4, "windows": 40},
    "ppo_single": {"env": "CartPole-v1", "agent": "ppo", "num_envs": 1, "window_size": 500, "windows": 20},
    "ppo_vector": {"env": "CartPole-v1", "agent": "ppo", "num_envs": 8, "steps": 60_000},
    "ppo_box": {"env": "Pendulum-v1", "agent": "ppo", "num_envs": 4, "window_size": 200, "windows": 12},
    "dqn_single": {"env": "CartPole-v1", "agent": "dqn", "windows": 60, "structure": {"learning_starts": 500}},
    "dqn_vector": {
        "env": "CartPole-v1",
        "agent": "dqn",
        "num_envs": 4,
        "windows": 40,
        "structure": {"learning_starts": 500, "prioritised": True, "num_steps": 3},
    },
    "sac_single": {
        "env": "Pendulum-v1",
        "agent": "sac",
        "windows": 60,
        "structure": {"learning_starts": 300, "hidden_units": (32, 32), "batch_size": 32},
    },
    "sac_vector": {
        "env": "Pendulum-v1",
        "agent": "sac",
        "num_envs": 2,
        "windows": 60,
        "structure": {"learning_starts": 300, "hidden_units": (32, 32), "batch_size": 32},
    },
    "backoff": {"env": "CartPole-v1", "agent": "policy_gradient", "windows": 60, "tuner": "backoff"},
    "pbt": {"env": "CartPole-v1", "agent": "policy_gradient", "windows": 60, "tuner": "pbt"},
    "rollback": {"env": "CartPole-v1", "agent": "ppo", "num_envs": 4, "windows": 30, "rollback": True},
    "killed_tf_agent": {"env": "CartPole-v1", "agent": "policy_gradient", "windows": 60, "kill_at": 41},
    "killed_ppo": {"env": "CartPole-v1", "agent": "ppo", "num_envs": 4, "windows": 12, "kill_at": 9},
    "killed_dqn_pbt": {
        "env": "CartPole-v1",
        "agent": "dqn",
        "windows": 60,
        "kill_at": 41,
        "tuner": "pbt",
        "structure": {"learning_starts": 500},
    },
}
BARRIER_STEPS = 2_000


def make_agent(case):
    import keras

    from tensor_optix import HyperparamSet, TFAgent, presets

    if case["agent"] not in ("own_model", "own_loss"):
        return presets.make_agent(case["env"], case["agent"], seed=3, **case.get("structure", {}))
    keras.utils.set_random_seed(3)
    layers = [keras.layers.Dense(64, activation="relu"), keras.layers.Dense(64, activation="relu")]
    model = keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(2)])
    params = HyperparamSet({"learning_rate": 3e-4, "gamma": 0.99}, episode_id=0)
    loss = own_loss if case["agent"] == "own_loss" else None
    return TFAgent(model, keras.optimizers.Adam(3e-4), params, loss)


def own_loss(model, episode_data, returns):
    import tensorflow as tf

    logits = model(tf.convert_to_tensor(episode_data.observations))
    actions = tf.convert_to_tensor(episode_data.actions)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(actions, logits)
    return tf.reduce_mean(losses * (returns - returns.mean()))


def make_optimizer(case, folder):
    import gymnasium as gym

    from tensor_optix import BackoffOptimizer, BatchPipeline, LoopCallback, PBTOptimizer, RLOptimizer

    class KillAt(LoopCallback):
        def on_episode_end(self, episode_id, eval_metrics):
            if episode_id == case.get("kill_now"):
                os._exit(9)

    num_envs = case.get("num_envs", 1)

    def make_env():
        return gym.make(case["env"]) if num_envs == 1 else gym.make_vec(case["env"], num_envs)

    tuners = {"backoff": BackoffOptimizer, "pbt": PBTOptimizer}
    tuner = tuners[case["tuner"]]({"learning_rate": (1e-5, 1e-2)}) if "tuner" in case else None
    agent = make_agent(case)
    pipeline = BatchPipeline(
        make_env, agent, window_size=case.get("window_size", 200), barrier_interval_steps=BARRIER_STEPS
    )
    optimizer = RLOptimizer(
        agent,
        pipeline,
        optimizer=tuner,
        checkpoint_dir=folder,
        seed=5,
        max_episodes=case.get("windows"),
        max_env_steps=case.get("steps"),
        rollback_on_degradation=case.get("rollback", False),
        report_episodes=5,
        callbacks=[KillAt()],
    )
    return agent, optimizer


def digest_of(case, folder, resume):
    """Run one case in this process and print its digest."""
    agent, optimizer = make_optimizer(case, folder)
    result = optimizer.run(resume=resume)
    sha = hashlib.sha256(json.dumps(result.history, sort_keys=True).encode())
    facts = {"reason": result.reason, "env_steps": dict(result.env_steps), "report": list(result.report.returns)}
    sha.update(json.dumps(facts, sort_keys=True, default=float).encode())
    for name, array in sorted(agent.get_state("policy").arrays.items()):
        sha.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    told = {"sha256": sha.hexdigest(), "windows": result.windows, "mean": result.confirmed_mean, **facts}
    told.pop("report")
    print("DIGEST " + json.dumps(told))


def run_case(name):
    """Run one case in processes of its own, and return what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        if "kill_at" in CASES[name]:
            in_process(name, folder, "kill")
        printed = in_process(name, folder, "resume" if "kill_at" in CASES[name] else "run")
    line = next((line for line in printed.splitlines() if line.startswith("DIGEST ")), None)
    return json.loads(line.removeprefix("DIGEST ")) if line else {"sha256": "failed", "output": printed[-2000:]}


def in_process(name, folder, mode):
    command = [sys.executable, __file__, "--case", name, "--folder", folder, "--mode", mode]
    environ = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, env=environ)
    return done.stdout + done.stderr


def versions():
    from importlib.metadata import version

    names = ("tensorflow", "keras", "gymnasium", "numpy")
    return {**{name: version(name) for name in names}, "python": platform.python_version()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--save", action="store_true")
    parser.add_argument("--only", nargs="*", choices=list(CASES))
    parser.add_argument("--file", type=Path, default=RESULTS)
    parser.add_argument("--case", choices=list(CASES), help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--mode", choices=("run", "kill", "resume"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        kill = {"kill_now": CASES[given.case]["kill_at"]} if given.mode == "kill" else {}
        digest_of({**CASES[given.case], **kill}, given.folder, resume=given.mode == "resume")
        return 0
    known = json.loads(given.file.read_text())["cases"] if given.file.exists() else {}
    found, different = dict(known), []
    for name in given.only or CASES:
        found[name] = run_case(name)
        same = found[name]["sha256"] == known.get(name, {}).get("sha256")
        different += [] if same else [name]
        print(f"{name:26s} {'same' if same else 'NEW' if name not in known else 'DIFFERENT'} {found[name]}", flush=True)
        if given.save:
            document = {"date": f"{datetime.date.today()}", "versions": versions(), "cases": found}
            given.file.write_text(json.dumps(document, indent=1) + "\n")
    print(f"{len(different)} of {len(given.only or CASES)} differ: {', '.join(different) or 'none'}")
    return 1 if different and not given.save else 0


if __name__ == "__main__":
    sys.exit(main())
