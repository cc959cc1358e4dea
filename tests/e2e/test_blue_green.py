"""ECS's own blue/green, linear and canary deployments on real tasks behind a real load balancer: traffic at each step,
hooks, and every way back."""

import http.client
import itertools
import threading

import pytest

from harness import web
from harness.hooks import SUCCEEDED, Hooks, function, pause
from harness.server import Server, fresh_account, running
from harness.tasks import ROLE, unique
from harness.waiting import wait_until
from harness.web import PORT, Web

# A minute is a second and a half.
SCALE = ("--time-scale", "40")
BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
ports = itertools.count(8100)


@pytest.fixture(scope="module")
def hooks(tmp_path_factory):
    hooks = Hooks(tmp_path_factory.mktemp("hooks"), "check", "approve")
    yield hooks
    hooks.end()


@pytest.fixture(scope="module")
def server(world, hooks, tmp_path_factory):
    directory = tmp_path_factory.mktemp("blue-green")
    server = Server(directory / "data", *SCALE, "--create-repositories-on-push", "--functions", hooks.file)
    web.push_image(server, directory)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def account() -> str:
    return fresh_account()


@pytest.fixture(scope="module")
def site(server, account):
    return Web(server, account)


class Pair:
    """A load balancer with two target groups, a production listener and a test listener; and a service behind it."""

    def __init__(self, site: Web, network: bool = False):
        self.site, self.ecs, self.elb = site, site.ecs, site.elb
        protocol = "TCP" if network else "HTTP"
        kind = {"Type": "network"} if network else {}
        health = {"Protocol": "TCP", "HealthCheckProtocol": "HTTP"} if network else {}
        self.balancer = site.balancer(**kind)
        self.groups = [site.target_group(drain_seconds=20, **health) for _ in range(2)]
        self.port, self.test_port = next(ports), next(ports)
        both = [{"TargetGroupArn": self.groups[0], "Weight": 1}, {"TargetGroupArn": self.groups[1], "Weight": 0}]
        forward = {"Protocol": protocol, "DefaultActions": [{"Type": "forward", "ForwardConfig": {"TargetGroups": both}}]}
        listeners = [site.listener(self.balancer, port, self.groups[0], **forward) for port in (self.port, self.test_port)]
        self.production, self.test = listeners if network else [self._default_rule(arn) for arn in listeners]
        self.name, self.definitions = "", itertools.count(1)

    def _default_rule(self, listener: str) -> str:
        rules = self.elb.describe_rules(ListenerArn=listener)["Rules"]
        return next(rule["RuleArn"] for rule in rules if rule["IsDefault"])

    def balancers(self, **advanced) -> list[dict]:
        advanced = {
            "alternateTargetGroupArn": self.groups[1], "productionListenerRule": self.production,
            "testListenerRule": self.test, "roleArn": ROLE,
        } | advanced
        return [{
            "targetGroupArn": self.groups[0], "containerName": "web", "containerPort": PORT,
            "advancedConfiguration": {key: value for key, value in advanced.items() if value},
        }]

    def definition(self, **environment: str) -> str:
        return self.site.definition(f"v{next(self.definitions)}", family=self.name or "web", **environment)

    def create(self, count: int = 1, strategy: str = "BLUE_GREEN", **configuration) -> dict:
        self.name = unique("pair")
        configuration = {"strategy": strategy, "bakeTimeInMinutes": 0} | configuration
        self.site.service(
            self.definition(), count, None, serviceName=self.name, loadBalancers=self.balancers(),
            deploymentConfiguration=configuration)
        return self.finished("SUCCESSFUL")

    def deploy(self, **request) -> None:
        """Starts the next version."""
        request.setdefault("taskDefinition", self.definition())
        self.ecs.update_service(service=self.name, **request)

    def strategy(self, name: str, **configuration) -> dict:
        return {"deploymentConfiguration": {"strategy": name, "bakeTimeInMinutes": 0} | configuration}

    def deployment(self) -> dict:
        arn = self.ecs.list_service_deployments(service=self.name)["serviceDeployments"][0]["serviceDeploymentArn"]
        return self.ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"][0]

    def wait(self, what: str, until) -> dict:
        def look():
            found = self.deployment()
            return found if until(found) else None
        try:
            return wait_until(what, look)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.deployment()}\n{self.site.events(self.name)}") from None

    def at(self, stage: str) -> dict:
        return self.wait(f"stage {stage}", lambda d: d.get("lifecycleStage") == stage and d["status"] == "IN_PROGRESS")

    def finished(self, status: str) -> dict:
        final = {"SUCCESSFUL", "STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"}
        deployment = self.wait(f"status {status}", lambda d: d["status"] in final)
        assert deployment["status"] == status, f"{deployment}\n{self.site.events(self.name)}"
        return deployment

    def weights(self, rule: str = "") -> list[int]:
        """Of the two target groups."""
        rule = rule or self.production
        if ":listener/" in rule:
            actions = self.elb.describe_listeners(ListenerArns=[rule])["Listeners"][0]["DefaultActions"]
        else:
            actions = self.elb.describe_rules(RuleArns=[rule])["Rules"][0]["Actions"]
        weights = {group["TargetGroupArn"]: group["Weight"] for group in actions[0]["ForwardConfig"]["TargetGroups"]}
        return [weights.get(group, 0) for group in self.groups]

    def green_percent(self) -> float:
        first, second = self.weights()
        return 100 * second / (first + second)

    def get(self, port: int = 0) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=10)
        try:
            connection.request("GET", "/", headers={"Host": self.balancer["DNSName"]})
            answer = connection.getresponse()
            return answer.status, answer.read().decode().split()[0]
        finally:
            connection.close()

    def answers(self, port: int = 0, count: int = 40) -> set[tuple[int, str]]:
        return {self.get(port) for _ in range(count)}

    def revision(self, arn: str) -> dict:
        return self.ecs.describe_service_revisions(serviceRevisionArns=[arn])["serviceRevisions"][0]

    def used(self) -> str:
        """The target group of the running revision."""
        arn = self.site.describe(self.name)["currentServiceRevisions"][0]["arn"]
        [resolved] = self.revision(arn)["resolvedConfiguration"]["loadBalancers"]
        assert resolved["productionListenerRule"] == self.production
        return resolved["targetGroupArn"]

    def delete(self) -> None:
        self.ecs.delete_service(service=self.name, force=True)
        wait_until("it is gone", lambda: self.site.describe(self.name)["status"] == "INACTIVE")


@pytest.fixture(scope="module")
def pair(site):
    """For tests that leave it as they found it: one task, no deployment under way."""
    pair = Pair(site)
    pair.create()
    yield pair
    pair.delete()


def test_a_new_service_takes_the_first_target_group(pair):
    first = pair.deployment()
    assert first["sourceServiceRevisions"] == []
    assert first["targetServiceRevision"]["requestedProductionTrafficWeight"] == 100
    assert pair.used() == pair.groups[0]
    assert (pair.weights(), pair.weights(pair.test)) == ([100, 0], [100, 0])
    assert pair.answers() == {(200, "v1")}
    service = pair.site.describe(pair.name)
    assert [d["rolloutState"] for d in service["deployments"]] == ["COMPLETED"]
    assert service["deploymentConfiguration"]["strategy"] == "BLUE_GREEN"


def test_blue_green_moves_test_traffic_then_production_and_colours_alternate(pair, hooks, account):
    approve = pause("POST_TEST_TRAFFIC_SHIFT", "POST_PRODUCTION_TRAFFIC_SHIFT")
    used = pair.used()
    blue, green = pair.groups.index(used), 1 - pair.groups.index(used)
    before = pair.answers()
    whole = [0, 0]
    whole[blue] = 100
    turned = whole[::-1]

    pair.deploy(**pair.strategy("BLUE_GREEN", bakeTimeInMinutes=4, lifecycleHooks=[approve]))
    waiting = pair.at("POST_TEST_TRAFFIC_SHIFT")
    assert (pair.weights(), pair.weights(pair.test)) == (whole, turned)
    assert pair.answers() == before
    [(status, version)] = pair.answers(pair.test_port)
    assert status == 200 and (status, version) not in before
    assert len(pair.site.describe(pair.name)["deployments"]) == 2
    counts = [r["runningTaskCount"] for r in [waiting["targetServiceRevision"], *waiting["sourceServiceRevisions"]]]
    assert counts == [1, 1]
    [hook] = waiting["lifecycleHookDetails"]
    assert (hook["targetType"], hook["status"], hook["timeoutAction"]) == ("PAUSE", "AWAITING_ACTION", "ROLLBACK")
    pair.ecs.continue_service_deployment(serviceDeploymentArn=waiting["serviceDeploymentArn"], hookId=hook["hookId"])

    waiting = pair.at("POST_PRODUCTION_TRAFFIC_SHIFT")
    assert pair.weights() == turned
    assert pair.answers() == {(200, version)}
    assert waiting["lifecycleHookDetails"][0]["status"] == "SUCCEEDED"
    hook = waiting["lifecycleHookDetails"][-1]
    pair.ecs.continue_service_deployment(serviceDeploymentArn=waiting["serviceDeploymentArn"], hookId=hook["hookId"])
    pair.at("BAKE_TIME")
    assert len(pair.site.describe(pair.name)["deployments"]) == 2, "blue waits"
    done = pair.finished("SUCCESSFUL")
    assert done["lifecycleStage"] == "CLEAN_UP"
    assert pair.used() == pair.groups[green]
    pair.site.wait_stable(pair.name)

    # The other way round, without hooks.
    pair.deploy(**pair.strategy("BLUE_GREEN", lifecycleHooks=[]))
    pair.finished("SUCCESSFUL")
    assert pair.used() == used
    assert (pair.weights(), pair.weights(pair.test)) == (whole, whole)
    pair.site.wait_stable(pair.name)


@pytest.mark.parametrize("name, configuration, want", [
    ("LINEAR", {"linearConfiguration": {"stepPercent": 30.0, "stepBakeTimeInMinutes": 1}}, [30, 60, 90, 100]),
    ("CANARY", {"canaryConfiguration": {"canaryPercent": 2.5, "canaryBakeTimeInMinutes": 1}}, [2.5, 100]),
])
def test_traffic_moves_in_steps_with_hooks_at_each(pair, hooks, account, name, configuration, want):
    seen = []

    def look(_):
        first, second = pair.weights()
        seen.append(100 * (second if blue == 0 else first) / (first + second))
        return SUCCEEDED

    blue = pair.groups.index(pair.used())
    arn = pair.site.describe(pair.name)["serviceArn"]
    earlier = len(hooks.of(arn))
    hooks.answers["check"] = [look]
    stages = ["PRE_PRODUCTION_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT"]
    pair.deploy(**pair.strategy(name, **configuration, lifecycleHooks=[function(account, "check", *stages)]))
    done = pair.finished("SUCCESSFUL")
    calls = hooks.of(arn)[earlier:]
    assert [call["lifecycleStage"] for call in calls] == stages * len(want)
    assert seen[1::2] == pytest.approx(want), "after each shift"
    assert seen[0::2] == pytest.approx([0, *want[:-1]]), "before it"
    green = done["targetServiceRevision"]["arn"]
    told = [call["executionDetails"]["productionTrafficWeights"] for call in calls[1::2]]
    assert [weights[green] for weights in told] == want
    assert all(sum(weights.values()) == 100 for weights in told)
    assert len({call["executionId"] for call in calls}) == len(calls)
    pair.site.wait_stable(pair.name)
    # A deployment that is said to be of another strategy keeps nothing of this one.
    assert set(pair.deployment()["deploymentConfiguration"]) & {"linearConfiguration", "canaryConfiguration"} == set(
        configuration) & {"linearConfiguration", "canaryConfiguration"}


def test_a_function_may_take_its_time(pair, hooks, account):
    arn = pair.site.describe(pair.name)["serviceArn"]
    earlier = len(hooks.of(arn))
    hooks.answers["check"] = [
        {"hookStatus": "IN_PROGRESS", "callBackDelay": 4, "hookDetails": {"run": 7}},
        {"hookStatus": "IN_PROGRESS"},
        SUCCEEDED,
    ]
    hook = function(account, "check", "PRE_SCALE_UP", hookDetails={"suite": "smoke", "run": 0})
    pair.deploy(**pair.strategy("BLUE_GREEN", lifecycleHooks=[hook]))
    done = pair.finished("SUCCESSFUL")
    first, second, third = hooks.of(arn)[earlier:]
    assert first["executionId"] == second["executionId"] == third["executionId"]
    assert first["hookDetails"] == {"suite": "smoke", "run": 0}
    assert second["hookDetails"] == third["hookDetails"] == {"suite": "smoke", "run": 7}
    assert first["resourceArn"] == done["serviceDeploymentArn"]
    assert set(first["executionDetails"]["productionTrafficWeights"].values()) == {0, 100}
    [detail] = done["lifecycleHookDetails"]
    assert (detail["targetArn"], detail["status"]) == (hook["hookTargetArn"], "SUCCEEDED")
    pair.site.wait_stable(pair.name)


def went_back(pair, before, reason: str) -> dict:
    done = pair.finished("ROLLBACK_SUCCESSFUL")
    assert done["statusReason"].startswith(f"Service deployment rolled back because {reason}"), done["statusReason"]
    assert done["rollback"]["reason"] == done["statusReason"]
    assert done["rollback"]["serviceRevisionArn"] == done["sourceServiceRevisions"][0]["arn"]
    assert pair.answers() == before
    assert pair.site.wait_stable(pair.name)["deployments"][0]["rolloutState"] == "COMPLETED"
    assert f"(service {pair.name}) rolling back to deployment " in pair.site.events(pair.name)
    return done


@pytest.mark.parametrize("answer, reason", [
    ({"hookStatus": "FAILED"}, "POST_TEST_TRAFFIC_SHIFT lifecycle hook(s) failed."),
    ({"hookStatus": None}, "POST_TEST_TRAFFIC_SHIFT lifecycle hook(s) failed. ECS was unable to parse the response from "
     "arn:aws:lambda:us-east-1:{account}:function:check due to: HookStatus must not be null"),
])
def test_a_hook_that_does_not_like_green_brings_blue_back(pair, hooks, account, answer, reason):
    before, used = pair.answers(), pair.used()
    hooks.answers["check"] = [answer]
    pair.deploy(**pair.strategy("BLUE_GREEN", lifecycleHooks=[function(account, "check", "POST_TEST_TRAFFIC_SHIFT")]))
    went_back(pair, before, reason.format(account=account))
    assert pair.used() == used
    assert pair.weights(pair.test) == pair.weights(), "the test rule is back too"


def test_a_function_that_nobody_registered_fails_the_deployment(pair, account):
    before = pair.answers()
    pair.deploy(**pair.strategy("BLUE_GREEN", lifecycleHooks=[function(account, "nobody", "PRE_SCALE_UP")]))
    done = went_back(pair, before, "PRE_SCALE_UP lifecycle hook(s) failed.")
    assert "no function" in done["statusReason"]


@pytest.mark.parametrize("action", ["ROLLBACK", "CONTINUE"])
def test_a_pause_that_nobody_answers_ends_as_told(pair, action):
    before = pair.answers()
    hook = pause("PRE_PRODUCTION_TRAFFIC_SHIFT", timeoutConfiguration={"timeoutInMinutes": 1, "action": action})
    pair.deploy(**pair.strategy("BLUE_GREEN", lifecycleHooks=[hook]))
    if action == "ROLLBACK":
        done = went_back(pair, before, "PRE_PRODUCTION_TRAFFIC_SHIFT lifecycle hook(s) failed.")
    else:
        done = pair.finished("SUCCESSFUL")
        pair.site.wait_stable(pair.name)
    assert [hook["status"] for hook in done["lifecycleHookDetails"]] == ["TIMED_OUT"]


def test_a_pause_may_be_answered_with_a_way_back(pair):
    before = pair.answers()
    pair.deploy(**pair.strategy("BLUE_GREEN", lifecycleHooks=[pause("POST_SCALE_UP")]))
    waiting = pair.at("POST_SCALE_UP")
    [hook] = waiting["lifecycleHookDetails"]
    arn = waiting["serviceDeploymentArn"]
    for hook_id, text in [
        ("pause-1", "Invalid hookId: hookId must follow the format: ecs-{hookType}-{id}"),
        ("ecs-pause-1", "Provided hookId is either completed, unavailable, or not associated with the given Resource ARN"),
    ]:
        with pytest.raises(pair.ecs.exceptions.InvalidParameterException, match=None) as refused:
            pair.ecs.continue_service_deployment(serviceDeploymentArn=arn, hookId=hook_id)
        assert refused.value.response["Error"]["Message"] == text
    pair.ecs.continue_service_deployment(serviceDeploymentArn=arn, hookId=hook["hookId"], action="ROLLBACK")
    went_back(pair, before, "POST_SCALE_UP lifecycle hook(s) failed.")
    with pytest.raises(pair.ecs.exceptions.InvalidParameterException) as refused:
        pair.ecs.continue_service_deployment(serviceDeploymentArn=arn, hookId=hook["hookId"])
    assert "in terminal states" in refused.value.response["Error"]["Message"]
    with pytest.raises(pair.ecs.exceptions.ServiceDeploymentNotFoundException):
        pair.ecs.continue_service_deployment(serviceDeploymentArn=arn[:-1] + "~", hookId=hook["hookId"])


def test_a_stopped_deployment_goes_back_and_its_hooks_hear_of_it(pair, hooks, account):
    before = pair.answers()
    arn = pair.site.describe(pair.name)["serviceArn"]
    earlier = len(hooks.of(arn))
    hooks.answers["check"] = [SUCCEEDED]
    hook = function(account, "check", "TEST_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT")
    pair.deploy(**pair.strategy("CANARY", canaryConfiguration={"canaryPercent": 50.0, "canaryBakeTimeInMinutes": 600},
                                lifecycleHooks=[hook]))
    deployment = pair.wait("half of the traffic", lambda d: d["targetServiceRevision"].get("requestedProductionTrafficWeight") == 50)
    assert len(pair.answers(count=100)) == 2, "both versions answer"
    pair.ecs.stop_service_deployment(serviceDeploymentArn=deployment["serviceDeploymentArn"])
    done = went_back(pair, before, "it was stopped by the user.")
    green = done["targetServiceRevision"]["arn"]
    told = [(call["lifecycleStage"], call["executionDetails"]["testTrafficWeights"][green],
             call["executionDetails"]["productionTrafficWeights"][green]) for call in hooks.of(arn)[earlier:]]
    assert told == [
        ("TEST_TRAFFIC_SHIFT", 100, 0), ("PRODUCTION_TRAFFIC_SHIFT", 100, 50),
        ("PRODUCTION_TRAFFIC_SHIFT", 0, 0), ("TEST_TRAFFIC_SHIFT", 0, 0)]
    with pytest.raises(pair.ecs.exceptions.ConflictException):
        pair.ecs.stop_service_deployment(serviceDeploymentArn=deployment["serviceDeploymentArn"])


def test_a_green_that_crashes_trips_the_breaker(pair):
    before = pair.answers()
    pair.deploy(**pair.strategy("BLUE_GREEN", **BREAKER, lifecycleHooks=[]),
                taskDefinition=pair.definition(CRASH_AFTER_MS="1"))
    done = went_back(pair, before, "the circuit breaker threshold was exceeded.")
    assert done["deploymentCircuitBreaker"]["status"] == "TRIGGERED"


def test_weights_changed_by_hand_bring_blue_back(pair):
    before = pair.answers()
    pair.deploy(**pair.strategy("CANARY", canaryConfiguration={"canaryPercent": 10.0, "canaryBakeTimeInMinutes": 600}))
    pair.wait("the canary", lambda d: d["targetServiceRevision"].get("requestedProductionTrafficWeight") == 10)
    groups = [{"TargetGroupArn": group, "Weight": 1} for group in pair.groups]
    listener = pair.production.replace(":listener-rule/", ":listener/").rsplit("/", 1)[0]
    pair.elb.modify_listener(ListenerArn=listener, DefaultActions=[{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}])
    went_back(pair, before, "of invalid networking configuration.")
    assert sorted(pair.weights()) == [0, 100]


def test_a_rule_that_sends_elsewhere_is_left_alone(pair, site):
    listener = pair.production.replace(":listener-rule/", ":listener/").rsplit("/", 1)[0]
    before = pair.elb.describe_listeners(ListenerArns=[listener])["Listeners"][0]["DefaultActions"]
    other = site.target_group()
    groups = [{"TargetGroupArn": group, "Weight": weight} for group, weight in zip([*pair.groups, other], [*pair.weights(), 1])]
    pair.elb.modify_listener(ListenerArn=listener, DefaultActions=[{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}])
    pair.deploy()
    done = pair.finished("ROLLBACK_SUCCESSFUL")
    assert done["statusReason"].startswith("Service deployment rolled back because of invalid networking configuration.")
    assert f"an unexpected target group {other}" in done["statusReason"]
    now = pair.elb.describe_listeners(ListenerArns=[listener])["Listeners"][0]["DefaultActions"]
    assert [g["Weight"] for g in now[0]["ForwardConfig"]["TargetGroups"]] == [g["Weight"] for g in groups]
    before = [{"Type": "forward", "ForwardConfig": before[0]["ForwardConfig"]}]
    pair.elb.modify_listener(ListenerArn=listener, DefaultActions=before)
    site.wait_stable(pair.name)


def half_way(pair) -> list[int]:
    """Divides traffic; answers the weights before."""
    before = pair.weights()
    canary = {"canaryPercent": 50.0, "canaryBakeTimeInMinutes": 600}
    pair.deploy(**pair.strategy("CANARY", canaryConfiguration=canary))
    pair.wait("the canary", lambda d: d["targetServiceRevision"].get("requestedProductionTrafficWeight") == 50)
    return before


def test_a_deployment_with_other_rules_leaves_no_traffic_behind(site):
    pair, other = Pair(site), Pair(site)
    pair.create()
    before = half_way(pair)
    pair.deploy(**pair.strategy("BLUE_GREEN"), loadBalancers=other.balancers())
    assert pair.weights() == before
    pair.finished("SUCCESSFUL")
    assert other.answers() == {(200, "v3")}
    pair.delete()


def test_a_service_moves_to_another_load_balancer(site):
    pair, other = Pair(site), Pair(site)
    pair.create()
    canary = {"canaryPercent": 50.0, "canaryBakeTimeInMinutes": 600}
    moved = pair.strategy("CANARY", canaryConfiguration=canary, lifecycleHooks=[pause("POST_PRODUCTION_TRAFFIC_SHIFT")])
    pair.deploy(**moved, loadBalancers=other.balancers())
    waiting = pair.at("POST_PRODUCTION_TRAFFIC_SHIFT")
    assert (pair.answers(), other.answers()) == ({(200, "v1")}, {(200, "v2")}), "each serves by its own"
    [hook] = waiting["lifecycleHookDetails"]
    pair.ecs.continue_service_deployment(serviceDeploymentArn=waiting["serviceDeploymentArn"], hookId=hook["hookId"])
    pair.finished("SUCCESSFUL")
    assert other.answers() == {(200, "v2")}
    pair.delete()


def test_a_rule_of_somebody_elses_is_left_alone_though_a_deployment_is_unfinished(site):
    pair, other = Pair(site), Pair(site)
    pair.create()
    before = half_way(pair)

    def theirs():
        rules = pair.elb.describe_rules(RuleArns=[other.production, other.test])["Rules"]
        return [rule["Actions"] for rule in rules]

    untouched = theirs()
    mistyped = pair.balancers(productionListenerRule=other.production, testListenerRule=other.test)
    pair.deploy(**pair.strategy("BLUE_GREEN"), loadBalancers=mistyped)
    assert pair.weights() == before
    done = pair.finished("ROLLBACK_SUCCESSFUL")
    assert "of invalid networking configuration" in done["statusReason"]
    assert theirs() == untouched
    assert pair.answers() == {(200, "v1")}
    pair.delete()


def test_a_rolling_update_leaves_no_traffic_behind_though_the_test_rule_is_gone(site):
    pair = Pair(site)
    pair.create()
    before = half_way(pair)
    pair.elb.delete_listener(ListenerArn=pair.test.replace(":listener-rule/", ":listener/").rsplit("/", 1)[0])
    pair.deploy(deploymentConfiguration={"strategy": "ROLLING"})
    assert pair.weights() == before
    pair.finished("SUCCESSFUL")
    assert pair.answers() == {(200, "v3")}
    pair.delete()


def test_of_several_rules_those_that_are_left_go_back(site):
    pair, other = Pair(site), Pair(site)
    pair.name = unique("several")
    site.service(
        pair.definition(), 1, None, serviceName=pair.name, loadBalancers=pair.balancers() + other.balancers(),
        deploymentConfiguration={"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0})
    pair.finished("SUCCESSFUL")
    before = half_way(pair)
    pair.elb.delete_listener(ListenerArn=other.production.replace(":listener-rule/", ":listener/").rsplit("/", 1)[0])
    pair.finished("ROLLBACK_FAILED")
    assert pair.weights() == before
    assert pair.answers() == {(200, "v1")}
    pair.delete()


def test_the_next_deployment_undoes_an_unfinished_one(pair):
    before = pair.answers()
    canary = {"canaryPercent": 50.0, "canaryBakeTimeInMinutes": 600}
    pair.deploy(**pair.strategy("CANARY", canaryConfiguration=canary, lifecycleHooks=[]))
    first = pair.wait("the canary", lambda d: d["targetServiceRevision"].get("requestedProductionTrafficWeight") == 50)
    pair.deploy(**pair.strategy("BLUE_GREEN", lifecycleHooks=[pause("PRE_SCALE_UP")]))
    second = pair.at("PRE_SCALE_UP")
    assert second["serviceDeploymentArn"] != first["serviceDeploymentArn"]
    assert pair.answers() == before, "blue has all traffic again"
    old = pair.ecs.describe_service_deployments(serviceDeploymentArns=[first["serviceDeploymentArn"]])["serviceDeployments"][0]
    assert old["status"] == "STOPPED"
    [hook] = second["lifecycleHookDetails"]
    pair.ecs.continue_service_deployment(serviceDeploymentArn=second["serviceDeploymentArn"], hookId=hook["hookId"])
    pair.finished("SUCCESSFUL")
    pair.site.wait_stable(pair.name)
    assert len(pair.answers() - before) == 1


def test_both_revisions_scale_and_a_rolling_update_may_follow(pair):
    pair.deploy(**pair.strategy("BLUE_GREEN", lifecycleHooks=[pause("POST_SCALE_UP")]))
    waiting = pair.at("POST_SCALE_UP")
    pair.ecs.update_service(service=pair.name, desiredCount=2)
    both = pair.wait("both scale", lambda d: [
        r["runningTaskCount"] for r in [d["targetServiceRevision"], *d["sourceServiceRevisions"]]] == [2, 2])
    assert both["targetServiceRevision"]["requestedTaskCount"] == 2
    [hook] = waiting["lifecycleHookDetails"]
    pair.ecs.continue_service_deployment(serviceDeploymentArn=waiting["serviceDeploymentArn"], hookId=hook["hookId"])
    pair.finished("SUCCESSFUL")
    pair.site.wait_stable(pair.name)
    used, weights = pair.used(), pair.weights()

    pair.deploy(deploymentConfiguration={"strategy": "ROLLING"}, desiredCount=1)
    assert pair.finished("SUCCESSFUL").get("lifecycleStage") is None
    pair.site.wait_stable(pair.name)
    assert (pair.used(), pair.weights()) == (used, weights), "a rolling update stays in its target group"
    assert len(pair.answers()) == 1
    pair.deploy(**pair.strategy("BLUE_GREEN"))
    pair.finished("SUCCESSFUL")
    assert pair.used() != used
    pair.site.wait_stable(pair.name)


def test_without_load_balancer_it_goes_through_the_same_stages(site, hooks, account):
    pair = Pair.__new__(Pair)
    pair.site, pair.ecs, pair.name, pair.definitions = site, site.ecs, unique("headless"), itertools.count(1)
    hooks.answers["check"] = [SUCCEEDED]
    everywhere = ["PRE_SCALE_UP", "POST_SCALE_UP", "TEST_TRAFFIC_SHIFT", "POST_TEST_TRAFFIC_SHIFT",
                  "PRE_PRODUCTION_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT", "POST_PRODUCTION_TRAFFIC_SHIFT"]
    configuration = {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 1, "lifecycleHooks": [function(account, "check", *everywhere)]}
    site.service(pair.definition(), 1, None, serviceName=pair.name, deploymentConfiguration=configuration)
    pair.finished("SUCCESSFUL")
    arn = site.describe(pair.name)["serviceArn"]
    assert [call["lifecycleStage"] for call in hooks.of(arn)] == everywhere
    pair.deploy()
    done = pair.finished("SUCCESSFUL")
    assert [call["lifecycleStage"] for call in hooks.of(arn)] == everywhere * 2
    assert done["sourceServiceRevisions"] != []
    site.wait_stable(pair.name)
    pair.delete()


def test_a_first_deployment_that_fails_has_nothing_to_go_back_to(site):
    pair = Pair(site)
    pair.name = unique("first")
    site.service(pair.definition(CRASH_AFTER_MS="1"), 1, None, serviceName=pair.name, loadBalancers=pair.balancers(),
                 deploymentConfiguration={"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0} | BREAKER)
    done = pair.finished("ROLLBACK_FAILED")
    assert done["statusReason"] == "No rollback candidate was found to run the rollback."
    assert "No rollback candidate was found to run the rollback." in site.events(pair.name)
    # The next one is the first that comes up.
    pair.deploy()
    pair.finished("SUCCESSFUL")
    assert pair.answers() == {(200, "v2")}
    pair.delete()


def test_a_service_is_deleted_in_the_middle(site):
    pair = Pair(site)
    pair.create()
    pair.deploy(**pair.strategy("BLUE_GREEN", lifecycleHooks=[pause("POST_TEST_TRAFFIC_SHIFT")]))
    deployment = pair.at("POST_TEST_TRAFFIC_SHIFT")["serviceDeploymentArn"]
    pair.delete()
    ended = pair.ecs.describe_service_deployments(serviceDeploymentArns=[deployment])["serviceDeployments"][0]
    assert ended["status"] == "STOPPED"
    assert site.describe(pair.name)["deployments"] == []


def test_a_network_load_balancer_shifts_listeners(site):
    pair = Pair(site, network=True)
    pair.create(strategy="BLUE_GREEN")
    pair.deploy()
    pair.finished("SUCCESSFUL")
    assert (pair.weights(), pair.used()) == ([0, 100], pair.groups[1])
    assert pair.answers() == {(200, "v2")}
    pair.delete()


def refusals(pair: Pair, site: Web):
    """Name, what is wrong with CreateService, AWS's text."""
    ok = {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0}
    [plain] = [{k: v for k, v in b.items() if k != "advancedConfiguration"} for b in pair.balancers()]
    [both] = pair.balancers()
    only_rule = pair.balancers(testListenerRule=None)
    pair_of_network = [site.target_group(Protocol="TCP", HealthCheckProtocol="HTTP")]
    return [
        ("no pair", {"loadBalancers": [plain], "deploymentConfiguration": ok},
         "advancedConfiguration field is required for all loadBalancers when using a non-ROLLING deployment strategy"),
        ("one without", {"loadBalancers": [both, plain], "deploymentConfiguration": ok},
         "Either all or none of the provided loadBalancers must have advancedConfiguration defined"),
        ("twice the same group", {"loadBalancers": pair.balancers(alternateTargetGroupArn=pair.groups[0]), "deploymentConfiguration": ok},
         f"Duplicate targetGroupArn found: {pair.groups[0]}"),
        ("a listener for a rule", {
            "loadBalancers": pair.balancers(productionListenerRule=pair.production.replace("listener-rule", "listener").rsplit("/", 1)[0]),
            "deploymentConfiguration": ok},
         "Invalid ARN format for productionListenerRule. It must be a listener rule ARN for an Application Load Balancer."),
        ("the same rule", {"loadBalancers": pair.balancers(testListenerRule=pair.production), "deploymentConfiguration": ok},
         "productionListenerRule and testListenerRule must be different."),
        ("two kinds", {"loadBalancers": pair.balancers(alternateTargetGroupArn=pair_of_network[0]), "deploymentConfiguration": ok},
         "must be of the same load balancer type."),
        ("a rule with one group", {"loadBalancers": only_rule, "deploymentConfiguration": ok},
         "For Application LoadBalancer, testListenerRule is required when productionListenerRule is not associated with both "
         "targetGroup and alternateTargetGroup"),
        ("no bake time", {"loadBalancers": pair.balancers(), "deploymentConfiguration": {"strategy": "BLUE_GREEN"}},
         "bakeTimeInMinutes is required when using the BLUE_GREEN deployment strategy"),
        ("a step too small", {"loadBalancers": pair.balancers(), "deploymentConfiguration": {
            "strategy": "LINEAR", "linearConfiguration": {"stepPercent": 2.0}}},
         "stepPercent must be between 3.0 and 100.0"),
        ("a pause while traffic moves", {"loadBalancers": pair.balancers(), "deploymentConfiguration": ok | {
            "lifecycleHooks": [pause("PRODUCTION_TRAFFIC_SHIFT")]}},
         "Invalid lifecycle stage provided for Pause Hook"),
        ("hooks of a rolling update", {"deploymentConfiguration": {"lifecycleHooks": [pause("PRE_SCALE_UP")]}},
         "lifecycleHooks are not supported for the ROLLING deployment strategy"),
        ("another controller", {"loadBalancers": [plain], "deploymentController": {"type": "CODE_DEPLOY"}, "deploymentConfiguration": ok},
         "The BLUE_GREEN deployment strategy is only supported for the ECS deployment controller"),
    ]


def test_wrong_configurations_are_refused_in_awss_words(site):
    pair = Pair(site)
    rule = pair.elb.modify_listener(
        ListenerArn=pair.production.replace(":listener-rule/", ":listener/").rsplit("/", 1)[0],
        DefaultActions=[{"Type": "forward", "TargetGroupArn": pair.groups[0]}])
    assert rule["Listeners"]
    definition = pair.definition()
    for name, request, text in refusals(pair, site):
        with pytest.raises(site.ecs.exceptions.InvalidParameterException) as refused:
            site.service(definition, 1, None, **request)
        assert text in refused.value.response["Error"]["Message"], f"{name}: {refused.value}"


def test_a_rolling_update_takes_over_from_a_divided_service(site):
    pair = Pair(site)
    pair.create(strategy="CANARY", canaryConfiguration={"canaryPercent": 50.0, "canaryBakeTimeInMinutes": 600})
    used = pair.used()
    pair.deploy()
    first = pair.wait("half of the traffic", lambda d: d["targetServiceRevision"].get("requestedProductionTrafficWeight") == 50)
    pair.deploy(deploymentConfiguration={"strategy": "ROLLING"})
    assert pair.weights() == [100, 0], "in the same moment"
    pair.finished("SUCCESSFUL")
    stopped = pair.ecs.describe_service_deployments(serviceDeploymentArns=[first["serviceDeploymentArn"]])["serviceDeployments"][0]
    assert stopped["status"] == "STOPPED"
    assert (pair.used(), pair.answers()) == (used, {(200, "v3")})
    pair.delete()


def test_a_killed_server_goes_on_where_it_was(world, hooks, tmp_path):
    options = (*SCALE, "--create-repositories-on-push", "--functions", hooks.file)
    server = Server(tmp_path / "data", *options)
    web.push_image(server, tmp_path)
    account = fresh_account()
    site = Web(server, account)
    pair = Pair(site)
    pair.create()
    asked, answered = threading.Event(), threading.Event()

    def hold(_):
        asked.set()
        answered.wait(60)
        return SUCCEEDED

    hooks.answers["approve"] = [hold, SUCCEEDED]
    arn = site.describe(pair.name)["serviceArn"]
    pair.deploy(**pair.strategy("BLUE_GREEN", lifecycleHooks=[function(account, "approve", "POST_PRODUCTION_TRAFFIC_SHIFT")]))
    assert asked.wait(60)
    server.process.kill()
    server.process.wait()
    running.remove(server)
    assert pair.answers() == {(200, "v2")}, "traffic needs no server"
    answered.set()

    again = Server(tmp_path / "data", *options)
    site.server = again
    site.ecs, site.elb, site.ec2 = (again.client(name, account) for name in ("ecs", "elbv2", "ec2"))
    pair.ecs, pair.elb = site.ecs, site.elb
    done = pair.finished("SUCCESSFUL")
    assert [hook["status"] for hook in done["lifecycleHookDetails"]] == ["SUCCEEDED"]
    first, second = hooks.of(arn)
    assert first == second, "the same call, with the same id"
    assert again.stop() == 0
