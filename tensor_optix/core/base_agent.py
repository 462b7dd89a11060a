"""What an agent must be: the only contract between the loop and whatever learns."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from tensor_optix.core.search_space import ParamSpec
from tensor_optix.core.short_html import html_table
from tensor_optix.core.types import AgentState, EpisodeData, HyperparamSet, StateScope


@runtime_checkable
class Policy(Protocol):
    """A frozen, thread-safe copy of how an agent acts.

    One of an agent that takes masks (``uses_action_masks``) takes them, too: ``act(..., action_mask=)`` and
    ``act_batch(..., action_masks=)``. One with memory has ``initial_states(num_envs)``, zeros ``[N, ...]`` of each of
    its states; ``act(..., states=)`` (N = 1) and ``act_batch(..., states=)`` then return ``(action(s), new states)``,
    and ``states=None`` begins an episode.

    Attributes:
        version: Rises with each update of the agent it was taken from.
    """

    version: int

    def act(self, observation: Any, *, greedy: bool = False) -> Any:
        """Return an action that the environment takes, for one observation."""
        ...

    def act_batch(self, observations: Any, *, greedy: bool = False) -> Any:
        """Return actions ``[N, ...]`` for observations ``[N, ...]``."""
        ...


def _remembered(bind: Callable[..., None]) -> Callable[..., None]:
    """Return ``bind`` so that the agent knows afterwards that it was called."""

    @functools.wraps(bind)
    def bind_and_remember(self: BaseAgent, *args: Any, **kwargs: Any) -> None:
        bind(self, *args, **kwargs)
        self.is_bound = True

    return bind_and_remember


def _act_with_mask(self: BaseAgent, observation: Any, **beside: Any) -> Any:
    """Return the best known action: what ``act`` returns."""
    return self.act(observation, **beside)


def _act_on_each_with_mask(self: BaseAgent, observations: Any, *, action_masks: Any = None) -> Any:
    """Return actions ``[N, ...]``: what ``act`` returns on each observation."""
    masks = [None] * len(observations) if action_masks is None else action_masks
    pairs = zip(observations, masks, strict=True)
    return np.stack([np.asarray(self.act(seen, action_mask=mask)) for seen, mask in pairs])  # type: ignore[call-arg]


class BaseAgent(ABC):
    """Interface of everything that acts and learns.

    The loop calls, in this order: ``bind`` once; then per window ``act`` (or ``act_batch``) for
    each step, ``set_hyperparams`` when the hyperparameter optimizer has a suggestion, and
    ``learn`` once. The six abstract methods are all that is needed; the others have defaults that
    work for any agent.
    """

    uses_action_masks: bool = False
    """Whether it takes masks of what is allowed: then ``act`` and ``act_greedy`` take ``action_mask=`` (``[A]``, bool,
    True where an option is allowed; None for all), ``act_batch`` takes ``action_masks=`` ``[N, A]``, and so do its
    policies' ``act`` and ``act_batch``. How options lie in a mask: ``BatchPipeline``."""

    is_bound: bool = False
    """Whether ``bind`` was called. Whoever only evaluates an agent does not bind it again."""

    def __repr__(self) -> str:
        params = ", ".join(f"{name}={value!r:.24}" for name, value in self._shown_hyperparams().items())
        return f"{type(self).__name__}({params})"

    def _repr_html_(self) -> str:
        return html_table(type(self).__name__, {**self._shown_hyperparams(), "bound": "yes" if self.is_bound else "no"})

    def _shown_hyperparams(self) -> dict[str, Any]:
        """Return its hyperparameters; none where it cannot tell them: whoever prints an agent wants no error."""
        try:
            return dict(self.get_hyperparams().params)
        except Exception:
            return {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Let an agent with a ``bind`` of its own remember that it was bound; defaults pass masks on to its ``act``."""
        super().__init_subclass__(**kwargs)
        if "bind" in vars(cls):
            cls.bind = _remembered(cls.bind)  # type: ignore[method-assign]
        if cls.uses_action_masks:
            if cls.act_greedy is BaseAgent.act_greedy:
                cls.act_greedy = _act_with_mask  # type: ignore[assignment]
            if cls.act_batch is BaseAgent.act_batch:
                cls.act_batch = _act_on_each_with_mask  # type: ignore[assignment]

    @abstractmethod
    def act(self, observation: Any) -> Any:
        """Return an action for one observation, exploring as the algorithm asks."""

    @abstractmethod
    def learn(self, episode_data: EpisodeData) -> dict[str, Any]:
        """Update from one window and return diagnostics (numbers are recorded)."""

    @abstractmethod
    def get_hyperparams(self) -> HyperparamSet:
        """Return a copy of the current hyperparameters."""

    @abstractmethod
    def set_hyperparams(self, hyperparams: HyperparamSet) -> None:
        """Use these hyperparameters from the next ``learn`` on."""

    @abstractmethod
    def save_weights(self, path: str) -> None:
        """Write everything that ``load_weights`` needs to ``path``.

        The parent of ``path`` exists; ``path`` itself may not. The agent may make a folder there
        or use it as a file stem: whatever it writes belongs to the snapshot.
        """

    @abstractmethod
    def load_weights(self, path: str) -> None:
        """Read what ``save_weights`` wrote to the same ``path``."""

    def bind(self, observation_space: Any, action_space: Any, *, num_envs: int = 1, seed: int | None = None) -> None:
        """Check that the agent fits the spaces of one environment, before the first step.

        Called again, with other spaces or another seed, it never undoes what was learned: an agent
        that has learned, was loaded or was given a state is reseeded, and nothing else.

        Args:
            observation_space: Space of one environment's observation.
            action_space: Space of one environment's action.
            num_envs: How many environments step together.
            seed: Source of all the agent's randomness.
        """

    def act_batch(self, observations: Any) -> Any:
        """Return actions ``[N, ...]`` for observations ``[N, ...]``. Default: ``act`` on each."""
        return np.stack([np.asarray(self.act(observation)) for observation in observations])

    @classmethod
    def acts_on_many(cls) -> bool:
        """Tell whether it has an ``act_batch`` of its own: the default knows no dicts."""
        return cls.act_batch not in (BaseAgent.act_batch, _act_on_each_with_mask)

    def act_greedy(self, observation: Any) -> Any:
        """Return the best known action, without exploring. Default: ``act``."""
        return self.act(observation)

    remembers: bool | None = None
    """Whether its policy has memory, so that greedy episodes beside running ones need states of their own, which its
    ``policy()`` then takes and gives; False: nobody need call ``begin_episodes``. None: not known."""

    def begin_episodes(self, is_first: Any) -> None:
        """Forget what belongs to episodes that are over: some begin with the next observation. Default: nothing.

        Called before the first observation of an episode is acted on, by whoever steps the environment. An agent that
        remembers zeroes its states there.

        Args:
            is_first: Which environments begin an episode, ``[N]`` bool.
        """

    def memory_states(self, num_envs: int) -> Any:
        """Return a copy of what is remembered of the running episodes, ``[N, ...]`` each. Default: None, for nothing.

        Pipelines record it in ``EpisodeData.initial_states``, since the agent that learns may be another one by then.

        Args:
            num_envs: N, how many environments step together.
        """
        return None

    def get_state(self, scope: StateScope = "learner") -> AgentState:
        """Return an independent copy of the agent's state.

        Args:
            scope: ``"policy"`` is weights and normalisers; ``"learner"`` adds optimizer, targets,
                hyperparameters and random state; ``"all"`` adds replay.
        """
        raise NotImplementedError("get_state(scope) -> AgentState")

    def set_state(self, state: AgentState) -> None:
        """Become what ``state`` says; everything it does not speak of stays."""
        raise NotImplementedError("set_state(state)")

    def go_back_to(self, state: AgentState) -> None:
        """Become what an earlier state of the same run says, but for what counts time: that never goes back.

        So the loop brings its champion back: exploration that has faded does not begin anew, and what was waited
        for at the start is not waited for again. A run that is resumed is given its state by ``set_state``, with all
        that it counted. Default: ``set_state``, for agents whose state counts no time.
        """
        self.set_state(state)

    def acting_copy(self, observation_space: Any, action_space: Any, *, seed: int) -> BaseAgent | None:
        """Return an agent that acts as this one does now, in an environment of these spaces.

        Acting with it changes nothing here, so that evaluating does not either. Default: None, for
        agents that cannot be copied.

        Args:
            observation_space: Space of one environment's observation.
            action_space: Space of one environment's action.
            seed: Source of the copy's exploration.
        """
        return None

    def policy(self) -> Policy:
        """Return a frozen, thread-safe copy to act with elsewhere."""
        raise NotImplementedError("policy() -> Policy")

    def hyperparam_bounds(self) -> dict[str, ParamSpec]:
        """Return what may be tuned, in which range, on which scale. Default: nothing."""
        return {}

    def default_hyperparams(self) -> dict[str, Any]:
        """Return what stands for hyperparameters that ``get_hyperparams`` does not tell. Default: nothing."""
        return {}

    def bold_hyperparams(self) -> HyperparamSet | None:
        """Return one bold, reversible trial for COOLING, or None. Default: None."""
        return None

    def on_world_change(self) -> None:
        """Refresh what should not survive a changed environment. Default: nothing."""

    barrier_interval_steps: int | None = None
    """Env steps between the barriers of a pipeline that was told nothing else; None: its own default. Fewer,
    where learning takes long: a run can only be taken up at a barrier."""

    def caveats(self) -> Sequence[str]:
        """Return what the user should know before the first step, in sentences; asked once, after ``bind``.

        For example what of the agent cannot be brought back from what is saved. Default: nothing.
        """
        return ()

    def describe_platform(self) -> dict[str, Any]:
        """Return what its numbers depend on besides its own settings, JSON-able: for example thread counts."""
        return {}

    def structure_differences(self, state: AgentState) -> list[str]:
        """Return how the agent that was saved was made otherwise than this one, in phrases. Default: not known."""
        return []

    def global_randomness(self) -> dict[str, str]:
        """Return, by name, where generators of the whole process stand that are not part of the agent's state.

        A run says so where one moves. Default: none is known.
        """
        return {}

    not_saved: Sequence[str] | None = None
    """What the latest ``get_state`` had to leave out, in phrases; None where that is not known."""

    not_restored: Sequence[str] = ()
    """What the latest ``set_state`` could not give back, in phrases; a run that was resumed says so."""

    tells_what_it_used: bool = False
    """Whether ``learn`` sets ``used_hyperparams``: then the loop need not ask for them before each ``learn``."""

    used_hyperparams: HyperparamSet | None = None
    """What the latest ``learn`` read."""

    @property
    def explores(self) -> bool:
        """Whether acting in training now differs from the policy that is learned, as epsilon makes it.

        Then greedy episodes, and not the scores of training, decide what is a champion and whether a trial paid,
        wherever they can be played. Default: False, for agents that sample from the policy that they learn.
        """
        return False

    @property
    def is_warming_up(self) -> bool:
        """Whether exploration has still to fall, or learning to begin: such windows do not count towards a plateau."""
        return False

    exploration_hyperparams: Sequence[str] = ()
    """Hyperparameters that change how much training explores. Scores of training favour less of it, whatever it is
    good for: they are not to be tuned by them."""

    undoes_bad_updates: bool = False
    """Whether ``learn`` raises ``NonFiniteError``, and leaves everything as it was, where an update
    gives NaN or infinity. For any other agent the loop keeps a copy from before each ``learn``."""

    def on_divergence(self) -> None:
        """Take smaller steps from now on: an update was undone. Default: nothing."""
