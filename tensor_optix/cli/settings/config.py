"""A file of settings for `train`: TOML, YAML or JSON of the user's, or what an earlier run was asked for.

What the user wrote is the user's word. A file in the folder of a run may come from a stranger, as the rest of the
folder: what it names is not imported, called or written to unless the user says so (see ``trust``).
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tensor_optix.cli.plan import SETTINGS_VERSION, TrainingPlan, check_version, read_plan
from tensor_optix.cli.settings.setting_names import VERSION, check_settings
from tensor_optix.core.checks import check_path
from tensor_optix.core.storage.atomic_files import read_bounded
from tensor_optix.core.storage.json_files import parse_json
from tensor_optix.core.storage.run_folder import PLAN_FILE, RUN_FILE
from tensor_optix.exceptions import CheckpointError, InvalidArgumentError, MissingExtraError
from tensor_optix.pipeline.named_modules import is_in_run_folder

FORMATS = (".toml", ".yaml", ".yml", ".json")
MAX_BYTES = 2**20
FIELDS = {"env": "env_id", "agent": "overrides"}
"""Settings whose field of the plan has another name."""


@dataclass(frozen=True)
class Config:
    """What a file says.

    Attributes:
        source: The file.
        settings: By name, as ``setting_names.CHECKS`` has them.
        run_dir: The folder of the run that it lies in, so that a stranger may have written it; None: it is the user's.
    """

    source: Path
    settings: Mapping[str, Any]
    run_dir: Path | None


def read_config(path: Path) -> Config:
    """Return what a file of settings says; nothing of it is used yet.

    Args:
        path: A file; or a run's folder, its ``run.json`` or ``command.json``: what that run was asked for.

    Raises:
        InvalidArgumentError: It is no such file, for a newer version, or says what there is not.
        InvalidTypeError: A value is of the wrong kind.
        CheckpointError: It cannot be read.
        MissingExtraError: YAML needs PyYAML.
    """
    check_path("config", path)
    is_there = _exists(path)
    run_dir = _run_meant(path)
    if run_dir is not None:
        return Config(path, settings_of(read_plan(run_dir, to="repeat")), run_dir)
    if path.suffix.lower() not in FORMATS:
        raise InvalidArgumentError(
            f"Settings are read from a file that ends in {', '.join(FORMATS)}, or from the folder of an earlier run. "
            f"Received: {path.as_posix()!r:.200}."
        )
    if not is_there:
        raise InvalidArgumentError(f"There is no file of settings {path.as_posix()!r:.200}.")
    document = _parsed(path)
    try:
        check_version(document.pop(VERSION, SETTINGS_VERSION), path.as_posix())
    except CheckpointError as error:
        raise InvalidArgumentError(str(error)) from error
    settings = {str(name).replace("-", "_"): value for name, value in document.items()}
    check_settings(settings, path.as_posix())
    is_foreign = is_in_run_folder(path.absolute().parent) or is_in_run_folder(path.resolve().parent)
    return Config(
        path, {name: _as_typed(value) for name, value in settings.items()}, path.parent if is_foreign else None
    )


def settings_of(plan: TrainingPlan) -> dict[str, Any]:
    """Return a plan as settings by name."""
    names = {field: name for name, field in FIELDS.items()}
    return {names.get(field, field): value for field, value in asdict(plan).items()}


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError) as error:  # a name too long, or with a NUL in it
        raise InvalidArgumentError(f"There is no file of settings {path.as_posix()!r:.200}: {error}.") from error


def _run_meant(path: Path) -> Path | None:
    """Return the folder of the run whose settings are asked for; None: another file is."""
    if path.is_dir():
        return path
    return path.parent if path.name in (RUN_FILE, PLAN_FILE) else None


def _parsed(path: Path) -> dict[str, Any]:
    data = read_bounded(path, MAX_BYTES)
    try:
        document = _PARSERS[path.suffix.lower()](data, path)
    except (ValueError, RecursionError, CheckpointError) as error:
        kind = path.suffix.lower().removeprefix(".").upper()
        raise InvalidArgumentError(f"{path.as_posix()} is no {kind}: {' '.join(str(error).split()):.400}.") from error
    if not isinstance(document, dict):
        raise InvalidArgumentError(f"{path.as_posix()} must hold settings by name, like env: CartPole-v1.")
    return document


def _parse_toml(data: bytes, path: Path) -> Any:
    return tomllib.loads(data.decode())


def _parse_yaml(data: bytes, path: Path) -> Any:
    try:
        from tensor_optix.cli.settings.plain_yaml import parse_yaml
    except ImportError as error:
        raise MissingExtraError(
            f"{path.as_posix()} needs PyYAML, the extra tensor-optix[yaml]: pip install pyyaml. TOML needs nothing."
        ) from error
    return parse_yaml(data)


_PARSERS: dict[str, Callable[[bytes, Path], Any]] = {
    ".toml": _parse_toml,
    ".yaml": _parse_yaml,
    ".yml": _parse_yaml,
    ".json": lambda data, path: parse_json(data, path.as_posix()),
}


def _as_typed(value: Any) -> Any:
    """Return a value as the command line gives it: lists as tuples, also in a table."""
    if isinstance(value, dict):
        return {key: _as_typed(item) for key, item in value.items()}
    return tuple(value) if isinstance(value, list) else value
