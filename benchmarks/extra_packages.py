"""Packages that only some benchmarks need: put into `benchmarks/.venvs`, without touching those that are there."""

import importlib.util
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent / ".venvs"
NEEDED = {
    "mujoco": [
        *("mujoco>=3.2,<4", "glfw", "pyopengl", "absl-py", "imageio", "pillow"),
        *("etils", "fsspec", "importlib-resources", "typing-extensions", "zipp"),
    ],
    "minigrid": ["minigrid>=3.2,<4"],
    "minatar": ["MinAtar>=1.0.15,<2"],
}


def provide(name):
    """Make a package of `NEEDED` importable, and download it first where it is missing."""
    if importlib.util.find_spec(name) is not None:
        return
    folder = FOLDER / name
    if not (folder / name).exists():
        into = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
        subprocess.run([*into, *NEEDED[name]], check=True)
    sys.path.append(str(folder))
