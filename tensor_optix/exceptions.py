"""Every error tensor-optix raises on purpose, as one small tree.

An error says what came, what was expected and how to mend it. Those that stem from an
argument also derive from ``ValueError`` or ``TypeError``, so code that catches the built-in
ones keeps working.
"""


class TensorOptixError(Exception):
    """Root of all errors that this package raises on purpose."""


class InvalidArgumentError(TensorOptixError, ValueError):
    """An argument has a value outside its allowed range."""


class InvalidTypeError(TensorOptixError, TypeError):
    """An argument has a type that cannot be used."""


class IncompatibleModelError(TensorOptixError, ValueError):
    """A model does not fit the observation space or the action space."""


class UnsupportedSpaceError(TensorOptixError, ValueError):
    """A space is of a kind that this agent or pipeline cannot serve."""


class BackendError(TensorOptixError, RuntimeError):
    """Keras runs on another backend than TensorFlow, or is the legacy Keras 2."""


class NotBoundError(TensorOptixError, RuntimeError):
    """Something was asked of an agent or pipeline before it was given what it needs."""


class EnvironmentFailureError(TensorOptixError, RuntimeError):
    """The environment raised, or returned something that is not a usable number."""


class StreamError(TensorOptixError, RuntimeError):
    """A live feed broke, fell silent, or sent a step that cannot be used."""


class NonFiniteError(TensorOptixError, ArithmeticError):
    """A loss, gradient, weight or score is NaN or infinite."""


class CheckpointError(TensorOptixError, OSError):
    """A run folder cannot be written, or what it holds is not whole."""


class UnsafeFileError(CheckpointError):
    """A file asks for something that loading must not do."""


class StateMismatchError(TensorOptixError, ValueError):
    """A saved state does not belong to the object that should take it."""


class StreamSilenceError(StreamError):
    """A live feed gave nothing for longer than its time-out allows."""


class UnknownEnvironmentError(InvalidArgumentError):
    """No environment is registered under this id."""


class MissingExtraError(TensorOptixError, ImportError):
    """A feature was asked for whose optional dependency is not installed."""


class ExportError(TensorOptixError, ValueError):
    """A format cannot hold a policy, or what it holds does not act as the agent does."""


class EpisodesCutError(TensorOptixError):
    """Episodes that were being played are waited for no more: Ctrl-C."""


class StopRun(TensorOptixError):  # noqa: N818 - a request, no error
    """Raised by a callback: the run ends after the current window, with report and files; reason ``"stopped"``.

    Example:
        >>> from tensor_optix import LoopCallback
        >>> class EnoughWindows(LoopCallback):
        ...     def on_episode_end(self, episode_id, eval_metrics):
        ...         if episode_id == 99:
        ...             raise StopRun("a hundred windows are enough")
    """
