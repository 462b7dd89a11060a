"""What a user may get wrong: a type checker must object to each line that says so, and to no other.

`# wrong` is for both, `# wrong: basedpyright` where only that one reads Keras, which carries no types for mypy.
"""

import tensor_optix as tx
from tensor_optix import RLOptimiser  # wrong
from tensor_optix.adapters.tensorflow import TfAgent  # wrong
from tensor_optix.algorithms import PPO  # wrong
from tensor_optix.monitoring import PlateauDetektor  # wrong
from tensor_optix.optimizers import BackofOptimizer  # wrong
from tensor_optix.pipeline import BatchPipelin  # wrong
from tensor_optix.testing import Nonsense  # wrong

agent = tx.make_agent("CartPole-v1")
pipeline = tx.make_pipeline("CartPole-v1", agent)
loop = tx.RLOptimizer(agent, pipeline)
result = loop.run()
evaluation = tx.evaluate(agent, "CartPole-v1")

tx.PPOAgnt()  # wrong
tx.PPOAgent(bathc_size="x")  # wrong
tx.PPOAgent(batch_size="x")  # wrong
tx.PPOAgent(hidden_units=64)  # wrong
tx.PPOAgent(jit_compile="never")  # wrong
tx.PPOAgent(5)  # wrong: basedpyright
tx.SACAgent(hidden_units="64, 64")  # wrong
tx.DQNAgent(double="yes")  # wrong
tx.TFAgent("model", "adam", {"gamma": 0.99})  # wrong
tx.make_agent(5)  # wrong
tx.make_agent("CartPole-v1", 7)  # wrong
tx.make_pipeline(5)  # wrong
tx.make_pipeline("CartPole-v1", num_envs="4")  # wrong
tx.BatchPipeline("CartPole-v1", agent)  # wrong
tx.BatchPipeline(lambda: 5, agent)  # wrong
tx.BatchPipeline(pipeline.env, "agent")  # wrong
tx.BatchPipeline(pipeline.env, agent, window_size="200")  # wrong
tx.BatchPipeline(pipeline.env, agent, on_env_error="ignore")  # wrong
tx.LivePipeline(5)  # wrong
tx.LivePipeline.every_n_steps("x")  # wrong
tx.RLOptimizer(pipeline, agent)  # wrong
tx.RLOptimizer(agent, pipeline, max_env_steps="many")  # wrong
tx.RLOptimizer(agent, pipeline, callbacks=[print])  # wrong
tx.RLOptimizer(agent, pipeline, evaluation_env="CartPole-v1")  # wrong
tx.BackoffOptimizer([1, 2])  # wrong
tx.PBTOptimizer({"learning_rate": 5})  # wrong
tx.ParamSpec(0.0, 1.0, "logarithmic")  # wrong
tx.evaluate(agent, 5)  # wrong
tx.make_agent("CartPole-v1", seed="0")  # wrong
tx.EnvironmentName("Walk-v0", wrappers="walk:slow")  # wrong
tx.EnvironmentName("Walk-v0", wrappers=[1])  # wrong
tx.evaluate(5, "CartPole-v1")  # wrong
tx.load_agent(5)  # wrong
tx.load_agent("run-0001").no_such_thing  # wrong
agent.no_such_thing  # wrong
agent.act(1, 2)  # wrong
agent.get_hyperparams().prams  # wrong
agent.get_state("learnr")  # wrong
loop.run(resume=1.5)  # wrong
result.reson  # wrong
result.reason + 5  # wrong
result.confirmed_mean + 1.0  # wrong
evaluation.maen  # wrong
text: str = evaluation.mean  # wrong
