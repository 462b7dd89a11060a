"""Notes what must never happen while crafted files are read."""

import contextlib
import os
import sys

PRECIOUS = "precious"
"""In the name of whatever a crafted file points at."""

FORBIDDEN = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect")
FORBIDDEN += ("pickle.find_class", "urllib.Request", "webbrowser.open", "shutil.rmtree")
CODE = ("marshal.loads", "code.__new__")
"""Code is read: by Python, too, where a module is imported for the first time."""

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
_JOKES = ("antigravity", "this", "payload")


class Watch:
    """An audit hook: processes, connections, files written, precious ones opened, modules imported. Installed for good.

    Args:
        inside: The one folder in which files may be written and removed; None: nowhere.
        code: Whether code may not be read either, but for what installed libraries read.
    """

    def __init__(self, inside=None, *, code=False):
        self.seen, self._is_on, self._code = [], False, code
        self._inside = None if inside is None else os.path.realpath(inside) + os.sep
        sys.addaudithook(self._note)

    @contextlib.contextmanager
    def on(self):
        """Watch, for as long as it lasts."""
        self._is_on = True
        try:
            yield
        finally:
            self._is_on = False

    def _note(self, event, arguments):
        if not self._is_on:
            return
        if event == "open":
            self._note_file(arguments[0], str(arguments[1]), arguments[2] or 0)
        elif event == "import":
            self.seen += [f"import {arguments[0]}"] if arguments[0] in _JOKES else []
        elif self._is_forbidden(event, arguments):
            self.seen.append(f"{event} {arguments!r:.100}")

    def _is_forbidden(self, event, arguments):
        if event in CODE:
            return self._code and "site-packages" not in sys._getframe(2).f_code.co_filename
        return event in FORBIDDEN and not (event == "shutil.rmtree" and self._is_inside(arguments[0]))

    def _note_file(self, name, mode, flags):
        if isinstance(name, int):
            return
        name = os.fsdecode(name)
        if flags & os.O_NOFOLLOW and os.path.islink(name):  # the system refuses
            return
        writes = bool(flags & _WRITES) or any(letter in mode for letter in "wax+")
        is_elsewhere = writes and not self._is_inside(name) and not name.startswith("/dev/")
        if PRECIOUS in os.path.realpath(name) or name.startswith("/etc/") or is_elsewhere:
            self.seen.append(f"open {name}")

    def _is_inside(self, path):
        return self._inside is not None and os.path.realpath(path).startswith(self._inside)
