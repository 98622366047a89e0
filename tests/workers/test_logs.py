"""What processes log when something goes wrong."""

import subprocess
import sys

import pytest

FAIL = """
from workers.logs import configure_logs
import structlog
configure_logs(FORM)
try:
    password = '-'.join(['hunter', '2'])
    raise ZeroDivisionError("no reason")
except ZeroDivisionError as error:
    structlog.get_logger("workers.x").error("it failed", exc_info=error)
"""


@pytest.mark.parametrize("form", ["console", "json"])
def test_tracebacks_hold_no_values(form):
    """
    An error is logged with where it came from, and without what the variables held there.
    """
    code = FAIL.replace("FORM", repr(form))
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr

    assert "it failed" in said
    assert "ZeroDivisionError" in said
    assert "no reason" in said
    assert "hunter-2" not in said
