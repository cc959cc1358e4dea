"""Waiting for what another process does, by asking again."""

import time

# For the slowest: a debug build on a machine that is busy with other tests.
WAIT_SECONDS = 120
POLL_SECONDS = 0.05


def wait_until(what: str, look, seconds: float = WAIT_SECONDS):
    """Asks until `look` answers something true, and answers that."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(POLL_SECONDS)
    return found
