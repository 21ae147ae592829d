"""Performs a script of system calls below a directory and writes down which were acknowledged.

usage: performer.py SCRIPT ROOT CONTENTS LOG

A process of its own, so that a mount that goes away is an error here and not the end of the test.
Ends with 0 when all was done, with 3 at the first step that failed.
"""

import json
import os
import sys

script, root, contents, log_path = sys.argv[1:]
os.umask(0o022)
handles = {}
HOW = {
    "Read": os.O_RDONLY,
    "Write": os.O_RDWR,
    "Append": os.O_WRONLY | os.O_APPEND,
    "Create": os.O_RDWR | os.O_CREAT | os.O_TRUNC,
    "CreateNew": os.O_RDWR | os.O_CREAT | os.O_EXCL,
}


def at(path):
    return os.path.join(root, path)


def write(handle, offset, name):
    with open(os.path.join(contents, name), "rb") as content:
        left = memoryview(content.read())
    while left:
        if offset is None:
            done = os.write(handles[handle], left)
        else:
            done = os.pwrite(handles[handle], left, offset)
            offset += done
        left = left[done:]


def open_file(handle, path, how):
    handles[handle] = os.open(at(path), HOW[how], 0o666)


STEPS = {
    "mkdir": lambda path: os.mkdir(at(path)),
    "rmdir": lambda path: os.rmdir(at(path)),
    "open": open_file,
    "write": write,
    "fsync": lambda handle: os.fsync(handles[handle]),
    "close": lambda handle: os.close(handles.pop(handle)),
    "truncate": lambda path, size: os.truncate(at(path), size),
    "chmod": lambda path, mode: os.chmod(at(path), mode),
    "rename": lambda old, new: os.rename(at(old), at(new)),
    "unlink": lambda path: os.unlink(at(path)),
    "symlink": lambda target, path: os.symlink(target, at(path)),
}

with open(script) as steps, open(log_path, "w", buffering=1) as log:
    for number, (name, *arguments) in enumerate(json.load(steps)):
        try:
            STEPS[name](*arguments)
        except OSError as error:
            log.write(f"failed {number} {name} {arguments}: {error}\n")
            sys.exit(3)
        log.write(f"done {number}\n")
