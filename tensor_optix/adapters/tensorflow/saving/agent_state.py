"""What a ``TFAgent`` is, as an ``AgentState``, and back."""

from __future__ import annotations

import copy
from typing import Any

import tensorflow as tf

from tensor_optix.adapters.tensorflow.saving.agent_arrays import check_variables, read_variables, write_variables
from tensor_optix.adapters.tensorflow.saving.agent_class import describe_class
from tensor_optix.adapters.tensorflow.saving.architectures.rebuild import config_of as config_of
from tensor_optix.adapters.tensorflow.saving.space_json import MAX_SPACE_BYTES, space_from_json, space_to_json
from tensor_optix.adapters.tensorflow.saving.structure import architecture_differences
from tensor_optix.core.types import AgentState, HyperparamSet
from tensor_optix.exceptions import InvalidArgumentError, NotBoundError

SCOPES = ("policy", "learner", "all")


def capture(agent: Any, scope: str) -> AgentState:
    """Return an independent copy of the agent's state.

    Raises:
        InvalidArgumentError: There is no such scope.
    """
    if scope not in SCOPES:
        raise InvalidArgumentError(f"`scope` must be one of {SCOPES}. Received: {scope!r}.")
    arrays: dict[str, Any] = {}
    meta = {"version": agent.version, "architecture": describe(agent)}
    for prefix, variables in agent._policy_variables():
        arrays |= read_variables(prefix, variables)
    if scope != "policy":
        for prefix, variables in agent._learner_variables():
            arrays |= read_variables(prefix, variables)
        learner_arrays, learner_meta = agent._learner.state_dict()
        arrays |= {f"learner.{name}": array for name, array in learner_arrays.items()}
        meta |= {
            "learner": learner_meta,
            "noise": agent._noise.state_dict(),
            "seed": agent._seed,
            "hyperparams": copy.deepcopy(agent._hyperparams.params),
            "hyperparams_episode_id": agent._hyperparams.episode_id,
        }
    return AgentState(arrays, meta, scope)


def restore(agent: Any, state: AgentState) -> None:
    """Make the agent what ``state`` says; what it does not speak of stays.

    Raises:
        StateMismatchError: It belongs to an agent of another structure; nothing has changed.
    """
    groups = agent._policy_variables()
    if state.scope != "policy":
        groups += agent._learner_variables()
    for prefix, variables in groups:
        check_variables(prefix, variables, state.arrays)
    for prefix, variables in groups:
        write_variables(prefix, variables, state.arrays)
    _adopt_description(agent, state)
    saved_version = int(state.meta["version"])
    # A version names one policy: after going back it still rises.
    agent.version = saved_version if saved_version >= agent.version else agent.version + 1
    if state.scope == "policy":
        return
    learner = {n.removeprefix("learner."): a for n, a in state.arrays.items() if n.startswith("learner.")}
    agent._learner.load_state_dict(learner, state.meta["learner"])
    agent._noise.load_state_dict(state.meta["noise"])
    agent._seed = state.meta["seed"]
    params = copy.deepcopy(state.meta["hyperparams"])
    agent._hyperparams = HyperparamSet(params, state.meta["hyperparams_episode_id"])


def structure_differences(agent: Any, state: AgentState) -> list[str]:
    """Return how an agent that was saved was made otherwise than ``agent``, see ``BaseAgent``."""
    return architecture_differences(state.meta.get("architecture") or {}, describe(agent))


def _adopt_description(agent: Any, state: AgentState) -> None:
    """Describe the agent from now on as it was described when it was saved, if it is the same.

    Initial seeds and the first learning rate are all that may differ then, and files that say them are
    the same, whether or not the run was ever resumed.
    """
    saved, own = state.meta.get("architecture") or {}, describe(agent)
    if saved.keys() == own.keys() and saved != own and not architecture_differences(saved, own):
        agent._architecture = {**saved, **{name: own[name] for name in ("observation_space", "action_space")}}


def describe(agent: Any) -> dict[str, Any]:
    """Return what rebuilds the agent without the script that made it: spaces, model, optimizer."""
    if agent._architecture is None:
        agent._architecture = _describe(agent)
    return dict(agent._architecture)


def _describe(agent: Any) -> dict[str, Any]:
    observation_space, action_space = (None if s is None else space_to_json(s) for s in agent._spaces)
    spaces = {"observation_space": observation_space, "action_space": action_space}
    configs = {name: None if part is None else config_of(part) for name, part in agent._keras_parts().items()}
    loss = agent._compute_loss_fn
    own_loss = {} if loss is None else {"compute_loss_fn": getattr(loss, "__name__", type(loss).__name__)}
    return {**describe_class(agent, agent._describe()), **spaces, **configs, **own_loss}


def bind_as_saved(agent: Any, state: AgentState, max_bytes: int = MAX_SPACE_BYTES) -> None:
    """Bind an agent to the spaces that a state was saved with, which may take ``max_bytes`` each.

    Raises:
        NotBoundError: The state does not name them.
    """
    saved = state.meta.get("architecture", {})
    if not saved.get("observation_space") or not saved.get("action_space"):
        raise NotBoundError(
            "The saved agent was never bound to spaces that can be written down. "
            "Call bind(observation_space, action_space) before loading."
        )
    spaces = (space_from_json(saved[name], max_bytes) for name in ("observation_space", "action_space"))
    agent.bind(*spaces)


def thread_counts() -> dict[str, int]:
    """Return how many threads TensorFlow may use: how sums are split between them decides how they are rounded."""
    threading = tf.config.threading  # 0: as many as there are
    return {
        "intra_op_threads": threading.get_intra_op_parallelism_threads(),
        "inter_op_threads": threading.get_inter_op_parallelism_threads(),
    }
