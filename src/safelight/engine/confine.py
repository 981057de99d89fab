"""Take from a child process what it does not need: the network, privileges, memory, a life of its own.

Linux only; elsewhere, and where the kernel refuses, the process says so and goes on. Names and numbers are
those of <linux/sched.h>, <linux/prctl.h> and <linux/capability.h>.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
LINUX_CAPABILITY_VERSION_3 = 0x20080522


def leave_network() -> bool:
    """Move this process into an empty network namespace. Returns whether the kernel let it.

    Only loopback exists there, and it is down: nothing can be reached. Call it before any thread starts and
    before libraries are imported. As root every capability is given up too, since CAP_SYS_ADMIN would lead
    back; with neither, the environment of the parent cannot be read either.
    """
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) == 0:
        return _drop_capabilities(libc)
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
        return False
    _keep_ids(user, group)
    return _drop_capabilities(libc)


def bound_memory(size_bytes: int) -> None:
    """Have the kernel refuse this process more memory than that."""
    if sys.platform.startswith("linux"):
        resource.setrlimit(resource.RLIMIT_AS, (size_bytes, size_bytes))


def _drop_capabilities(libc: ctypes.CDLL) -> bool:
    """Give up every capability, and the right to gain any by running another program."""
    header = (ctypes.c_uint32 * 2)(LINUX_CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    dropped: int = libc.capset(header, nothing)
    barred: int = libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return dropped == 0 and barred == 0


def _keep_ids(user: int, group: int) -> None:
    """Be the same user inside the new user namespace, instead of `nobody`."""
    with contextlib.suppress(OSError):
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def die_with_parent() -> None:
    """Have the kernel end this process a second after its parent, even while it holds Python's lock.

    The second is for the thread that listens to the parent: it takes the whole process group along. Call it
    after `leave_network`: the kernel forgets the request when credentials change.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None)
    # A handler in Python would wait for the lock. alarm(SIGHUP) is a C function that does what is wanted:
    # the signal's number, 1, is the delay in seconds, and SIGALRM ends the process.
    libc.signal(signal.SIGHUP, ctypes.cast(libc.alarm, ctypes.c_void_p))
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGHUP, 0, 0, 0)
