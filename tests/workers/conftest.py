import signal

import pytest

from workers.stop import FORCE, StopSwitch


@pytest.fixture
def switch():
    """
    The process's switch; the signal is given back afterwards.
    """
    before = signal.getsignal(FORCE)
    switch = StopSwitch()
    switch.install()
    yield switch
    signal.signal(FORCE, before)
