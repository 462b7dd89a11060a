"""Train a policy, export it, and play it by another runtime, without the agent.

python examples/deploy.py --format onnx      # saved_model, keras, onnx or tflite; the last two need the extra "export"
"""

import argparse

import gymnasium as gym
import numpy as np

from tensor_optix import RLOptimizer, make_agent, make_pipeline

PATHS = {"saved_model": "policy", "keras": "policy.keras", "onnx": "policy.onnx", "tflite": "policy.tflite"}


def with_tensorflow(path):
    import tensorflow as tf

    policy = tf.saved_model.load(path)
    return lambda observations: policy.serve(observations).numpy()


def with_keras(path):
    import keras

    policy = keras.models.load_model(path)
    return lambda observations: policy(observations).numpy()


def with_onnxruntime(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    return lambda observations: session.run(None, {"observation": observations})[0]


def with_litert(path):
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(path).get_signature_runner()
    return lambda observations: next(iter(run(observation=observations).values()))


READERS = {"saved_model": with_tensorflow, "keras": with_keras, "onnx": with_onnxruntime, "tflite": with_litert}


def play(act, env_id, seed):
    """Return the return of one episode."""
    env = gym.make(env_id)
    observation, _ = env.reset(seed=seed)
    total, is_over = 0.0, False
    while not is_over:
        action = act(observation[np.newaxis].astype(np.float32))[0]
        observation, reward, terminated, truncated, _ = env.step(action)
        total, is_over = total + float(reward), terminated or truncated
    env.close()
    return total


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--format", choices=PATHS, default="saved_model")
    parser.add_argument("--env", default="CartPole-v1")
    parser.add_argument("--max-env-steps", type=int, default=50_000)
    options = parser.parse_args()
    agent = make_agent(options.env, "ppo", seed=0)
    RLOptimizer(agent, make_pipeline(options.env, agent), seed=0, max_env_steps=options.max_env_steps).run()
    agent.export(PATHS[options.format], options.format)
    act = READERS[options.format](PATHS[options.format])
    print(f"Returns of five episodes: {[play(act, options.env, seed) for seed in range(5)]}")


if __name__ == "__main__":
    main()
