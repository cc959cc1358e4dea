"""Services over several zones: tasks are spread, and what became uneven gets even by itself."""

from collections import Counter

import pytest

from harness.services import ids, is_stable, messages
from harness.tasks import task_id

ZONES = 3


@pytest.fixture(scope="module")
def zones(services) -> dict[str, str]:
    """Subnets by zone."""
    subnets = services.tasks.ec2.describe_subnets(SubnetIds=services.tasks.subnets)["Subnets"]
    found = sorted((subnet["AvailabilityZone"], subnet["SubnetId"]) for subnet in subnets)
    return dict(found[:ZONES])


def over(zones: dict[str, str]) -> dict:
    return {"networkConfiguration": {"awsvpcConfiguration": {"subnets": list(zones.values())}}}


def by_zone(tasks: list[dict]) -> Counter:
    return Counter(task["availabilityZone"] for task in tasks)


def test_tasks_are_spread_and_replaced_where_they_were(services, zones):
    name = services.create(services.definition(), 4, **over(zones))["serviceName"]
    services.stable(name)
    first = services.running(name)
    assert sorted(by_zone(first).values()) == [1, 1, 2]
    victim = next(task for task in first if by_zone(first)[task["availabilityZone"]] == 1)
    services.tasks.stop(victim["taskArn"])
    services.wait(name, lambda s: is_stable(s) and task_id(victim) not in ids(services.running(name)))
    assert by_zone(services.running(name)) == by_zone(first)
    services.delete(name)


def uneven(services, zones: dict[str, str], **request) -> tuple[str, list[str]]:
    """A service with two tasks in the first zone, one in the second and none in the third: scale-in passes over protected ones."""
    name = services.create(services.definition(), 2 * ZONES, **over(zones), **request)["serviceName"]
    services.stable(name)
    first, second, _ = zones
    tasks = services.running(name)
    in_zone = {zone: [task["taskArn"] for task in tasks if task["availabilityZone"] == zone] for zone in zones}
    kept = [*in_zone[first], in_zone[second][0]]
    services.ecs.update_task_protection(cluster="default", tasks=kept, protectionEnabled=True)
    services.ecs.update_service(service=name, desiredCount=3)
    services.wait(name, is_stable)
    services.ecs.update_task_protection(cluster="default", tasks=kept, protectionEnabled=False)
    assert by_zone(services.running(name)) == {first: 2, second: 1}
    return name, kept


def test_an_uneven_service_gets_even_by_itself(services, zones):
    name, kept = uneven(services, zones, availabilityZoneRebalancing="DISABLED")
    first, second, third = zones
    services.ecs.update_service(service=name, availabilityZoneRebalancing="ENABLED")
    completed = f"(service {name}) is AZ balanced with"
    even = services.wait(name, lambda s: any(m.startswith(completed) for m in messages(s)))
    assert is_stable(even), "no deployment was needed"
    tasks = services.running(name)
    assert by_zone(tasks) == {first: 1, second: 1, third: 1}
    assert len(ids(tasks) & {arn.rsplit("/", 1)[1] for arn in kept}) == 2, "one task was moved, the others stay"
    moved = next(task for task in tasks if task["availabilityZone"] == third)
    gone, = {arn.rsplit("/", 1)[1] for arn in kept} - ids(tasks)
    told = messages(even)
    story = [
        f"(service {name}) is not AZ balanced with 2 tasks in {first}, 1 tasks in {second}, 0 tasks in {third}. AZ Rebalancing in progress.",
        f"(service {name}) has started 1 tasks in {third} to AZ Rebalance: (task {task_id(moved)}).",
        f"(service {name}) has stopped 1 running tasks in {first} due to AZ rebalancing: (task {gone}).",
        f"(service {name}) is AZ balanced with 1 tasks in {first}, 1 tasks in {second}, 1 tasks in {third}.",
    ]
    assert [m for m in told if "AZ " in m] == story, told
    services.delete(name)
