"""Clusters, capacity providers, account settings, attributes and tags."""

import pytest

from harness.errors import refused
from harness.server import fresh_account


@pytest.fixture
def ecs(server):
    """An account of each test's own: they count what is there."""
    return server.client("ecs", fresh_account())


def test_there_is_no_cluster_until_it_is_made(ecs):
    assert ecs.list_clusters()["clusterArns"] == []
    refused(lambda: ecs.list_tasks(), "ClusterNotFoundException", "Cluster not found.")


def test_the_cluster_without_a_name_is_default(ecs):
    cluster = ecs.create_cluster()["cluster"]
    assert cluster["clusterName"] == "default" and cluster["status"] == "ACTIVE"
    assert ecs.describe_clusters()["clusters"][0]["clusterArn"] == cluster["clusterArn"]


def test_creating_twice_answers_the_first(ecs):
    first = ecs.create_cluster(clusterName="c", tags=[{"key": "a", "value": "1"}])["cluster"]
    again = ecs.create_cluster(clusterName="c", tags=[{"key": "a", "value": "2"}])["cluster"]
    assert again["clusterArn"] == first["clusterArn"]
    assert ecs.list_tags_for_resource(resourceArn=first["clusterArn"])["tags"] == [{"key": "a", "value": "1"}]


def test_what_is_described(ecs):
    arn = ecs.create_cluster(clusterName="c", settings=[{"name": "containerInsights", "value": "enabled"}],
                             tags=[{"key": "k", "value": "v"}])["cluster"]["clusterArn"]
    plain = ecs.describe_clusters(clusters=["c"])["clusters"][0]
    assert {plain[name] for name in ("registeredContainerInstancesCount", "runningTasksCount", "pendingTasksCount", "activeServicesCount")} == {0}
    assert plain["settings"] == [] and plain["tags"] == [] and plain["statistics"] == []
    with_all = ecs.describe_clusters(clusters=[arn], include=["SETTINGS", "TAGS", "STATISTICS", "CONFIGURATIONS", "ATTACHMENTS"])["clusters"][0]
    assert with_all["settings"] == [{"name": "containerInsights", "value": "enabled"}]
    assert with_all["tags"] == [{"key": "k", "value": "v"}] and with_all["statistics"]


def test_unknown_clusters_are_failures(ecs):
    answer = ecs.describe_clusters(clusters=["absent"])
    assert answer["clusters"] == [] and answer["failures"][0]["reason"] == "MISSING"
    assert answer["failures"][0]["arn"].endswith(":cluster/absent")


def test_updates(ecs):
    ecs.create_cluster(clusterName="c")
    ecs.update_cluster_settings(cluster="c", settings=[{"name": "containerInsights", "value": "enhanced"}])
    configuration = {"executeCommandConfiguration": {"logging": "DEFAULT"}}
    ecs.update_cluster(cluster="c", configuration=configuration)
    cluster = ecs.describe_clusters(clusters=["c"], include=["SETTINGS", "CONFIGURATIONS"])["clusters"][0]
    assert cluster["settings"][0]["value"] == "enhanced" and cluster["configuration"] == configuration
    refused(lambda: ecs.update_cluster(cluster="absent"), "ClusterNotFoundException")


def test_a_deleted_cluster_is_inactive(ecs):
    ecs.create_cluster(clusterName="c")
    assert ecs.delete_cluster(cluster="c")["cluster"]["status"] == "INACTIVE"
    assert ecs.describe_clusters(clusters=["c"])["clusters"][0]["status"] == "INACTIVE"
    assert ecs.list_clusters()["clusterArns"] == []
    refused(lambda: ecs.list_tasks(cluster="c"), "ClusterNotFoundException")
    refused(lambda: ecs.delete_cluster(cluster="absent"), "ClusterNotFoundException", "Cluster not found.")
    assert ecs.create_cluster(clusterName="c")["cluster"]["status"] == "ACTIVE"


def test_a_cluster_with_tasks_stays(tasks):
    tasks.ecs.create_cluster(clusterName="busy")
    definition = tasks.register(tasks.container("sleep 60", stopTimeout=2))
    arn = tasks.ecs.run_task(cluster="busy", taskDefinition=definition, launchType="FARGATE",
                             networkConfiguration=tasks.network())["tasks"][0]["taskArn"]
    refused(lambda: tasks.ecs.delete_cluster(cluster="busy"), "ClusterContainsTasksException",
            "The Cluster cannot be deleted while Tasks are active.")
    tasks.ecs.stop_task(cluster="busy", task=arn)


def test_pages(ecs):
    want = {ecs.create_cluster(clusterName=f"c{number}")["cluster"]["clusterArn"] for number in range(7)}
    pages = [page["clusterArns"] for page in ecs.get_paginator("list_clusters").paginate(PaginationConfig={"PageSize": 3})]
    assert [len(page) for page in pages] == [3, 3, 1]
    assert {arn for page in pages for arn in page} == want
    refused(lambda: ecs.list_clusters(maxResults=101), "InvalidParameterException")
    refused(lambda: ecs.list_clusters(nextToken="rubbish"), "InvalidParameterException")


@pytest.mark.parametrize("name", ["with space", "ümlaut", "x" * 256, "a/b"])
def test_bad_names(ecs, name):
    refused(lambda: ecs.create_cluster(clusterName=name), "InvalidParameterException")


def test_capacity_providers(ecs):
    providers = ecs.describe_capacity_providers()["capacityProviders"]
    assert {provider["name"]: provider["status"] for provider in providers} == {"FARGATE": "ACTIVE", "FARGATE_SPOT": "ACTIVE"}
    ecs.create_cluster(clusterName="c")
    strategy = [{"capacityProvider": "FARGATE", "weight": 1, "base": 1}, {"capacityProvider": "FARGATE_SPOT", "weight": 4, "base": 0}]
    cluster = ecs.put_cluster_capacity_providers(
        cluster="c", capacityProviders=["FARGATE", "FARGATE_SPOT"], defaultCapacityProviderStrategy=strategy)["cluster"]
    assert sorted(cluster["capacityProviders"]) == ["FARGATE", "FARGATE_SPOT"]
    assert cluster["defaultCapacityProviderStrategy"] == strategy
    for text, wrong in [
        ("contains multiple capacity providers with a base value defined", [{"capacityProvider": "FARGATE", "base": 1, "weight": 1}, {"capacityProvider": "FARGATE_SPOT", "base": 1}]),
        ("cannot contain a capacity provider that is not associated", [{"capacityProvider": "other", "weight": 1}]),
    ]:
        refused(lambda: ecs.put_cluster_capacity_providers(
            cluster="c", capacityProviders=["FARGATE", "FARGATE_SPOT"], defaultCapacityProviderStrategy=wrong),
            "InvalidParameterException", text)
    emptied = ecs.put_cluster_capacity_providers(cluster="c", capacityProviders=[], defaultCapacityProviderStrategy=[])["cluster"]
    assert emptied["capacityProviders"] == [] and emptied["defaultCapacityProviderStrategy"] == []


def test_account_settings(ecs):
    effective = {setting["name"]: setting["value"] for page in ecs.get_paginator("list_account_settings").paginate(effectiveSettings=True)
                 for setting in page["settings"]}
    assert effective["taskLongArnFormat"] == "enabled" and effective["containerInsights"] == "disabled"
    assert effective["defaultLogDriverMode"] == "non-blocking"
    assert ecs.list_account_settings()["settings"] == []
    setting = ecs.put_account_setting(name="containerInsights", value="enabled")["setting"]
    assert (setting["name"], setting["value"]) == ("containerInsights", "enabled") and setting["principalArn"]
    assert [s["value"] for s in ecs.list_account_settings(name="containerInsights")["settings"]] == ["enabled"]
    ecs.delete_account_setting(name="containerInsights")
    assert ecs.list_account_settings()["settings"] == []
    ecs.put_account_setting_default(name="fargateTaskRetirementWaitPeriod", value="14")
    effective = ecs.list_account_settings(name="fargateTaskRetirementWaitPeriod", effectiveSettings=True)["settings"]
    assert [s["value"] for s in effective] == ["14"]
    refused(lambda: ecs.put_account_setting(name="containerInsights", value="maybe"), "InvalidParameterException")


def test_a_setting_decides_about_new_clusters(ecs):
    ecs.put_account_setting_default(name="containerInsights", value="enabled")
    ecs.create_cluster(clusterName="c")
    cluster = ecs.describe_clusters(clusters=["c"], include=["SETTINGS"])["clusters"][0]
    assert cluster["settings"] == [{"name": "containerInsights", "value": "enabled"}]


def test_tags(ecs, server):
    arn = ecs.create_cluster(clusterName="c")["cluster"]["clusterArn"]
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "1"}, {"key": "b", "value": "2"}])
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "3"}])
    ecs.untag_resource(resourceArn=arn, tagKeys=["b", "never there"])
    assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "a", "value": "3"}]
    refused(lambda: ecs.tag_resource(resourceArn=arn, tags=[{"key": "aws:x", "value": "1"}]), "InvalidParameterException")
    refused(lambda: ecs.tag_resource(resourceArn=arn, tags=[{"key": str(n), "value": ""} for n in range(51)]), "ClientException")
    refused(lambda: ecs.list_tags_for_resource(resourceArn=arn.replace("cluster/c", "cluster/absent")), "ClusterNotFoundException")
    refused(lambda: ecs.list_tags_for_resource(resourceArn="rubbish"), "InvalidParameterException")


def test_attributes(ecs):
    ecs.create_cluster()
    assert ecs.list_attributes(targetType="container-instance")["attributes"] == []
    target = "0" * 32
    for call in (ecs.put_attributes, ecs.delete_attributes):
        refused(lambda: call(attributes=[{"name": "stack", "value": "x", "targetType": "container-instance", "targetId": target}]),
                "TargetNotFoundException")
