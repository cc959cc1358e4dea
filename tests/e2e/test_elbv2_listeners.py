"""Listeners: settings, certificates, attributes, and default actions in both of their forms."""

import re

import pytest

from harness import certificates
from harness.elb import OK, TO_HTTPS, Balancing, forward, ids, refused, weighted


@pytest.fixture(scope="module")
def b(api_server):
    return Balancing(api_server)


@pytest.fixture
def balancer(b):
    return b.balancer()["LoadBalancerArn"]


@pytest.fixture(scope="module")
def certificate(api_server, b, tmp_path_factory):
    """Imports a certificate and answers its ARN."""
    acm, directory = api_server.client("acm", b.account), tmp_path_factory.mktemp("certificates")

    def make(name: str) -> str:
        chain, key = certificates.self_signed(directory, name)
        return acm.import_certificate(Certificate=chain, PrivateKey=key)["CertificateArn"]
    return make


def test_a_listener(b, balancer):
    group = b.group_arn()
    listener = b.listener(balancer, forward(group))
    tail = balancer.split("loadbalancer/")[1]
    assert re.fullmatch(rf"arn:aws:elasticloadbalancing:us-east-1:{b.account}:listener/{tail}/[0-9a-f]{{16}}", listener["ListenerArn"])
    assert (listener["LoadBalancerArn"], listener["Port"], listener["Protocol"]) == (balancer, 80, "HTTP")
    assert listener["DefaultActions"] == [{
        "Type": "forward", "TargetGroupArn": group,
        "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": group, "Weight": 1}], "TargetGroupStickinessConfig": {"Enabled": False}}}]
    assert not {"Certificates", "SslPolicy", "AlpnPolicy"} & set(listener)
    assert b.elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"] == [listener]
    assert b.listener(balancer, forward(group)) == listener, "the same call again"
    refused("DuplicateListener", "A listener with the specified port already exists.", b.listener, balancer=balancer, action=OK)


def test_actions_are_echoed_as_they_were_given(b, balancer):
    blue, green = b.group_arn(), b.group_arn()
    arn = b.listener(balancer, OK)["ListenerArn"]

    def echoed(*actions):
        b.elb.modify_listener(ListenerArn=arn, DefaultActions=list(actions))
        listener, = b.elb.describe_listeners(ListenerArns=[arn])["Listeners"]
        rule, = b.elb.describe_rules(ListenerArn=arn)["Rules"]
        assert rule["Actions"] == listener["DefaultActions"], "the default rule is the listener's default action"
        return listener["DefaultActions"][0]

    assert echoed(OK) == OK
    assert echoed(OK | {"Order": 7}) == OK | {"Order": 7}
    assert echoed(TO_HTTPS)["RedirectConfig"] == {
        "Protocol": "HTTPS", "Port": "443", "Host": "#{host}", "Path": "/#{path}", "Query": "#{query}", "StatusCode": "HTTP_301"}
    both = echoed(weighted((blue, 90), (green, 10), sticky=60))
    assert "TargetGroupArn" not in both and both["ForwardConfig"] == {
        "TargetGroups": [{"TargetGroupArn": blue, "Weight": 90}, {"TargetGroupArn": green, "Weight": 10}],
        "TargetGroupStickinessConfig": {"Enabled": True, "DurationSeconds": 60}}
    assert echoed(weighted((blue, 5)))["TargetGroupArn"] == blue
    assert echoed(forward(green) | weighted((green, 5)))["ForwardConfig"]["TargetGroups"] == [{"TargetGroupArn": green, "Weight": 5}]


def test_actions_that_are_refused(b, balancer):
    group, other = b.group_arn(), b.group_arn()
    fixed = OK["FixedResponseConfig"]
    redirect = TO_HTTPS["RedirectConfig"]
    for actions, code, text in [
        ([], "ValidationError", ""),
        ([OK, OK], "InvalidLoadBalancerAction", "Action types 'fixed-response,fixed-response' cannot be specified together"),
        ([{"Type": "forward"}], "ValidationError", "target group"),
        ([forward(b.arn("targetgroup/none/0123456789abcdef"))], "TargetGroupNotFound", "Target group 'arn"),
        ([forward("rubbish")], "ValidationError", "'rubbish' is not a valid target group ARN"),
        ([forward(group) | weighted((other, 1))], "InvalidLoadBalancerAction", "match"),
        ([weighted((group, 1000))], "ValidationError", "The weight for the target group must be between 1 and 999, inclusive"),
        ([weighted((group, 1000), (other, 1))], "ValidationError", "The weight for each target group must be between 0 and 999, inclusive"),
        ([weighted((group, 1), (group, 2))], "InvalidLoadBalancerAction", "multiple times"),
        ([weighted(*((b.group_arn(), 1) for _ in range(6)))], "InvalidLoadBalancerAction", "You cannot specify more than 5 target groups per action"),
        ([weighted((group, 1), (other, 1), sticky=604801)], "ValidationError", "Target group stickiness duration must be between 1 and 604800 seconds"),
        ([OK | {"TargetGroupArn": group}], "InvalidLoadBalancerAction", "target group"),
        ([OK | {"FixedResponseConfig": fixed | {"ContentType": "image/png"}}], "InvalidLoadBalancerAction", "The ContentType must be one of:'text/html'"),
        ([OK | {"FixedResponseConfig": fixed | {"StatusCode": "302"}}], "ValidationError", ""),
        ([OK | {"FixedResponseConfig": fixed | {"MessageBody": "x" * 1025}}], "ValidationError", ""),
        ([TO_HTTPS | {"RedirectConfig": {"StatusCode": "HTTP_301"}}], "InvalidLoadBalancerAction", "creates a loop"),
        ([TO_HTTPS | {"RedirectConfig": redirect | {"Port": "x"}}], "InvalidLoadBalancerAction", "The Port parameter must be either an integer between 1 and 65535 or '#{port}'."),
        ([TO_HTTPS | {"RedirectConfig": redirect | {"Path": "x"}}], "InvalidLoadBalancerAction", "The Path parameter must be a valid path"),
        ([{"Type": "authenticate-cognito", "AuthenticateCognitoConfig": {"UserPoolArn": "a", "UserPoolClientId": "b", "UserPoolDomain": "c"}}, OK],
         "InvalidLoadBalancerAction", "not built in Neargate"),
        ([{"Type": "jwt-validation", "JwtValidationConfig": {"JwksEndpoint": "a", "Issuer": "b"}}, OK], "InvalidLoadBalancerAction", "not built in Neargate"),
    ]:
        refused(code, text, b.elb.create_listener, LoadBalancerArn=balancer, Protocol="HTTP", Port=99, DefaultActions=actions)
    assert b.elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"] == []


def test_protocols(b, balancer):
    network = b.network()["LoadBalancerArn"]
    for lb, protocol, group, code, text in [
        (balancer, "TCP", {}, "ValidationError", "Listener protocol 'TCP' must be one of 'HTTP, HTTPS'"),
        (network, "HTTP", {}, "ValidationError", "Listener protocol 'HTTP' must be one of 'TCP, QUIC, TCP_QUIC, UDP, TCP_UDP, TLS'"),
        (network, "TCP", {}, "IncompatibleProtocols", "The listener and the following target groups have incompatible protocols: arn:"),
        (balancer, "HTTP", {"Protocol": "TCP"}, "IncompatibleProtocols", ""),
        (balancer, "HTTP", {"ProtocolVersion": "GRPC"}, "IncompatibleProtocols", "GRPC"),
        (network, "UDP", {"Protocol": "TCP"}, "IncompatibleProtocols", ""),
    ]:
        refused(code, text, b.listener, balancer=lb, action=forward(b.group_arn(**group)), Protocol=protocol, Port=99)
    refused("InvalidLoadBalancerAction", "The action type 'fixed-response' is not valid with network load balancer", b.listener, balancer=network, action=OK, Protocol="TCP")
    refused("ValidationError", "A listener port must be specified", b.elb.create_listener, LoadBalancerArn=balancer, Protocol="HTTP", DefaultActions=[OK])
    refused("ValidationError", "A listener protocol must be specified", b.elb.create_listener, LoadBalancerArn=balancer, Port=1, DefaultActions=[OK])
    listener = b.listener(network, forward(b.group_arn(Protocol="TCP_UDP")), Protocol="TCP_UDP", Port=53)
    assert listener["Protocol"] == "TCP_UDP"
    vpc, _ = b.other_vpc()
    refused("InvalidConfigurationRequest", f"The following target groups are in a different VPC than load balancer '{balancer}'", b.listener, balancer=balancer, action=forward(b.group_arn(VpcId=vpc)))


def test_https(b, balancer, certificate):
    first, second = certificate("a.example.com"), certificate("b.example.com")
    group = b.group_arn(ProtocolVersion="GRPC")
    for fields, code, text in [
        ({}, "ValidationError", "A certificate must be specified for HTTPS listeners"),
        ({"Certificates": [{"CertificateArn": first}, {"CertificateArn": second}]}, "ValidationError", "Up to '1' certificate ARNs can be specified, but '2' were specified"),
        ({"Certificates": [{"CertificateArn": "arn:aws:acm:us-east-1:000000000000:certificate/none"}]}, "CertificateNotFound", "not found"),
        ({"Certificates": [{"CertificateArn": first}], "SslPolicy": "none"}, "SSLPolicyNotFound", "none"),
        ({"Certificates": [{"CertificateArn": first}], "MutualAuthentication": {"Mode": "passthrough"}}, "InvalidConfigurationRequest", "not built in Neargate"),
        ({"Certificates": [{"CertificateArn": first}], "AlpnPolicy": ["HTTP2Only"]}, "InvalidConfigurationRequest", "You cannot set ALPN policy on load balancers of type 'application'"),
    ]:
        refused(code, text, b.listener, balancer=balancer, action=OK, Protocol="HTTPS", Port=443, **fields)
    refused("ValidationError", "A certificate cannot be specified for HTTP listeners", b.listener, balancer=balancer, action=OK, Certificates=[{"CertificateArn": first}])
    policy = "ELBSecurityPolicy-TLS13-1-2-2021-06"
    refused("ValidationError", "An SSL policy cannot be specifed for HTTP listeners", b.listener, balancer=balancer, action=OK, SslPolicy=policy)
    tcp = forward(b.group_arn(Protocol="TCP"))
    refused("ValidationError", "An SSL policy cannot be specifed for TCP listeners", b.listener, balancer=b.network()["LoadBalancerArn"],
            action=tcp, Protocol="TCP", Port=1, SslPolicy=policy)
    listener = b.listener(balancer, forward(group), Protocol="HTTPS", Port=443, Certificates=[{"CertificateArn": first}])
    arn = listener["ListenerArn"]
    assert listener["Certificates"] == [{"CertificateArn": first}] and listener["SslPolicy"] == "ELBSecurityPolicy-2016-08"
    assert listener["MutualAuthentication"] == {"Mode": "off"}

    def shown():
        return [(c["CertificateArn"], c["IsDefault"]) for c in b.elb.describe_listener_certificates(ListenerArn=arn)["Certificates"]]
    assert shown() == [(first, True)]
    added = b.elb.add_listener_certificates(ListenerArn=arn, Certificates=[{"CertificateArn": second}, {"CertificateArn": first}])
    assert [(c["CertificateArn"], c["IsDefault"]) for c in added["Certificates"]] == [(second, False), (first, False)]
    assert sorted(shown()) == sorted([(first, True), (first, False), (second, False)]), "the default one twice, once it was added"
    b.elb.remove_listener_certificates(ListenerArn=arn, Certificates=[{"CertificateArn": first}])
    assert sorted(shown()) == sorted([(first, True), (second, False)])
    refused("OperationNotPermitted", "Default certificate cannot be removed",
            b.elb.remove_listener_certificates, ListenerArn=arn, Certificates=[{"CertificateArn": first}])
    changed, = b.elb.modify_listener(ListenerArn=arn, SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06")["Listeners"]
    assert changed["SslPolicy"] == "ELBSecurityPolicy-TLS13-1-2-2021-06" and changed["Certificates"] == [{"CertificateArn": first}]
    refused("IncompatibleProtocols", "GRPC", b.elb.modify_listener, ListenerArn=arn, Protocol="HTTP")
    refused("InvalidLoadBalancerAction", "You cannot redirect HTTPS to HTTP.", b.elb.modify_listener, ListenerArn=arn,
            DefaultActions=[TO_HTTPS | {"RedirectConfig": {"Protocol": "HTTP", "StatusCode": "HTTP_301"}}])
    plain, = b.elb.modify_listener(ListenerArn=arn, Protocol="HTTP", Port=8080, DefaultActions=[OK])["Listeners"]
    assert not {"Certificates", "SslPolicy", "MutualAuthentication"} & set(plain) and plain["Port"] == 8080
    assert shown() == []


def test_the_quota_of_certificates(b, balancer, certificate):
    arns = [certificate(f"c{n}.example.com") for n in range(27)]
    first, second = (b.listener(balancer, OK, Protocol="HTTPS", Port=port, Certificates=[{"CertificateArn": arns[0]}])["ListenerArn"]
                     for port in (443, 8443))
    for listener, added in ((first, arns[:11]), (second, arns[11:26])):
        b.elb.add_listener_certificates(ListenerArn=listener, Certificates=[{"CertificateArn": arn} for arn in added])
    for listener in (first, second):
        refused("TooManyCertificates", f"per load balancer '25' has been reached on load balancer '{balancer}'",
                b.elb.add_listener_certificates, ListenerArn=listener, Certificates=[{"CertificateArn": arns[26]}])


def test_tls_on_a_network_load_balancer(b, certificate):
    network = b.network()["LoadBalancerArn"]
    listener = b.listener(network, forward(b.group_arn(Protocol="TCP")), Protocol="TLS", Port=443,
                          Certificates=[{"CertificateArn": certificate("n.example.com")}], AlpnPolicy=["HTTP2Preferred"])
    assert listener["AlpnPolicy"] == ["HTTP2Preferred"] and "MutualAuthentication" not in listener
    refused("ALPNPolicyNotFound", "", b.elb.modify_listener, ListenerArn=listener["ListenerArn"], AlpnPolicy=["HTTP3"])


def test_modifying_the_port(b, balancer):
    first, second = b.listener(balancer, OK)["ListenerArn"], b.listener(balancer, OK, Port=81)["ListenerArn"]
    refused("DuplicateListener", "A listener with the specified port already exists.", b.elb.modify_listener, ListenerArn=second, Port=80)
    assert b.elb.modify_listener(ListenerArn=second, Port=82)["Listeners"][0]["Port"] == 82
    assert b.elb.modify_listener(ListenerArn=first, Port=80)["Listeners"][0]["DefaultActions"] == [OK]


def test_describing(b, balancer):
    arns = [b.listener(balancer, OK, Port=port)["ListenerArn"] for port in (80, 81, 82)]
    pages = list(b.elb.get_paginator("describe_listeners").paginate(LoadBalancerArn=balancer, PaginationConfig={"PageSize": 2}))
    assert [ids(page["Listeners"], "ListenerArn") for page in pages] == [arns[:2], arns[2:]]
    refused("ValidationError", "You must specify either listener ARNs or a load balancer ARN", b.elb.describe_listeners)
    unknown = b.arn("listener/app/none/0123456789abcdef/0123456789abcdef")
    refused("ListenerNotFound", "One or more listeners not found", b.elb.describe_listeners, ListenerArns=[arns[0], unknown])
    for call in (b.elb.delete_listener, b.elb.describe_listener_attributes, b.elb.describe_rules, b.elb.describe_listener_certificates):
        refused("ListenerNotFound", "", call, ListenerArn=unknown)
    b.elb.delete_listener(ListenerArn=arns[0])
    refused("ListenerNotFound", "", b.elb.delete_listener, ListenerArn=arns[0])


def test_attributes(b, balancer):
    arn = b.listener(balancer, OK)["ListenerArn"]
    def attributes(of=arn):
        return {a["Key"]: a["Value"] for a in b.elb.describe_listener_attributes(ListenerArn=of)["Attributes"]}
    before = attributes()
    assert before["routing.http.response.server.enabled"] == "true"
    assert before["routing.http.response.strict_transport_security.header_value"] == ""
    hsts = {"Key": "routing.http.response.strict_transport_security.header_value", "Value": "max-age=1"}
    b.elb.modify_listener_attributes(ListenerArn=arn, Attributes=[hsts])
    assert attributes() == before | {hsts["Key"]: "max-age=1"}
    for key, value, code, text in [
        ("routing.http.response.x_content_type_options.header_value", "sniff", "ValidationError",
         "The value of 'routing.http.response.x_content_type_options.header_value' must be from the following: [nosniff], but was 'sniff'"),
        ("routing.http.response.content_security_policy.header_value", "a\r\nb: c", "ValidationError", "contains invalid characters"),
        ("tcp.idle_timeout.seconds", "60", "InvalidConfigurationRequest", "The provided listener attribute is not supported"),
        ("no.such.key", "1", "ValidationError", "Listener attribute key 'no.such.key' is not recognized"),
    ]:
        refused(code, text, b.elb.modify_listener_attributes, ListenerArn=arn, Attributes=[{"Key": key, "Value": value}])
    network = b.listener(b.network()["LoadBalancerArn"], forward(b.group_arn(Protocol="TCP")), Protocol="TCP")["ListenerArn"]
    assert attributes(network) == {"tcp.idle_timeout.seconds": "350"}
    refused("ValidationError", "60-6000", b.elb.modify_listener_attributes, ListenerArn=network, Attributes=[
        {"Key": "tcp.idle_timeout.seconds", "Value": "59"}])


def test_the_quota_of_listeners(b, balancer):
    for port in range(1, 51):
        b.listener(balancer, OK, Port=port)
    refused("TooManyListeners", "[50]", b.listener, balancer=balancer, action=OK, Port=51)
