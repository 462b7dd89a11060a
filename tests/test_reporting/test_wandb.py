import pytest
from extra_venvs import run_with

RUN = """
import json, struct, sys
from pathlib import Path
import logged_runs
from logged_runs import make_optimizer, crashed_and_resumed
from wandb.proto import wandb_internal_pb2
from tensor_optix.reporting.wandb import WandbCallback

logged_runs.save_at_every_barrier()
root = Path(sys.argv[1])

def records(path):
    # LevelDB's log format behind seven bytes of its own: blocks of 32 KiB; each record has a checksum, length and kind
    data, at, whole = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        length, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield whole
            whole = b""

def read(run_dir):
    rows, config, ids = [], {}, set()
    for path in sorted((run_dir / "wandb").glob("offline-run-*/*.wandb"), key=lambda path: path.stat().st_mtime):
        for data in records(path):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            if record.WhichOneof("record_type") == "history":
                items = [(".".join(item.nested_key) or item.key, item.value_json) for item in record.history.item]
                rows.append({key: json.loads(value) for key, value in items})
            if record.WhichOneof("record_type") == "run":
                ids.add(record.run.run_id)
                config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
    return rows, config, ids

def steps(run_dir):
    return [int(row["time/total_timesteps"]) for row in read(run_dir)[0] if "train/loss" in row]

optimizer = make_optimizer(root / "whole", [WandbCallback(every_seconds=0.0)])
optimizer.run()
rows, config, ids = read(optimizer.run_dir)
assert len(ids) == 1 and len(rows) > 20, (ids, len(rows))
assert config["env_id"] == "CartPole-v1", config
whole = steps(optimizer.run_dir)
assert len(whole) > 20
crashed_and_resumed(root / "crashed", lambda: [WandbCallback(every_seconds=0.0)])
assert steps(root / "crashed" / "run-0001") == whole
assert len(read(root / "crashed" / "run-0001")[2]) == 1
print("read")
"""


@pytest.mark.extras
def test_offline_files_have_what_was_logged(tmp_path):
    env = {"WANDB_SILENT": "true", "WANDB_API_KEY": "", "HOME": str(tmp_path)}
    assert run_with("wandb", RUN, tmp_path, cwd=tmp_path, env=env).splitlines()[-1] == "read"
