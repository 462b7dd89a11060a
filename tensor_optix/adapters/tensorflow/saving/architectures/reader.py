"""Keras objects from a saved configuration, without handing any of it to Keras.

Each object is looked up among the classes in ``allowed``, each of its arguments is read by the rule
in ``rules``, and the constructor is called with what came of it. Keras's own deserialiser, which
imports what a file names, sees nothing of the file.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import keras

from tensor_optix.adapters.tensorflow.saving.agent_class import BY_SCRIPT
from tensor_optix.adapters.tensorflow.saving.architectures import allowed, models, rules
from tensor_optix.adapters.tensorflow.saving.architectures.call_arguments import CustomObjects
from tensor_optix.adapters.tensorflow.saving.demands import Demands
from tensor_optix.exceptions import UnsafeFileError

_NODE_KEYS = frozenset(
    ("module", "class_name", "config", "registered_name", "build_config", "compile_config", "shared_object_id")
)
_GRAPH_KEYS = frozenset(("name", "inbound_nodes"))
_MAX_NESTING = 32
_SHORT_FORMS = {
    "initializer": ("keras.initializers", allowed.INITIALIZERS),
    "regularizer": ("keras.regularizers", allowed.REGULARIZERS),
    "constraint": ("keras.constraints", allowed.CONSTRAINTS),
    "optimizer": ("keras.optimizers", ()),
    "layer": ("keras.layers", ()),
}


class ConfigReader:
    """Builds what one configuration describes.

    Args:
        custom_objects: The user's own classes and functions by name.
        demands: Counts what is asked for.
    """

    def __init__(self, custom_objects: Mapping[str, Any], demands: Demands) -> None:
        self.demands = demands
        self.custom = CustomObjects(custom_objects)
        self._shared: dict[int, Any] = {}
        self._depth = 0
        self._readers: dict[str, Callable[[Any], Any]] = {
            "activation": self.activation,
            "policy": self._policy,
            "seed": self._seed,
            "rate": self._rate,
            "layers": lambda nodes: [self.read("layer", node) for node in _listed(nodes)],
        }

    def read(self, kind: str, value: Any) -> Any:
        """Return the object of this kind that ``value`` describes.

        Args:
            kind: See ``rules.OBJECTS``; "model" for a model.
            value: The description: a node of Keras's format, or for some kinds a short form.

        Raises:
            UnsafeFileError: A class, function, argument or size is not allowed.
            TypeError: A value is of another type than it must be.
        """
        if value is None:
            return None
        if kind in self._readers:
            return self._readers[kind](value)
        if isinstance(value, str):
            return self._by_short_form(kind, value)
        return self.node(value, kind)

    def node(self, node: Any, kind: str | None = None, *, in_graph: bool = False) -> Any:
        """Return what a node of Keras's format describes; of any kind if ``kind`` is None."""
        keys = _NODE_KEYS | _GRAPH_KEYS if in_graph else _NODE_KEYS
        if not isinstance(node, dict) or not {"class_name", "config"} <= set(node):
            raise TypeError(f"{node!r:.80} describes no object")
        if set(node) - keys:
            raise UnsafeFileError(f"The saved configuration has keys that no object has: {set(node) - keys!r:.80}.")
        shared = node.get("shared_object_id")
        if shared is None:
            return self._built(node, kind)
        if rules.whole(shared, 0) not in self._shared:
            self._shared[shared] = self._built(node, kind)
        self._check_kind(self._shared[shared], kind)
        return self._shared[shared]

    def activation(self, value: Any) -> Any:
        """Return an activation function, or a layer that stands for one."""
        if isinstance(value, dict) and value.get("class_name", "__lambda__") == "__lambda__":  # Keras may leave it out
            raise refusal(None, "__lambda__")
        if isinstance(value, dict) and value.get("class_name") != "function":
            return self.node(value, "layer")
        name = value.get("config") if isinstance(value, dict) else value
        found = self.custom.named(name, value.get("registered_name") if isinstance(value, dict) else None)
        if found is not None:
            return found
        module = value.get("module") if isinstance(value, dict) else "keras.activations"
        if module not in ("keras.activations", "builtins") or name not in allowed.ACTIVATIONS:
            raise refusal(module, name)
        return getattr(keras.activations, name)

    def arguments(self, found: type, config: Any) -> dict[str, Any]:
        """Return the arguments for the constructor of a listed class.

        Raises:
            UnsafeFileError: The class does not take one of them from a file.
        """
        if not isinstance(config, dict):
            raise TypeError(f"The configuration of {found.__name__} is {config!r:.80}, not an object")
        ours = {
            key: value for key, value in config.items() if value is not None or not _is_for_another_keras(found, key)
        }
        return {key: self._argument(found, key, value) for key, value in ours.items()}

    def _argument(self, found: type, key: str, value: Any) -> Any:
        rule = rules.OWN_RULES.get(found.__name__, {}).get(key, rules.RULE_OF.get(key))
        kind = rules.OBJECT_OF.get(key)
        if key not in _taken_by(found) or (rule is None and kind is None):
            raise UnsafeFileError(
                f"The saved configuration gives {found.__name__} the argument {key!r:.80}, which Keras "
                f"{keras.__version__} does not take, or which is not read from files."
            )
        if value is None:
            return None
        try:
            return self.read(kind, value) if kind is not None else rule(value, self.demands.largest_size)  # type: ignore[misc]
        except UnsafeFileError as error:
            if str(error).startswith("The saved configuration"):
                raise
            raise UnsafeFileError(f"The saved configuration {error} ({key!r} of {found.__name__}).") from error
        except TypeError as error:
            raise TypeError(f"{key!r} of {found.__name__} {error}") from error

    def _built(self, node: Mapping[str, Any], kind: str | None) -> Any:
        if self._depth >= _MAX_NESTING:
            raise UnsafeFileError(f"The saved configuration nests objects more than {_MAX_NESTING} levels deep.")
        self._depth += 1
        try:
            custom = self.custom.named(node["class_name"], node.get("registered_name"))
            if custom is not None:
                return models.read_custom(self, custom, node["config"])
            module: Any = node.get("module")
            name, config = node["class_name"], node["config"]
            if _is_key(module, name) and (module, name) in allowed.MODELS:
                self._check_kind_name("model", kind, name)
                return models.READERS[allowed.MODELS[module, name]](self, config)
            return self._listed(module, name, config, kind)
        finally:
            self._depth -= 1

    def _listed(self, module: Any, name: Any, config: Any, kind: str | None) -> Any:
        listed = allowed.class_named(module, name) if _is_key(module, name) else None
        if listed is None:
            raise refusal(module, name)
        self._check_kind_name(listed[0], kind, name)
        if listed[0] == "layer":
            self.demands.calls(1)
        return listed[1](**self.arguments(listed[1], config))

    def _by_short_form(self, kind: str, value: str) -> Any:
        module, names = _SHORT_FORMS.get(kind, (kind, ()))
        found = self.custom.named(value, None)
        if found is not None:
            return found() if isinstance(found, type) else found
        if value not in names:
            raise refusal(module, value)
        return allowed.class_named(module, value)[1]()  # type: ignore[index]

    def _policy(self, value: Any) -> Any:
        if isinstance(value, str):
            return _policy_name(value)
        if not isinstance(value, dict) or (value.get("module"), value.get("class_name")) != ("keras", "DTypePolicy"):
            raise refusal(
                *([value.get("module"), value.get("class_name")] if isinstance(value, dict) else [None, value])
            )
        config = value.get("config")
        if not isinstance(config, dict) or set(config) != {"name"}:
            raise TypeError(f"is {config!r:.80}, no policy")
        return _policy_name(config["name"])

    def _seed(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return rules.whole(value, 0)
        if (value.get("module"), value.get("class_name")) != ("keras.random", "SeedGenerator"):
            raise refusal(value.get("module"), value.get("class_name"))
        config = value.get("config")
        if not isinstance(config, dict) or set(config) - {"seed", "name", "rng_impl"}:
            raise TypeError(f"is {config!r:.80}, no seed")
        name = config.get("name")
        return keras.random.SeedGenerator(
            rules.whole(config.get("seed"), 0), name=None if name is None else rules.name(name, 0)
        )

    def _rate(self, value: Any) -> Any:
        return self.node(value, "rate") if isinstance(value, dict) else rules.number(value, 0)

    def _check_kind_name(self, found: str, kind: str | None, name: str) -> None:
        if kind not in (None, found) and (kind, found) != ("layer", "model"):
            raise TypeError(f"{name} is no {kind}")

    def _check_kind(self, built: Any, kind: str | None) -> None:
        if kind in allowed.BASE_OF and not isinstance(built, allowed.BASE_OF[kind]):
            raise TypeError(f"{type(built).__name__} is no {kind}")


def refusal(module: Any, name: Any) -> UnsafeFileError:
    """Return the error that says what a configuration wants, why that is refused, and what the user may do."""
    reasons = allowed.REFUSED.get(module, {}) if isinstance(module, str) else {}
    reason = reasons.get(name) if isinstance(name, str) else None
    advice = f"If it is yours and you trust it, name it: custom_objects={{{name!r:.80}: ...}}."
    if name in ("Lambda", "__lambda__"):
        advice = (
            "The code of a lambda is never run. If it is a function with a name instead, give both: custom_objects="
            f"{{'Lambda': keras.layers.Lambda, 'its name': ...}}. Or: {BY_SCRIPT}"
        )
    return UnsafeFileError(
        f"The saved configuration uses {name!r:.80} of module {module!r:.80}, which is none of Keras's own layers that "
        f"a file may ask for{f' ({reason})' if reason else ''}. {advice}"
    )


@functools.cache
def _taken_by(found: type) -> frozenset[str]:
    """Return the names of the arguments that a class takes from a file."""
    parameters = list(inspect.signature(found.__init__).parameters.values())[1:]  # type: ignore[misc]
    names = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    takes_more = any(p.kind == p.VAR_KEYWORD for p in parameters)
    if takes_more and issubclass(found, keras.layers.Layer):
        names |= {*rules.ALWAYS, *rules.BY_KEYWORDS.get(found.__name__, ())}
    return frozenset(names)


def _is_for_another_keras(found: type, key: str) -> bool:
    """Tell whether an argument is one of Keras's that this version does not take there: None asks for nothing."""
    return key not in _taken_by(found) and (key in rules.RULE_OF or key in rules.OBJECT_OF)


def _policy_name(value: Any) -> str:
    if not isinstance(value, str) or value not in rules.POLICIES:
        raise TypeError(f"is {value!r:.80}, not one of {', '.join(sorted(rules.POLICIES))}")
    return value


def _is_key(module: Any, name: Any) -> bool:
    return isinstance(module, str) and isinstance(name, str)


def _listed(nodes: Any) -> list[Any]:
    if not isinstance(nodes, list):
        raise TypeError(f"is {nodes!r:.80}, not a list")
    return nodes
