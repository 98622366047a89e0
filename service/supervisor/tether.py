"""Becomes another program that cannot outlive the process that started it.

Run as a script: `python -I -S tether.py PARENT COMMAND…`. It asks the kernel for a SIGKILL at the
parent's death (prctl PR_SET_PDEATHSIG, which survives exec) and then turns into the command, under
the same process id. A `preexec_fn` would do it in the forked parent, where threads may hold locks.

The kernel sends the signal when the *thread* that forked ends: start tethered programs from a
thread that lives as long as they shall.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to its parent, then become the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # It died before the kernel knew that we care.
        sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606 - the command is the supervisor's own


if __name__ == "__main__":
    main()
