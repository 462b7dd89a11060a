"""Load agents from runs' folders, in a process of its own; say on the last line what came of each.

    python read_runs.py GOOD GOOD RUN [RUN ...]

Whoever starts it watches the memory and the time that it takes. An audit hook notes what must not
happen meanwhile: processes, connections, files written, imports of modules that have nothing to do here.
"""

import json
import os
import sys
import time

from harness.watch import Watch

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def tell(run, load_agent, ours):
    begin = time.monotonic()
    try:
        found = f"loaded: {type(load_agent(run)).__name__}"
    except ours as error:
        found = f"refused: {type(error).__name__}: {error}"
    except BaseException as error:
        found = f"NOT OURS: {type(error).__name__}: {error}"
    return {"found": found.replace(str(run), "RUN")[:300], "seconds": round(time.monotonic() - begin, 2)}


def main():
    from tensor_optix import load_agent
    from tensor_optix.exceptions import TensorOptixError

    for run in sys.argv[1:3]:  # what is imported and traced for the first time is not the crafted files' doing
        tell(run, load_agent, TensorOptixError)
    watch = Watch(code=True)
    answers = []
    for run in sys.argv[3:]:
        watch.seen.clear()
        with watch.on():
            answer = tell(run, load_agent, TensorOptixError)
        answers.append({**answer, "forbidden": list(watch.seen)})
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
