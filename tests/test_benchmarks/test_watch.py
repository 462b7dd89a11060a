"""What watches crafted files sees what must not happen, and only while it watches."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import json, os, subprocess, sys
from pathlib import Path
from harness.watch import Watch

folder = Path(sys.argv[1])
for name in ("inside", "outside"):
    (folder / name).mkdir()
(folder / "precious").write_text("x")
watch = Watch(folder / "inside")
(folder / "precious").read_text()
with watch.on():
    (folder / "inside" / "mine").write_text("x")
    (folder / "inside" / "mine").read_text()
    assert watch.seen == []
    (folder / "precious").read_text()
    (folder / "outside" / "other").write_text("x")
    (folder / "inside" / "link").symlink_to(folder / "precious")
    (folder / "inside" / "link").read_text()
    subprocess.run([sys.executable, "-c", ""])
seen = list(watch.seen)
(folder / "precious").read_text()
assert watch.seen == seen
print(json.dumps(seen))
"""


def test_what_must_not_happen_is_seen(tmp_path: Path) -> None:
    benchmarks = Path(__file__).parents[2] / "benchmarks"
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(benchmarks)})
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    places = [Path(text.removeprefix("open ")).name for text in seen if text.startswith("open ")]
    assert places[:3] == ["precious", "other", "link"]
    assert any(text.startswith("subprocess.Popen") for text in seen)
