"""What any agent must keep to, as tests that users can run on their own."""

from __future__ import annotations

import contextlib
import numbers
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.mask_layout import MaskLayout, takes_masks
from tensor_optix.core.policy_actor import PolicyActor
from tensor_optix.core.search_space import ParamSpec
from tensor_optix.core.storage.agent_files import has_own_state
from tensor_optix.core.types import EpisodeData
from tensor_optix.pipeline.batch_pipeline import BatchPipeline
from tensor_optix.pipeline.evaluation import evaluate
from tensor_optix.pipeline.stepping.action_masks import mask_layout, options_taken
from tensor_optix.testing.checking import check, is_same


class AgentConformance:
    """Subclass it in a test module as ``Test...``, and say how agent and environment are made; pytest finds the rest.

    What an agent does not have (a state of its own, a policy) is not asked for.

    Attributes:
        window_size: Steps of a window: enough for the agent to learn something from a few.
        num_windows: How many it learns from.

    Example:
        >>> class TestMine(AgentConformance):
        ...     def make_env(self):
        ...         return gym.make("CartPole-v1")
        ...
        ...     def make_agent(self):
        ...         return make_agent("CartPole-v1", "ppo", batch_size=16)
    """

    window_size = 64
    num_windows = 3

    def make_env(self) -> Any:
        """Return a new environment whose episodes end."""
        raise NotImplementedError("make_env() -> gymnasium.Env")

    def make_agent(self) -> BaseAgent:
        """Return a new agent; all of them begin with the same weights, or take them from ``bind(seed=)``."""
        raise NotImplementedError("make_agent() -> BaseAgent")

    def test_actions_are_of_the_action_space(self) -> None:
        """Exploring and greedy, one and many, before and after learning."""
        agent, pipeline = self._bound()
        for _ in self._learned(agent, pipeline):
            for observation in self._some_observations(pipeline, 3):
                for action in (agent.act(observation), agent.act_greedy(observation)):
                    check(pipeline.action_space.contains(action), f"{action!r} is no action of {pipeline.action_space}")
        pipeline.teardown()

    def test_many_actions_are_as_good_as_one(self) -> None:
        """``act_batch`` gives one action for each observation."""
        agent, pipeline = self._bound()
        first, second = self._some_observations(pipeline, 2)
        actions = agent.act_batch(_stack([first, second]))
        check(len(actions) == 2, f"act_batch gave {len(actions)} actions for 2 observations")
        for action in actions:
            own_kind = action.item() if np.ndim(action) == 0 else np.asarray(action, pipeline.action_space.dtype)
            check(pipeline.action_space.contains(own_kind), f"{action!r} is no action of {pipeline.action_space}")
        pipeline.teardown()

    def test_greedy_actions_do_not_change_by_themselves(self) -> None:
        """The same first observation of an episode, the same greedy action, whatever was explored in between."""
        agent, pipeline = self._trained()
        for observation in self._some_observations(pipeline, 5):
            once = _greedy(agent, observation)
            agent.act(observation)
            check(is_same(once, _greedy(agent, observation)), "act_greedy gave two actions for one observation")
        pipeline.teardown()

    def test_learning_returns_numbers(self) -> None:
        """A dict of diagnostics, whose numbers are finite."""
        agent, pipeline = self._bound()
        for diagnostics in self._learned(agent, pipeline):
            check(isinstance(diagnostics, dict), f"learn returned {type(diagnostics).__name__}, not a dict")
            for name, value in diagnostics.items():
                is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
                check(not is_number or bool(np.isfinite(float(value))), f"learn returned {name}={value!r}")
        pipeline.teardown()

    def test_hyperparameters_are_copies(self) -> None:
        """What is returned may be written to, and what was given may be changed afterwards."""
        agent, pipeline = self._bound()
        before = agent.get_hyperparams()
        agent.get_hyperparams().params["invented"] = 1.0
        check("invented" not in agent.get_hyperparams().params, "get_hyperparams handed out the agent's own dict")
        given = before.copy()
        agent.set_hyperparams(given)
        given.params["invented"] = 1.0
        check("invented" not in agent.get_hyperparams().params, "set_hyperparams kept the caller's dict")
        check(agent.get_hyperparams().params == before.params, "what was set does not come back")
        pipeline.teardown()

    def test_what_may_be_tuned_lies_within_its_bounds(self) -> None:
        """The value in force of each hyperparameter that ``hyperparam_bounds`` names, where it is told."""
        agent, pipeline = self._bound()
        params = agent.get_hyperparams().params
        for name, bounds in agent.hyperparam_bounds().items():
            spec = ParamSpec.of(bounds)
            is_inside = name not in params or spec.contains(params[name])
            check(is_inside, f"{name}={params.get(name)!r} is outside ({spec.low}, {spec.high})")
        pipeline.teardown()

    def test_saved_weights_act_the_same(self) -> None:
        """In a new agent, from files."""
        agent, pipeline = self._trained()
        other, other_pipeline = self._bound(seed=1)
        with tempfile.TemporaryDirectory() as folder:
            agent.save_weights(str(Path(folder) / "weights"))
            other.load_weights(str(Path(folder) / "weights"))
        self._check_same_greedy(agent, other, pipeline)
        pipeline.teardown()
        other_pipeline.teardown()

    def test_a_state_goes_on_exactly(self) -> None:
        """After ``set_state(get_state("all"))`` in a new agent, acting and learning are the same to the last bit."""
        agent, pipeline = self._trained()
        if has_own_state(agent):
            window = next(iter(pipeline.episodes()))
            other, other_pipeline = self._bound(seed=1)
            other.set_state(agent.get_state("all"))
            check(is_same(agent.get_state("all").arrays, other.get_state("all").arrays), "set_state lost something")
            for observation in self._some_observations(pipeline, 3):
                check(is_same(agent.act(observation), other.act(observation)), "the next exploring action differs")
            agent.learn(window)
            other.learn(window)
            check(is_same(agent.get_state("all").arrays, other.get_state("all").arrays), "the next update differs")
            other_pipeline.teardown()
        pipeline.teardown()

    def test_a_state_is_a_copy(self) -> None:
        """Learning on does not change a state that was taken, and going back to it undoes the learning."""
        agent, pipeline = self._trained()
        if has_own_state(agent):
            taken = agent.get_state("learner")
            before = {name: array.copy() for name, array in taken.arrays.items()}
            agent.learn(next(iter(pipeline.episodes())))
            check(is_same(before, taken.arrays), "learning changed a state that had been taken")
            agent.set_state(taken)
            check(is_same(before, agent.get_state("learner").arrays), "going back did not undo the learning")
        pipeline.teardown()

    def test_going_back_brings_the_policy_back(self) -> None:
        """After ``go_back_to``, as the loop brings its champion back, the policy is that of the state."""
        agent, pipeline = self._trained()
        if has_own_state(agent):
            observations = self._some_observations(pipeline, 20)
            taken, before = agent.get_state("learner"), [_greedy(agent, observation) for observation in observations]
            agent.learn(next(iter(pipeline.episodes())))
            agent.go_back_to(taken)
            again = [_greedy(agent, observation) for observation in observations]
            check(is_same(before, again), "go_back_to brought another policy back")
        pipeline.teardown()

    def test_a_policy_state_acts_the_same(self) -> None:
        """Scope "policy" is enough for the same greedy actions in a new agent."""
        agent, pipeline = self._trained()
        if has_own_state(agent):
            other, other_pipeline = self._bound(seed=1)
            other.set_state(agent.get_state("policy"))
            self._check_same_greedy(agent, other, pipeline)
            other_pipeline.teardown()
        pipeline.teardown()

    def test_binding_again_keeps_what_was_learned(self) -> None:
        """The same spaces and another seed: what is random begins anew, and nothing else."""
        agent, pipeline = self._trained()
        actions = [_greedy(agent, observation) for observation in self._some_observations(pipeline, 20)]
        agent.bind(pipeline.observation_space, pipeline.action_space, seed=12345)
        again = [_greedy(agent, observation) for observation in self._some_observations(pipeline, 20)]
        check(is_same(actions, again), "binding again changed the greedy actions")
        pipeline.teardown()

    def test_evaluating_changes_nothing(self) -> None:
        """``evaluate`` leaves the agent as it was, to the last bit."""
        agent, pipeline = self._trained()
        if has_own_state(agent):
            before = agent.get_state("all")
            evaluate(agent, self.make_env, num_episodes=2)
            check(is_same(before.arrays, agent.get_state("all").arrays), "evaluate changed the agent's arrays")
            check(before.meta == agent.get_state("all").meta, "evaluate changed the agent's state")
        pipeline.teardown()

    def test_a_policy_is_frozen(self) -> None:
        """What ``policy()`` returns acts on as the agent did when it was taken."""
        agent, pipeline = self._trained()
        try:
            policy = agent.policy()
        except NotImplementedError:
            return
        observations = self._some_observations(pipeline, 10)
        before = [_greedy_of(policy, observation) for observation in observations]
        check(
            is_same(before, [_greedy(agent, observation) for observation in observations]),
            "the policy's greedy actions are not the agent's",
        )
        agent.learn(next(iter(pipeline.episodes())))
        check(is_same(before, [_greedy_of(policy, o) for o in observations]), "learning changed a policy")
        pipeline.teardown()

    def test_only_what_a_mask_allows_is_done(self) -> None:
        """Where the agent says ``uses_action_masks``: singly, in batches, exploring, greedy, and by its policy."""
        agent, pipeline = self._bound()
        layout = mask_layout(pipeline.action_space)
        if not agent.uses_action_masks or layout is None:
            pipeline.teardown()
            return
        check(takes_masks(agent), "uses_action_masks is True, but act, act_greedy or act_batch lacks its argument")
        for _ in self._learned(agent, pipeline):
            self._check_masked(agent, pipeline, layout)
        pipeline.teardown()

    # What the tests share

    def _check_masked(self, agent: Any, pipeline: BatchPipeline, layout: MaskLayout) -> None:
        observations, space = self._some_observations(pipeline, 8), pipeline.action_space
        masks = _some_masks(layout, len(observations))
        acts: dict[str, Any] = {"act": agent.act, "act_greedy": agent.act_greedy}
        batches: dict[str, Any] = {"act_batch": agent.act_batch}
        with contextlib.suppress(NotImplementedError):
            exploring, greedy = (PolicyActor(agent.policy(), greedy=greedy) for greedy in (False, True))
            acts |= {"its policy's act": exploring, "its policy's greedy act": greedy}
            batches |= {"its policy's act_batch": PolicyActor(agent.policy(), greedy=False).batch}
        done = {
            name: [act(o, action_mask=m) for o, m in zip(observations, masks, strict=True)]
            for name, act in acts.items()
        }
        done |= {name: list(act(_stack(observations), action_masks=masks)) for name, act in batches.items()}
        for name, actions in done.items():
            for action, mask in zip(actions, masks, strict=True):
                is_allowed = layout.allows(mask, options_taken(space, action))
                check(is_allowed, f"{name} took {action!r}, which the mask {mask.astype(int)} does not allow")

    def _bound(self, seed: int = 0) -> tuple[BaseAgent, BatchPipeline]:
        agent = self.make_agent()
        pipeline = BatchPipeline(self.make_env, agent, window_size=self.window_size, seed=seed)
        pipeline.setup()
        agent.bind(pipeline.observation_space, pipeline.action_space, seed=seed)
        return agent, pipeline

    def _trained(self) -> tuple[BaseAgent, BatchPipeline]:
        agent, pipeline = self._bound()
        for _ in self._learned(agent, pipeline):
            pass
        return agent, pipeline

    def _learned(self, agent: BaseAgent, pipeline: BatchPipeline) -> Any:
        """Yield what was said of each window that the agent learned from, ``{}`` before the first."""
        yield {}
        windows = iter(pipeline.episodes())
        for _ in range(self.num_windows):
            window: EpisodeData = next(windows)
            yield agent.learn(window)

    def _some_observations(self, pipeline: BatchPipeline, count: int) -> list[Any]:
        """Return observations of the first steps of an episode under a fixed choice of actions."""
        env, space = self.make_env(), pipeline.action_space
        space.seed(0)
        observation, _ = env.reset(seed=7)
        found = [observation]
        while len(found) < count:
            observation, _, terminated, truncated, _ = env.step(space.sample())
            if terminated or truncated:
                observation, _ = env.reset()
            found.append(observation)
        env.close()
        return found

    def _check_same_greedy(self, agent: BaseAgent, other: BaseAgent, pipeline: BatchPipeline) -> None:
        for observation in self._some_observations(pipeline, 20):
            same = is_same(_greedy(agent, observation), _greedy(other, observation))
            check(same, "an agent acts otherwise than the one whose weights it was given")


def _some_masks(layout: MaskLayout, count: int) -> Any:
    """Return masks ``[count, A]`` that leave each choice one option or more."""
    rng = np.random.default_rng(0)
    masks = rng.random((count, layout.size)) < 0.3
    for start, size in zip(np.cumsum((0, *layout.sizes[:-1])), layout.sizes, strict=True):
        masks[np.arange(count), start + rng.integers(size, size=count)] = True
    return masks


def _greedy(agent: BaseAgent, observation: Any) -> Any:
    """Return the best known action where an episode begins with this observation: nothing is remembered."""
    agent.begin_episodes(np.ones(1, np.bool_))
    return agent.act_greedy(observation)


def _greedy_of(policy: Any, observation: Any) -> Any:
    return PolicyActor(policy, greedy=True)(observation)


def _stack(observations: list[Any]) -> Any:
    first = observations[0]
    if isinstance(first, dict):
        return {key: _stack([observation[key] for observation in observations]) for key in first}
    if isinstance(first, tuple):
        return tuple(_stack(list(parts)) for parts in zip(*observations, strict=True))
    return np.stack([np.asarray(observation) for observation in observations])
