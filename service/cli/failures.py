"""Exit codes, and errors as one readable line with a remedy. Never a traceback for a user's fault.

0    done
1    an error that nobody foresaw; the traceback is shown, please report it
2    the command line is wrong, or names a file that cannot be read
3    the service refused: the request does not fit what is there
4    the service cannot be reached, or failed itself
5    the job failed
6    the job was cancelled
7    the job had not ended in time; it goes on
8    a download does not have the sha256 that the manifest names
9    HandsOff could not be started on this machine
10   the demo ran, but what it made is not what it should be
130  interrupted with Ctrl-C; jobs on the service go on
"""

import json
import sys
from enum import IntEnum
from typing import Any

from service.cli.session import Session
from service.client import (
    ApiError,
    ClientError,
    ConnectionFailed,
    CorruptDownload,
    JobCancelled,
    JobFailed,
    ServiceFault,
    Timeout,
)


class ExitCode(IntEnum):
    """How a command ends; see the module."""

    DONE = 0
    UNFORESEEN = 1
    MISUSED = 2
    REFUSED = 3
    UNREACHABLE = 4
    JOB_FAILED = 5
    JOB_CANCELLED = 6
    TIMEOUT = 7
    CORRUPT = 8
    NOT_STARTED = 9
    DEMO_FAILED = 10
    INTERRUPTED = 130


class WrongUsage(Exception):
    """The command line asks for something that cannot be; the message says what to do."""


class NotStarted(Exception):
    """HandsOff could not be started on this machine; the message says why and what to do."""


class DemoFailed(Exception):
    """The demo ran, but something it made is not what it should be."""


# The first class that fits decides.
CODES: tuple[tuple[type[Exception], ExitCode], ...] = (
    (ServiceFault, ExitCode.UNREACHABLE),
    (ConnectionFailed, ExitCode.UNREACHABLE),
    (JobFailed, ExitCode.JOB_FAILED),
    (JobCancelled, ExitCode.JOB_CANCELLED),
    (Timeout, ExitCode.TIMEOUT),
    (CorruptDownload, ExitCode.CORRUPT),
    (ClientError, ExitCode.REFUSED),
    (WrongUsage, ExitCode.MISUSED),
    (NotStarted, ExitCode.NOT_STARTED),
    (DemoFailed, ExitCode.DEMO_FAILED),
    (OSError, ExitCode.MISUSED),
)
EXPECTED = (ClientError, WrongUsage, NotStarted, DemoFailed, OSError)


def exit_code(error: Exception) -> ExitCode:
    """The exit code for an error."""
    return next((code for kind, code in CODES if isinstance(error, kind)), ExitCode.UNFORESEEN)


def report(error: Exception, session: Session) -> ExitCode:
    """Tell what went wrong, to a person or to a machine; the exit code."""
    code = exit_code(error)
    if session.as_json:
        print(json.dumps({"error": _for_machines(error, code)}, ensure_ascii=False))
        return code
    session.remarks.print(f"error: {error}", style="red", markup=False, soft_wrap=True)
    remedy = getattr(error, "remedy", "")
    if remedy:
        session.remarks.print(f"       {remedy}", markup=False, soft_wrap=True)
    sys.stderr.flush()
    return code


def _for_machines(error: Exception, code: ExitCode) -> dict[str, Any]:
    if isinstance(error, ApiError):
        return {**error.problem, "code": error.code, "detail": error.detail}
    return {
        "code": getattr(error, "code", code.name.lower()),
        "detail": str(error),
        "remedy": getattr(error, "remedy", ""),
    }
