"""What docs/between_runs.md shows runs as it stands, one block after the other, with smaller budgets."""

import re
from pathlib import Path

BLOCKS = re.findall(
    r"```python\n(.*?)```", (Path(__file__).parent.parent / "docs" / "between_runs.md").read_text(), re.S
)


def test_every_block_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for block in BLOCKS:
        shorter = block.replace("max_env_steps=20_000", "max_env_steps=4_100, report_episodes=2").replace(", 20", ", 2")
        assert "20_000" not in shorter
        exec(shorter, namespace)
    results = [namespace[name] for name in ("first", "second", "third", "warm", "tuned", "live")]
    assert {result.reason for result in results} == {"budget"}
