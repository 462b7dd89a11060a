"""What benchmarks and tests do to runs and agents: kill, cut the power, craft files, tune, teach small tasks.

Scripts beside this folder import it as ``harness``, and so do the tests (``pythonpath`` in ``pyproject.toml``).
It is no part of the package; nothing in the package imports it.
"""
