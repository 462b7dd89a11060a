"""From what a file says and what was typed on top to the plan of a run."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tensor_optix.cli.algorithms import typed_in_any_case
from tensor_optix.cli.environments import kwargs_wishes, module_wishes, named_by_the_user, wrapper_wishes
from tensor_optix.cli.plan import TrainingPlan, check_plan
from tensor_optix.cli.settings.config import FIELDS, Config
from tensor_optix.cli.settings.setting_names import AGENT, check_settings, laid_on
from tensor_optix.exceptions import InvalidArgumentError, UnsafeFileError
from tensor_optix.pipeline.named_modules import keep_off_the_path

KEPT_IN_THE_FOLDER = ("progress", "csv", "monitor", "tensorboard", "evaluation", "video")
"""Callbacks that write no further than that, whoever asks for them."""


def planned(config: Config | None, typed: Mapping[str, Any], is_trusted: bool = False) -> TrainingPlan:
    """Return the plan of a new run, its environments imported and found.

    Args:
        config: A file's settings; None: there is no file.
        typed: What was typed, by the names of settings; it comes before what the file says.
        is_trusted: ``--trust-env``: what a run's folder names may be used.

    Raises:
        InvalidArgumentError: No environment is named, or a value is out of range.
        UnsafeFileError: A file in a run's folder asks for something that the user did not ask for.
        UnknownEnvironmentError: There is no environment of this name.
    """
    check_settings({name: value for name, value in typed.items() if name != AGENT}, "The command line")
    said = {} if config is None else dict(config.settings)
    settings = laid_on(said, typed)
    run_dir = None if config is None else config.run_dir
    keep_off_the_path(run_dir)
    named_by_the_user(*_names_in(typed if run_dir is not None else settings))
    if config is not None and run_dir is not None and not is_trusted:
        _refuse_wishes(config, settings, typed)
    if settings.get("env") is None:
        raise InvalidArgumentError(
            "Which environment? Name it, as in: tensor-optix train CartPole-v1, or as env in a file: --config FILE."
        )
    if settings.get("evaluation_env") is None and settings.get("evaluation_env_kwargs"):
        raise InvalidArgumentError(
            "evaluation_env_kwargs are arguments of the environment that --evaluation-env names; name it, too."
        )
    plan = plan_from(settings)
    if config is not None and run_dir is not None:
        check_plan(plan, config.source.as_posix())
    for name in (plan.environment, plan.evaluation_environment):
        if name is not None:
            name.check(current_folder_first=True)
    return plan


def plan_from(settings: Mapping[str, Any]) -> TrainingPlan:
    """Return settings by name as a plan."""
    fields = {FIELDS.get(name, name): value for name, value in settings.items()}
    fields["wrappers"] = tuple(fields.get("wrappers", ()))
    fields["callbacks"] = tuple(fields.get("callbacks", ()))
    fields["checkpoint_dir"] = Path(fields.get("checkpoint_dir", TrainingPlan.checkpoint_dir))
    fields["algorithm"] = typed_in_any_case(fields.get("algorithm", TrainingPlan.algorithm))
    return TrainingPlan(**fields)


def allow_the_rest(plan: TrainingPlan, run_dir: Path, is_trusted: bool) -> None:
    """Import what a run that goes on is evaluated in, unless its folder alone asks for what is not harmless.

    Args:
        plan: The run's own.
        run_dir: Its folder.
        is_trusted: ``--trust-env``.

    Raises:
        UnsafeFileError: It does.
        UnknownEnvironmentError: There is no environment of this name.
    """
    name = plan.evaluation_environment
    wishes = callback_wishes(plan.callbacks)
    if name is not None:
        wishes += [*module_wishes(name.id), *kwargs_wishes(name.kwargs)]
    if wishes and not is_trusted:
        raise UnsafeFileError(
            f"{run_dir.as_posix()} says what would {' and '.join(wishes)}: that is done only if you ask for it, too. "
            "If you know where the folder comes from, add --trust-env."
        )
    if name is not None:
        name.check(current_folder_first=True)


def callback_wishes(callbacks: Iterable[str]) -> list[str]:
    """Return, in phrases, which callbacks of a file would do more than write into the run's own folder."""
    return [f"send what happens to {name}" for name in callbacks if name not in KEPT_IN_THE_FOLDER]


def _names_in(settings: Mapping[str, Any]) -> list[str | None]:
    names = [settings.get(name) for name in ("env", "evaluation_env", "algorithm")]
    return [*names, *settings.get("wrappers", ())]


def _refuse_wishes(config: Config, settings: Mapping[str, Any], typed: Mapping[str, Any]) -> None:
    """Raise where a file in a run's folder alone asks for what is not harmless whoever wrote it."""
    alone = {name: value for name, value in settings.items() if name not in typed}
    for table in ("env_kwargs", "evaluation_env_kwargs"):
        alone[table] = {key: value for key, value in settings.get(table, {}).items() if key not in typed.get(table, {})}
    wishes = [
        *(wish for name in ("env", "evaluation_env", "algorithm") for wish in module_wishes(alone.get(name) or "")),
        *kwargs_wishes(alone["env_kwargs"]),
        *kwargs_wishes(alone["evaluation_env_kwargs"]),
        *wrapper_wishes(alone.get("wrappers", ())),
        *callback_wishes(alone.get("callbacks", ())),
        *_place_wishes(config, alone.get("checkpoint_dir")),
    ]
    if wishes:
        raise UnsafeFileError(
            f"{config.source.as_posix()} lies in the folder of a run, and would {' and '.join(wishes)}: that is done "
            "only if you ask for it, too. If you know where the folder comes from, add --trust-env, or type it "
            f"yourself beside --config {shlex.quote(config.source.as_posix())}: ENV, --env-kwargs, --wrapper, "
            "--algorithm, --callback, --checkpoint-dir."
        )


def _place_wishes(config: Config, checkpoint_dir: Any) -> list[str]:
    """Return what a folder for runs that only a run's folder names would do; beside that run is where it may be."""
    if checkpoint_dir is None or config.run_dir is None:
        return []
    is_beside = Path(checkpoint_dir) == config.run_dir.resolve().parent
    return [] if is_beside else [f"write to {str(checkpoint_dir)!r:.200}"]
