"""Programs that write as fast as they can, and what their neighbours notice of it."""

import time

import pytest

from harness.tasks import Tasks, summary, task_id
from harness.waiting import wait_until

# From a neighbour's line to its place in the log store: a debug build's, on two cores that three floods share.
LATENCY_SECONDS = 10
TICKS = 20
NEIGHBOURS = 3


def logged(group: str, **options) -> dict:
    options = {"awslogs-group": group, "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p",
               "awslogs-create-group": "true"} | options
    return {"logConfiguration": {"logDriver": "awslogs", "options": options}}


@pytest.fixture(scope="module")
def floods(tasks) -> list[str]:
    """Tasks that flood their logs: the reader's way is full before anybody else comes."""
    arns = [tasks.start(tasks.register(tasks.container("yes", stopTimeout=2, **logged("/flood", mode=mode, **options))))
            for mode, options in [("blocking", {}), ("non-blocking", {"max-buffer-size": "16k"}), ("non-blocking", {"max-buffer-size": "50g"})]]
    for arn in arns:
        tasks.wait(arn, "RUNNING")
        stream = f"p/app/{arn.rpartition('/')[2]}"
        wait_until("the flood has come to the store", lambda: tasks.logs.get_log_events(
            logGroupName="/flood", logStreamName=stream, limit=1)["events"])
    yield arns
    for arn in arns:
        tasks.stop(arn)


def test_neighbours_lines_arrive_and_their_tasks_stop(floods, tasks: Tasks):
    script = f"for i in $(seq 1 {TICKS}); do echo tick $i; sleep 0.2; done"
    definition = tasks.register(tasks.container(script, **logged("/neighbour")))
    # Whatever the order of their ids and those of the floods.
    for neighbour in [tasks.start(definition) for _ in range(NEIGHBOURS)]:
        task = tasks.wait(neighbour)
        events = tasks.logs.get_log_events(
            logGroupName="/neighbour", logStreamName=f"p/app/{task_id(task)}", startFromHead=True)["events"]
        assert [event["message"] for event in events] == [f"tick {i}" for i in range(1, TICKS + 1)], summary(task)
        latest = max(event["ingestionTime"] - event["timestamp"] for event in events)
        assert latest < LATENCY_SECONDS * 1000, f"{latest} ms from the pipe to the store"
        after = (task["stoppedAt"] - task["executionStoppedAt"]).total_seconds()
        assert after < LATENCY_SECONDS, f"STOPPED {after} s after its last process"
    for arn in floods:
        assert tasks.describe(arn)["lastStatus"] == "RUNNING", "a flood is no reason to end a task"


def test_a_blocking_flood_stops_and_a_loss_is_told_once(floods, tasks: Tasks, server):
    began = time.monotonic()
    for arn in floods:
        tasks.stop(arn)
    for arn in floods:
        tasks.wait(arn)
    seconds = time.monotonic() - began
    streams = [f"p/app/{arn.rpartition('/')[2]}" for arn in floods]

    def last_lines(stream: str) -> list[str]:
        events = tasks.logs.get_log_events(logGroupName="/flood", logStreamName=stream, limit=1000)["events"]
        return [event["message"] for event in events]

    # Lost with each read; what was not told within the flood is told at its end.
    wait_until("the loss is told", lambda: last_lines(streams[1])[-1].startswith("[neargate] "))
    told = [line for line in last_lines(streams[1]) if line.startswith("[neargate] ")]
    assert len(told) == 1 and "log lines dropped: the log buffer of 16384 bytes was full" in told[0], told
    assert "[neargate]" not in "".join(last_lines(streams[0])), "a blocking log loses nothing"
    said = [line for line in server.errors.read_text().splitlines() if " WARN " in line or " ERROR " in line]
    assert len(said) < 100, said[-100:]
    assert seconds < 60, f"{seconds} s to stop the floods"
