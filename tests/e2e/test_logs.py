"""From a container's stdout to CloudWatch Logs, and out of it again."""

import subprocess
import time

import pytest
from botocore.exceptions import ClientError

from harness.tasks import container_of, summary, task_id

FLOOD_LINES = 100_000
# Debian's AWS CLI is version 2, which PyPI does not have: `aws logs tail` is only there.
AWS_V2 = "/usr/bin/aws"
TAIL_SECONDS = 60


def logged(group: str, **options) -> dict:
    options = {"awslogs-group": group, "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p"} | options
    return {"logConfiguration": {"logDriver": "awslogs", "options": options}}


def messages(logs, **request) -> list[str]:
    pages = logs.get_paginator("filter_log_events").paginate(**request)
    return [event["message"] for page in pages for event in page["events"]]


def test_a_stream_is_named_after_prefix_container_and_task(tasks, logs):
    logs.create_log_group(logGroupName="/named")
    task = tasks.run(tasks.container("echo hello", **logged("/named")))
    streams = logs.describe_log_streams(logGroupName="/named")["logStreams"]
    assert [stream["logStreamName"] for stream in streams] == [f"p/app/{task_id(task)}"]
    events = logs.get_log_events(logGroupName="/named", logStreamName=f"p/app/{task_id(task)}", startFromHead=True)["events"]
    assert [event["message"] for event in events] == ["hello"]
    created, stopped = task["createdAt"].timestamp() * 1000, task["stoppedAt"].timestamp() * 1000
    assert created <= events[0]["timestamp"] <= stopped


def test_a_group_is_created_where_the_task_may(tasks, logs):
    task = tasks.run(tasks.container("echo x", **logged("/made", **{"awslogs-create-group": "true"})))
    assert container_of(task)["exitCode"] == 0
    assert [group["logGroupName"] for group in logs.describe_log_groups(logGroupNamePrefix="/made")["logGroups"]] == ["/made"]


def test_without_its_group_a_task_does_not_start(tasks):
    task = tasks.run(tasks.container("echo x", **logged("/absent")))
    assert task["stopCode"] == "TaskFailedToStart", summary(task)
    assert task["stoppedReason"].startswith("ResourceInitializationError: failed to validate logger args"), summary(task)
    assert "ResourceNotFoundException: The specified log group does not exist" in task["stoppedReason"]
    assert "exitCode" not in container_of(task)


def test_a_task_without_log_configuration_runs(tasks):
    assert container_of(tasks.run(tasks.container("echo x"), logged=False))["exitCode"] == 0


def test_a_flood_in_blocking_mode_loses_nothing(tasks, logs):
    task = tasks.run(tasks.container(f"seq 1 {FLOOD_LINES}", **logged("/flood", mode="blocking", **{"awslogs-create-group": "true"})))
    assert container_of(task)["exitCode"] == 0, summary(task)
    want = [str(number) for number in range(1, FLOOD_LINES + 1)]
    assert messages(logs, logGroupName="/flood") == want


def test_a_flood_in_non_blocking_mode_is_bounded_and_says_what_is_missing(tasks, logs):
    task = tasks.run(tasks.container(f"seq 1 {FLOOD_LINES}", **logged(
        "/drops", mode="non-blocking", **{"max-buffer-size": "16k", "awslogs-create-group": "true"})))
    assert container_of(task)["exitCode"] == 0, summary(task)
    got = messages(logs, logGroupName="/drops")
    lines = [int(line) for line in got if line.isdigit()]
    notes = [line for line in got if not line.isdigit()]
    assert lines == sorted(set(lines)), "what is there is in order and once"
    if len(lines) < FLOOD_LINES:
        assert notes, "what was dropped is told"


def test_long_lines_and_odd_bytes(tasks, logs):
    script = r"head -c 300000 /dev/zero | tr '\0' a; echo; printf 'bad \377 byte\n'; echo 'snow ☃'; echo; echo end"
    task = tasks.run(tasks.container(script))
    lines = tasks.lines(task)
    assert sum(line.count("a") for line in lines if set(line) <= {"a"}) == 300_000
    assert lines[-1] == "end" and "snow ☃" in lines and any("bad" in line and "byte" in line for line in lines)


def test_multiline_pattern(tasks, logs):
    script = "echo 'START one'; echo ' more'; echo 'START two'; echo ' more of it'"
    tasks.run(tasks.container(script, **logged("/multi", **{"awslogs-multiline-pattern": "^START", "awslogs-create-group": "true"})))
    assert [message.split("\n") for message in messages(logs, logGroupName="/multi")] == [
        ["START one", " more"], ["START two", " more of it"]]


def test_datetime_format(tasks, logs):
    # AWS's own example.
    script = "echo '[May 01, 2017 19:00:01] one'; echo ' more'; echo '[May 01, 2017 19:01:31] two'"
    options = {"awslogs-datetime-format": r"\[%b %d, %Y %H:%M:%S\]", "awslogs-create-group": "true"}
    tasks.run(tasks.container(script, **logged("/datetime", **options)))
    assert messages(logs, logGroupName="/datetime") == ["[May 01, 2017 19:00:01] one\n more", "[May 01, 2017 19:01:31] two"]


@pytest.mark.parametrize(("option", "value", "pattern"), [
    ("awslogs-multiline-pattern", "^(START", "^(START"),
    ("awslogs-datetime-format", "(%Y", "([0-9]{4}"),
])
def test_a_pattern_that_does_not_compile_keeps_the_container_from_starting(tasks, option, value, pattern):
    task = tasks.run(tasks.container("echo x", **logged("/bad", **{option: value, "awslogs-create-group": "true"})))
    assert task["stopCode"] == "TaskFailedToStart", summary(task)
    want = (f"ResourceInitializationError: failed to validate logger args: {option}: "
            f'awslogs could not parse multiline pattern key "{pattern}": ')
    assert task["stoppedReason"].startswith(want), summary(task)
    assert "exitCode" not in container_of(task)


@pytest.fixture(scope="module")
def sample(logs):
    logs.create_log_group(logGroupName="/sample")
    now = int(time.time() * 1000)
    for stream, lines in {
        "a": ["ERROR code 500 at /x", "INFO fine", '{"level": "error", "status": 503, "user": {"name": "kim"}}'],
        "b": ["127.0.0.1 - frank [10/Oct/2000] GET 404 12", "WARN ERROR both", '{"level": "info", "status": 200}'],
    }.items():
        logs.create_log_stream(logGroupName="/sample", logStreamName=stream)
        logs.put_log_events(logGroupName="/sample", logStreamName=stream,
                            logEvents=[{"timestamp": now + index, "message": line} for index, line in enumerate(lines)])
    return now


@pytest.mark.parametrize(("pattern", "want"), [
    ("", 6),
    ("ERROR", 2),
    ("ERROR WARN", 1),
    ("?WARN ?INFO", 2),
    ("ERROR -WARN", 1),
    ('"code 500"', 1),
    ("absent", 0),
    ("{ $.level = \"error\" }", 1),
    ("{ $.status >= 200 }", 2),
    ("{ $.status > 200 && $.user.name = \"k*\" }", 1),
    ("{ $.user.name NOT EXISTS && $.status = 200 }", 1),
    ("[ip, dash, user, date, method, status = 404, size]", 1),
    ("%E[R]+OR%", 2),
])
def test_filter_patterns(logs, sample, pattern, want):
    assert len(messages(logs, logGroupName="/sample", filterPattern=pattern)) == want


def test_filtering_by_stream_and_time(logs, sample):
    assert len(messages(logs, logGroupName="/sample", logStreamNames=["a"])) == 3
    assert len(messages(logs, logGroupName="/sample", logStreamNamePrefix="b")) == 3
    assert len(messages(logs, logGroupName="/sample", startTime=sample + 1, endTime=sample + 1)) == 2
    with pytest.raises(ClientError) as caught:
        messages(logs, logGroupName="/sample", filterPattern="{ $.x = ")
    assert caught.value.response["Error"]["Code"] == "InvalidParameterException"


def test_get_log_events_page_by_page(logs, sample):
    request = {"logGroupName": "/sample", "logStreamName": "a", "startFromHead": True, "limit": 2}
    first = logs.get_log_events(**request)
    second = logs.get_log_events(**request, nextToken=first["nextForwardToken"])
    third = logs.get_log_events(**request, nextToken=second["nextForwardToken"])
    assert [len(page["events"]) for page in (first, second, third)] == [2, 1, 0]
    assert third["nextForwardToken"] == second["nextForwardToken"], "the end: the same token again"
    back = logs.get_log_events(**request, nextToken=second["nextBackwardToken"])
    assert [event["message"] for event in back["events"]] == [event["message"] for event in first["events"]]


def test_groups_streams_and_retention(logs):
    for index in range(3):
        logs.create_log_group(logGroupName=f"/pages/{index}", tags={"n": str(index)})
    with pytest.raises(logs.exceptions.ResourceAlreadyExistsException):
        logs.create_log_group(logGroupName="/pages/0")
    pages = list(logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix="/pages", PaginationConfig={"PageSize": 2}))
    assert [len(page["logGroups"]) for page in pages] == [2, 1]
    logs.put_retention_policy(logGroupName="/pages/0", retentionInDays=7)
    group = logs.describe_log_groups(logGroupNamePrefix="/pages/0")["logGroups"][0]
    assert group["retentionInDays"] == 7
    logs.delete_retention_policy(logGroupName="/pages/0")
    assert "retentionInDays" not in logs.describe_log_groups(logGroupNamePrefix="/pages/0")["logGroups"][0]
    with pytest.raises(logs.exceptions.InvalidParameterException):
        logs.put_retention_policy(logGroupName="/pages/0", retentionInDays=8)
    assert logs.list_tags_for_resource(resourceArn=group["logGroupArn"])["tags"] == {"n": "0"}
    logs.create_log_stream(logGroupName="/pages/0", logStreamName="s")
    logs.delete_log_stream(logGroupName="/pages/0", logStreamName="s")
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        logs.get_log_events(logGroupName="/pages/0", logStreamName="s")
    logs.delete_log_group(logGroupName="/pages/0")
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        logs.describe_log_streams(logGroupName="/pages/0")


def test_tail_follows_a_running_task(server, tasks, account, tmp_path):
    arn = tasks.start(tasks.register(tasks.container(
        "for i in 1 2 3 4 5 6 7 8; do echo tick $i; sleep 0.5; done", **logged("/tail", **{"awslogs-create-group": "true"}))))
    tasks.wait(arn, "RUNNING")
    output = tmp_path / "tail"
    tail = subprocess.Popen(
        [AWS_V2, "--endpoint-url", server.endpoint, "logs", "tail", "/tail", "--follow", "--since", "1h", "--format", "json"],
        env=server.environment(account), stdout=output.open("w"), stderr=subprocess.STDOUT)
    end = time.monotonic() + TAIL_SECONDS
    try:
        while "tick 8" not in output.read_text():
            assert time.monotonic() < end and tail.poll() is None, output.read_text()
            time.sleep(0.1)
    finally:
        # Not SIGINT: whoever was started in the background of a shell ignores it.
        tail.terminate()
        tail.wait()
    ticks = [line for line in output.read_text().splitlines() if "tick" in line]
    assert len(ticks) == 8, f"each line once: {ticks}"
