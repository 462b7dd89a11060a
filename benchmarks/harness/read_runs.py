"""Load agents from runs' folders, in a process of its own; say on the last line what came of each.

    python read_runs.py GOOD GOOD RUN [RUN ...]

Whoever starts it watches the memory and the time that it takes. An audit hook notes what must not
happen meanwhile: processes, connections, files written, imports of modules that have nothing to do here.
"""

import json
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

FORBIDDEN = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect")
FORBIDDEN += (
    "pickle.find_class",
    "urllib.Request",
    "webbrowser.open",
    "shutil.rmtree",
    "marshal.loads",
    "code.__new__",
)
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
PRECIOUS = "precious"


class Watch:
    def __init__(self):
        self.is_on, self.seen = False, []
        sys.addaudithook(self.note)

    def note(self, event, arguments):
        if not self.is_on:
            return
        if event in FORBIDDEN and "site-packages" not in str(sys._getframe(1).f_code.co_filename):
            self.seen.append(f"{event} {arguments!r:.100}")
        elif event == "open" and isinstance(arguments[0], (str, bytes)):
            name = os.fsdecode(arguments[0])
            if PRECIOUS in name or ((arguments[2] or 0) & WRITES and "/dev/" not in name):
                self.seen.append(f"open {name}")
        elif event == "import" and arguments[0] in ("antigravity", "this", "payload"):
            self.seen.append(f"import {arguments[0]}")


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
    watch = Watch()
    answers = []
    for run in sys.argv[3:]:
        watch.is_on, watch.seen[:] = True, []
        answer = tell(run, load_agent, TensorOptixError)
        watch.is_on = False
        answers.append({**answer, "forbidden": list(watch.seen)})
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
