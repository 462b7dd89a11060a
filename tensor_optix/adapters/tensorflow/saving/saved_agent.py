"""The part of a Keras agent that is saved: what it is, as an ``AgentState`` and as files, and back."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar

import keras
import tensorflow as tf

from tensor_optix.adapters.spaces.space_json import MAX_SPACE_BYTES, space_from_json, space_to_json
from tensor_optix.adapters.tensorflow.acting.model_inputs import ModelInputs, example_for
from tensor_optix.adapters.tensorflow.acting.noise_stream import NoiseStream
from tensor_optix.adapters.tensorflow.models.model_checks import require_ready
from tensor_optix.adapters.tensorflow.saving.agent_arrays import check_variables, read_variables, write_variables
from tensor_optix.adapters.tensorflow.saving.agent_class import describe_class
from tensor_optix.adapters.tensorflow.saving.architectures.rebuild import configs_of
from tensor_optix.adapters.tensorflow.saving.attached_state import read_attached, restore_attached
from tensor_optix.adapters.tensorflow.saving.forewarning import (
    architecture_differences,
    draws_of_tensorflow,
    generators_of_the_process,
    loading_caveats,
)
from tensor_optix.adapters.tensorflow.saving.state_checks import check_counts, check_generator
from tensor_optix.core.base_agent import BaseAgent
from tensor_optix.core.checks import check_choice, check_instance
from tensor_optix.core.storage.plain_state import require_like
from tensor_optix.core.storage.state_files import read_agent_state, write_agent_state
from tensor_optix.core.types import AgentState, HyperparamSet, StateScope
from tensor_optix.exceptions import NotBoundError

_MODELS_ONLY = "models_only"
"""Marks the state of an agent that was never bound: it holds what its models hold."""

_LEARNER = "learner."

SCOPES = ("policy", "learner", "all")

Group = tuple[str, list[Any]]
"""Variables under the name that they are saved by."""


class SavedAgent(BaseAgent):
    """What a Keras agent is made of, by name: variables, learner, noise, hyperparameters, configurations.

    ``BoundAgent`` stands on it and makes these parts for the spaces of an environment.
    """

    _saved_as: str
    """The class that ``load_agent`` rebuilds."""

    _model_arguments: ClassVar[Mapping[str, str]] = {"model": "model"}
    """By which argument of the constructor each network is given: the first is the one that acts."""

    _structure: ClassVar[tuple[str, ...]] = ()
    """Arguments of the constructor, kept under their names, that are saved beside networks and hyperparameters."""

    model: Any
    optimizer: Any
    version: int
    _inputs: ModelInputs
    _sampler: Any
    _noise: NoiseStream
    _learner: Any
    _normalizer: Any
    _hyperparams: HyperparamSet
    _seed: int
    _spaces: tuple[Any, Any]
    _log_std: Any
    _has_learned: bool
    _architecture: dict[str, Any] | None
    _compute_loss_fn: Callable[..., Any] | None

    def get_state(self, scope: StateScope = "learner") -> AgentState:
        """Return weights, and unless ``scope`` is "policy" all that learning and acting go on from."""
        self._require_ready()
        check_choice("scope", scope, SCOPES)
        arrays: dict[str, Any] = {}
        meta = {"version": self.version, "architecture": self._described()}
        for prefix, variables in self._policy_variables():
            arrays |= read_variables(prefix, variables)
        if scope != "policy":
            for prefix, variables in self._learner_variables():
                arrays |= read_variables(prefix, variables)
            learner_arrays, learner_meta = self._learner.state_dict()
            arrays |= {_LEARNER + name: array for name, array in learner_arrays.items()}
            attached, described = read_attached(self, self._all_variables())
            arrays |= attached
            meta |= {
                "attached": described,
                "learner": learner_meta,
                "noise": self._noise.state_dict(),
                "seed": self._seed,
                **self._hyperparams_as_saved(),
            }
        if scope == "all" and self.not_saved is None:
            self.not_saved = draws_of_tensorflow(self.model, self._inputs)
        return AgentState(arrays, meta, scope)

    def set_state(self, state: AgentState) -> None:
        """Become what ``state`` says, all or nothing; acting and learning then go on bit for bit.

        Raises:
            StateMismatchError: It belongs to an agent of another structure; nothing has changed.
            NonFiniteError: A weight is NaN or infinite; nothing has changed.
            CheckpointError: It says something that no agent can be; nothing has changed.
        """
        self._require_ready()
        check_instance("state", state, AgentState)
        if state.meta.get(_MODELS_ONLY):
            self._take_networks(state)
        else:
            self._take(state)
        self._has_learned = True
        self.refresh()

    def save_weights(self, path: str) -> None:
        """Write the state, and what rebuilds model and optimizer, as safetensors and JSON.

        Where nothing was bound yet, that is the weights of the models, which must be built.
        """
        is_ready = self._sampler is not None
        write_agent_state(path, self.get_state("learner") if is_ready else self._state_of_models())

    def load_weights(self, path: str) -> None:
        """Read what ``save_weights`` wrote; binds to the saved spaces where nothing was bound."""
        self.load_state(read_agent_state(path))

    def load_state(self, state: AgentState, *, networks_only: bool = False, max_bytes: int = MAX_SPACE_BYTES) -> None:
        """Become what ``state`` says, bound or not.

        Args:
            state: What was saved. Where this agent was never bound, it is bound to the spaces in it; where it names
                none, models that are here take their weights, and their shapes are read off the model.
            networks_only: Whether weights and normalisers are all that is taken.
            max_bytes: What each space in the state may take.

        Raises:
            NotBoundError: Nothing tells the shapes.
            StateMismatchError: It belongs to an agent of another structure; nothing has changed.
        """
        if self._sampler is None and state.meta.get(_MODELS_ONLY):
            self._take_models(state)
            self._has_learned = True
            return
        if self._sampler is None:
            self._bind_as_saved(state, max_bytes)
        if not networks_only:
            self.set_state(state)
            return
        self._take_networks(state)
        self._has_learned = True
        self.refresh()

    def refresh(self) -> None:
        """Let acting follow the model's weights, after something else than ``learn`` changed them."""
        raise NotImplementedError

    def caveats(self) -> Sequence[str]:
        """Return what ``load_agent`` will ask for, or will not be able to do."""
        return loading_caveats(self, self._keras_parts(), self._compute_loss_fn, self._describe().get("structure", {}))

    def structure_differences(self, state: AgentState) -> list[str]:
        """Return how the agent that was saved was made otherwise than this one, in phrases."""
        return architecture_differences(state.meta.get("architecture") or {}, self._described())

    def describe_platform(self) -> dict[str, int]:
        """Return how many threads TensorFlow may use: how sums are split between them decides how they are rounded."""
        threading = tf.config.threading  # 0: as many as there are
        return {
            "intra_op_threads": threading.get_intra_op_parallelism_threads(),
            "inter_op_threads": threading.get_inter_op_parallelism_threads(),
        }

    def global_randomness(self) -> dict[str, str]:
        """Return, by name, where the generators stand that Keras and TensorFlow have for the whole process."""
        return generators_of_the_process()

    @classmethod
    def rebuilt(
        cls,
        saved: Mapping[str, Any],
        build: Callable[[str], Any],
        hyperparams: HyperparamSet,
        compute_loss_fn: Callable[..., Any] | None = None,
    ) -> SavedAgent:
        """Return an agent as it was described when it was saved.

        Args:
            saved: Its description.
            build: Makes the Keras object that is saved under a name.
            hyperparams: What it begins with.
            compute_loss_fn: The user's own loss, where it had one.
        """
        parts = {
            argument: build(name) if name != "critic" or saved.get("has_critic", True) else None
            for argument, name in cls._model_arguments.items()
        }
        maker: Any = cls
        parts |= {"optimizer": build("optimizer"), "hyperparams": hyperparams}
        agent: SavedAgent = maker(**parts, **saved.get("structure", {}))
        agent._compute_loss_fn = compute_loss_fn
        return agent

    # What it is made of

    def _policy_variables(self) -> list[Group]:
        """Return, in named groups, all variables that acting depends on."""
        spread = [] if self._log_std is None else [("log_std", [self._log_std])]
        moments = [("observation_normalizer", self._normalizer.variables)]
        return [("model", list(self.model.variables)), *spread, *moments]

    def _other_networks(self) -> list[Group]:
        """Return, in named groups, the weights of networks that only learning depends on."""
        return [(name, list(part.variables)) for name, part in self._networks().items() if name != "model"]

    def _learner_variables(self) -> list[Group]:
        """Return, in named groups, all variables that only learning depends on."""
        moments = [(f"optimizer_{i}", list(optimizer.variables)) for i, optimizer in enumerate(self._optimizers())]
        return [*self._other_networks(), *moments]

    def _all_variables(self) -> list[Group]:
        return [*self._policy_variables(), *self._learner_variables()]

    def _optimizers(self) -> list[Any]:
        return [self.optimizer]

    def _follow_networks(self, taken: Collection[str]) -> None:
        """Let copies of the networks, as targets are, become what the networks are, of which these were replaced."""

    def _keras_parts(self) -> dict[str, Any]:
        """Return what is saved by its Keras configuration, by name; None for what there is not."""
        first, *others = self._model_arguments.values()
        names = (first, "optimizer", *others)
        return {name: getattr(self, name) for name in names}

    def _networks(self) -> dict[str, Any]:
        return {name: part for name, part in self._keras_parts().items() if isinstance(part, keras.layers.Layer)}

    def _describe(self) -> dict[str, Any]:
        """Return, JSON-able, what ``rebuilt`` makes the agent from beside networks, optimizer and hyperparameters."""
        parts = self._keras_parts()
        told = {"has_critic": parts["critic"] is not None} if "critic" in parts else {}
        return {**told, "structure": {n: getattr(self, n) for n in self._structure}} if self._structure else told

    def _described(self) -> dict[str, Any]:
        """Return what rebuilds the agent without the script that made it: spaces, model, optimizer."""
        if self._architecture is None:
            names = ("observation_space", "action_space")
            loss = self._compute_loss_fn
            self._architecture = {
                **describe_class(self, self._saved_as, self._describe()),
                **{n: None if s is None else space_to_json(s) for n, s in zip(names, self._spaces, strict=True)},
                **configs_of(self._keras_parts()),
                **({} if loss is None else {"compute_loss_fn": getattr(loss, "__name__", type(loss).__name__)}),
            }
        return dict(self._architecture)

    def _hyperparams_as_saved(self) -> dict[str, Any]:
        return {
            "hyperparams": copy.deepcopy(self._hyperparams.params),
            "hyperparams_episode_id": self._hyperparams.episode_id,
        }

    def _require_ready(self) -> None:
        require_ready(self._sampler is not None)

    # Becoming what was saved

    def _take(self, state: AgentState) -> None:
        """Become what the state of a bound agent says; what it does not speak of stays."""
        groups = self._policy_variables() if state.scope == "policy" else self._all_variables()
        for prefix, variables in groups:
            check_variables(prefix, variables, state.arrays)
        self._check(state)
        if state.scope != "policy":
            attached = state.meta.get("attached", {})
            self.not_restored = restore_attached(self, self._all_variables(), state.arrays, attached)
        _write(groups, state)
        self._adopt_description(state)
        self._count_on(state)
        if state.scope == "policy":
            return
        self._learner.load_state_dict(_learner_arrays(state), state.meta["learner"])
        self._noise.load_state_dict(state.meta["noise"])
        self._seed = state.meta["seed"]
        self._hyperparams = self._saved_hyperparams(state)

    def _check(self, state: AgentState) -> None:
        """Raise unless what a state says beside the variables can be so.

        Raises:
            CheckpointError: Something is missing, or of a kind that it cannot be.
            StateMismatchError: A count is none, or what the learner holds is of other shapes.
            InvalidArgumentError: A hyperparameter is out of range.
        """
        meta = state.meta
        require_like(meta, {"version": 0}, "state")
        check_counts("state", version=meta["version"])
        if state.scope == "policy":
            return
        own = {"seed": 0, "hyperparams": {}, "hyperparams_episode_id": 0, "noise": self._noise.state_dict()}
        require_like(meta, {**own, "learner": {}, "attached": {}}, "state", may_lack=("attached",), is_fixed=True)
        counts = {name: meta[name] for name in ("seed", "hyperparams_episode_id")}
        check_counts("state", **counts, position=meta["noise"]["position"])
        check_generator("noise", meta["noise"]["generator"])
        self._saved_hyperparams(state)
        self._learner.check_state(_learner_arrays(state), meta["learner"])

    def _saved_hyperparams(self, state: AgentState) -> HyperparamSet:
        """Return a state's hyperparameters, where they could be set; what it does not name is as it is by default."""
        params = copy.deepcopy(dict(state.meta["hyperparams"]))
        return self._checked(HyperparamSet(params, state.meta["hyperparams_episode_id"]))

    def _checked(self, hyperparams: HyperparamSet) -> HyperparamSet:
        """Return them as they are used, or raise where they could not be set."""
        return hyperparams

    def _take_networks(self, state: AgentState) -> None:
        """Take the weights and normalisers of a state, and nothing else of it, or raise and change nothing."""
        groups = [*self._policy_variables(), *self._other_networks()]
        taken = [group for group in groups if _speaks_of(state, group[0])]
        _write(taken, state)
        if state.meta.get(_MODELS_ONLY):
            self._follow_networks([name for name, _ in taken])
        self._count_on(state)

    def _take_models(self, state: AgentState) -> None:
        """Take the weights of models that are built, before spaces are known."""
        models = {name: model for name, model in self._networks().items() if _speaks_of(state, name)}
        if "model" not in models or not all(model.built for model in models.values()):
            raise NotBoundError(
                "The saved weights come from an agent that was never bound, so they do not tell the spaces, and this "
                "agent has no built model to take them. Call bind(observation_space, action_space) before loading."
            )
        _write([(name, list(model.variables)) for name, model in models.items()], state)

    def _state_of_models(self) -> AgentState:
        """Return the weights of models that are built, of an agent that was never bound, or raise NotBoundError."""
        models = self._networks()
        require_ready("model" in models and all(model.built for model in models.values()))
        arrays: dict[str, Any] = {}
        for name, model in models.items():
            arrays |= read_variables(name, model.variables)
        described = {"version": self.version, "architecture": self._described()}
        self._architecture = None  # more will be known once it is bound
        return AgentState(arrays, {_MODELS_ONLY: True, **described, **self._hyperparams_as_saved()}, "policy")

    def _bind_as_saved(self, state: AgentState, max_bytes: int) -> None:
        """Bind to the spaces that a state was saved with; without any, let the model tell what it takes."""
        saved = state.meta.get("architecture", {})
        names = ("observation_space", "action_space")
        if all(saved.get(name) for name in names):
            self.bind(*(space_from_json(saved[name], max_bytes) for name in names))
            return
        try:
            self._infer(example_for(self.model))
        except NotBoundError as error:
            raise NotBoundError(
                "The saved agent was never bound to spaces that can be written down. "
                "Call bind(observation_space, action_space) before loading."
            ) from error

    def _infer(self, observation: Any) -> None:
        """Take the shapes from one observation: nobody called ``bind``."""
        raise NotImplementedError

    def _adopt_description(self, state: AgentState) -> None:
        """Describe the agent from now on as it was described when it was saved, if it is the same.

        Initial seeds and the first learning rate are all that may differ then, and files that say them are
        the same, whether or not the run was ever resumed.
        """
        saved, own = state.meta.get("architecture") or {}, self._described()
        if saved.keys() == own.keys() and saved != own and not architecture_differences(saved, own):
            self._architecture = {**saved, **{name: own[name] for name in ("observation_space", "action_space")}}

    def _count_on(self, state: AgentState) -> None:
        """A version names one policy: after going back it still rises."""
        saved = int(state.meta["version"])
        self.version = saved if saved >= self.version else self.version + 1


def _learner_arrays(state: AgentState) -> dict[str, Any]:
    return {n.removeprefix(_LEARNER): a for n, a in state.arrays.items() if n.startswith(_LEARNER)}


def _write(groups: list[Group], state: AgentState) -> None:
    """Assign all variables, or none and raise."""
    for prefix, variables in groups:
        check_variables(prefix, variables, state.arrays)
    for prefix, variables in groups:
        write_variables(prefix, variables, state.arrays)


def _speaks_of(state: AgentState, prefix: str) -> bool:
    return any(name.startswith(f"{prefix}.") for name in state.arrays)
