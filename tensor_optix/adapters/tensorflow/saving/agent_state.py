"""What a ``TFAgent`` is, as an ``AgentState``, and back."""

from __future__ import annotations

import copy
from typing import Any

import tensorflow as tf

from tensor_optix.adapters.tensorflow.acting.model_inputs import example_for
from tensor_optix.adapters.tensorflow.models.model_checks import require_ready
from tensor_optix.adapters.tensorflow.saving.agent_arrays import check_variables, read_variables, write_variables
from tensor_optix.adapters.tensorflow.saving.agent_class import describe_class
from tensor_optix.adapters.tensorflow.saving.architectures.rebuild import configs_of
from tensor_optix.adapters.tensorflow.saving.attached_state import read_attached, restore_attached
from tensor_optix.adapters.tensorflow.saving.hidden_randomness import draws_of_tensorflow
from tensor_optix.adapters.tensorflow.saving.space_json import MAX_SPACE_BYTES, space_from_json, space_to_json
from tensor_optix.adapters.tensorflow.saving.state_checks import check_state
from tensor_optix.adapters.tensorflow.saving.structure import architecture_differences
from tensor_optix.core.checks import check_choice, check_instance
from tensor_optix.core.types import AgentState, HyperparamSet
from tensor_optix.exceptions import NotBoundError

_MODELS_ONLY = "models_only"
"""Marks the state of an agent that was never bound: it holds what its models hold."""

SCOPES = ("policy", "learner", "all")


def capture(agent: Any, scope: str) -> AgentState:
    """Return an independent copy of the agent's state.

    Raises:
        InvalidArgumentError: There is no such scope.
    """
    check_choice("scope", scope, SCOPES)
    arrays: dict[str, Any] = {}
    meta = {"version": agent.version, "architecture": describe(agent)}
    for prefix, variables in agent._policy_variables():
        arrays |= read_variables(prefix, variables)
    if scope != "policy":
        for prefix, variables in agent._learner_variables():
            arrays |= read_variables(prefix, variables)
        learner_arrays, learner_meta = agent._learner.state_dict()
        arrays |= {f"learner.{name}": array for name, array in learner_arrays.items()}
        attached, described = read_attached(agent)
        arrays |= attached
        meta |= {
            "attached": described,
            "learner": learner_meta,
            "noise": agent._noise.state_dict(),
            "seed": agent._seed,
            **_hyperparams_of(agent),
        }
    if scope == "all" and agent.not_saved is None:
        agent.not_saved = draws_of_tensorflow(agent)
    return AgentState(arrays, meta, scope)


def restore(agent: Any, state: AgentState) -> None:
    """Make the agent what ``state`` says; what it does not speak of stays.

    Raises:
        StateMismatchError: It belongs to an agent of another structure; nothing has changed.
        NonFiniteError: A weight is NaN or infinite; nothing has changed.
        CheckpointError: It says something that no agent can be; nothing has changed.
    """
    check_instance("state", state, AgentState)
    if state.meta.get(_MODELS_ONLY):
        restore_networks(agent, state)
        return
    groups = agent._policy_variables()
    if state.scope != "policy":
        groups += agent._learner_variables()
    for prefix, variables in groups:
        check_variables(prefix, variables, state.arrays)
    check_state(agent, state)
    if state.scope != "policy":
        agent.not_restored = restore_attached(agent, state.arrays, state.meta.get("attached", {}))
    _write(groups, state)
    _adopt_description(agent, state)
    _count_on(agent, state)
    if state.scope == "policy":
        return
    learner = {n.removeprefix("learner."): a for n, a in state.arrays.items() if n.startswith("learner.")}
    agent._learner.load_state_dict(learner, state.meta["learner"])
    agent._noise.load_state_dict(state.meta["noise"])
    agent._seed = state.meta["seed"]
    params = copy.deepcopy(state.meta["hyperparams"])
    agent._hyperparams = HyperparamSet(params, state.meta["hyperparams_episode_id"])


def restore_networks(agent: Any, state: AgentState) -> None:
    """Give the agent the weights and normalisers of ``state``, and nothing else of it.

    Raises:
        StateMismatchError: They belong to an agent of another structure; nothing has changed.
    """
    groups = [*agent._policy_variables(), *agent._other_networks()]
    _write([group for group in groups if _speaks_of(state, group[0])], state)
    if state.meta.get(_MODELS_ONLY):
        agent._follow_networks()
    _count_on(agent, state)


def capture_models(agent: Any) -> AgentState:
    """Return the weights of models that are built, of an agent that was never bound.

    Raises:
        NotBoundError: There is no built model.
    """
    models = _models_of(agent)
    require_ready("model" in models and all(model.built for model in models.values()))
    arrays: dict[str, Any] = {}
    for name, model in models.items():
        arrays |= read_variables(name, model.variables)
    meta = {_MODELS_ONLY: True, "version": agent.version, "architecture": describe(agent), **_hyperparams_of(agent)}
    agent._architecture = None  # more will be known once it is bound
    return AgentState(arrays, meta, "policy")


def load(agent: Any, state: AgentState, *, networks_only: bool = False, max_bytes: int = MAX_SPACE_BYTES) -> None:
    """Make an agent, bound or not, what ``state`` says.

    Args:
        agent: Where it was never bound, it is bound to the spaces in the state. Where the state names
            none, models that it holds take their weights, and their shapes are read off the model.
        state: From ``capture`` or ``capture_models``.
        networks_only: Whether weights and normalisers are all that is taken.
        max_bytes: What each space in the state may take.

    Raises:
        NotBoundError: Nothing tells the shapes.
        StateMismatchError: It belongs to an agent of another structure; nothing has changed.
    """
    if agent._sampler is None and state.meta.get(_MODELS_ONLY):
        _write_models(agent, state)
        agent._has_learned = True
        return
    if agent._sampler is None:
        bind_as_saved(agent, state, max_bytes)
    if not networks_only:
        agent.set_state(state)
        return
    restore_networks(agent, state)
    agent._has_learned = True
    agent.refresh()


def _write_models(agent: Any, state: AgentState) -> None:
    models = {name: model for name, model in _models_of(agent).items() if _speaks_of(state, name)}
    if "model" not in models or not all(model.built for model in models.values()):
        raise NotBoundError(
            "The saved weights come from an agent that was never bound, so they do not tell the spaces, and this agent "
            "has no built model to take them. Call bind(observation_space, action_space) before loading."
        )
    _write([(name, list(model.variables)) for name, model in models.items()], state)


def _models_of(agent: Any) -> dict[str, Any]:
    return {name: part for name, part in agent._keras_parts().items() if name != "optimizer" and part is not None}


def _write(groups: list[tuple[str, list[Any]]], state: AgentState) -> None:
    """Assign all variables, or none and raise."""
    for prefix, variables in groups:
        check_variables(prefix, variables, state.arrays)
    for prefix, variables in groups:
        write_variables(prefix, variables, state.arrays)


def _speaks_of(state: AgentState, prefix: str) -> bool:
    return any(name.startswith(f"{prefix}.") for name in state.arrays)


def _count_on(agent: Any, state: AgentState) -> None:
    """A version names one policy: after going back it still rises."""
    saved = int(state.meta["version"])
    agent.version = saved if saved >= agent.version else agent.version + 1


def _hyperparams_of(agent: Any) -> dict[str, Any]:
    return {
        "hyperparams": copy.deepcopy(agent._hyperparams.params),
        "hyperparams_episode_id": agent._hyperparams.episode_id,
    }


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
    configs = configs_of(agent._keras_parts())
    loss = agent._compute_loss_fn
    own_loss = {} if loss is None else {"compute_loss_fn": getattr(loss, "__name__", type(loss).__name__)}
    return {**describe_class(agent, agent._describe()), **spaces, **configs, **own_loss}


def bind_as_saved(agent: Any, state: AgentState, max_bytes: int = MAX_SPACE_BYTES) -> None:
    """Bind an agent to the spaces that a state was saved with; without any, let the model tell what it takes.

    Args:
        agent: Is not bound yet.
        state: What was saved.
        max_bytes: What each space may take.

    Raises:
        NotBoundError: The state does not name them, and neither does the model.
    """
    saved = state.meta.get("architecture", {})
    if not saved.get("observation_space") or not saved.get("action_space"):
        try:
            agent._infer(example_for(agent.model))
        except NotBoundError as error:
            raise NotBoundError(
                "The saved agent was never bound to spaces that can be written down. "
                "Call bind(observation_space, action_space) before loading."
            ) from error
        return
    spaces = (space_from_json(saved[name], max_bytes) for name in ("observation_space", "action_space"))
    agent.bind(*spaces)


def thread_counts() -> dict[str, int]:
    """Return how many threads TensorFlow may use: how sums are split between them decides how they are rounded."""
    threading = tf.config.threading  # 0: as many as there are
    return {
        "intra_op_threads": threading.get_intra_op_parallelism_threads(),
        "inter_op_threads": threading.get_inter_op_parallelism_threads(),
    }
