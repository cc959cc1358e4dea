//! One table per reason: what is changed in a definition that Fargate takes, and what the caller is told.

use neargate_aws_wire::json::from_json;
use serde_json::{Value, json};

use super::*;

const ROLE: &str = "arn:aws:iam::000000000000:role/x";
const CONTAINER: &str = "/containerDefinitions/0";

/// A definition that Fargate takes.
fn base() -> Value {
    json!({
        "family": "web",
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        "executionRoleArn": ROLE,
        "volumes": [{ "name": "v" }],
        "containerDefinitions": [
            { "name": "c", "image": "i", "portMappings": [{ "containerPort": 80 }] },
            { "name": "d", "image": "i", "essential": false }
        ]
    })
}

fn verdict(change: impl FnOnce(&mut Value)) -> Verdict {
    let mut request = base();
    change(&mut request);
    let text = serde_json::to_vec(&request).expect("JSON");
    let request: RegisterTaskDefinitionRequest = from_json(&text).expect("a request of the model");
    check(&request)
}

/// Sets one member, a JSON pointer below the request.
fn set(request: &mut Value, pointer: &str, value: Value) {
    let (parent, member) = pointer.rsplit_once('/').expect("a pointer");
    let parent = request.pointer_mut(parent).expect("the parent is there");
    match parent {
        Value::Array(items) => items[member.parse::<usize>().expect("an index")] = value,
        parent => parent[member] = value,
    }
}

/// Members of the request and what is said of their values; an empty text: nothing.
fn check_table(parent: &str, table: &[(&str, Value, &str)]) {
    for (member, value, want) in table {
        let pointer = format!("{parent}/{member}");
        let got = verdict(|request| set(request, &pointer, value.clone()));
        let got = got.err().unwrap_or_default();
        assert_eq!(got, *want, "{pointer} = {value}");
    }
}

#[test]
fn a_correct_definition_passes() {
    assert_eq!(verdict(|_| {}), Ok(()));
}

#[test]
fn image_names() {
    const CHARACTERS: &str = "Container.image contains invalid characters.";
    let digest = format!("app@sha256:{}", "a".repeat(64));
    check_table(
        CONTAINER,
        &[
            ("image", json!("nginx"), ""),
            ("image", json!("Team/App_1:v1.0-rc#2"), ""),
            ("image", json!("localhost:5000/team/app:1"), ""),
            ("image", json!(digest), ""),
            ("image", json!("a".repeat(255)), ""),
            (
                "image",
                json!("a".repeat(256)),
                "Container.image should be 255 characters or less.",
            ),
            (
                "image",
                json!(""),
                "Container.image should not be null or empty.",
            ),
            ("image", json!("<IMAGE1_NAME>"), CHARACTERS),
            ("image", json!("$REG/app:$TAG"), CHARACTERS),
            ("image", json!("${REG}/app"), CHARACTERS),
            ("image", json!("{{image}}"), CHARACTERS),
            ("image", json!("app:1 "), CHARACTERS),
            ("image", json!("app:\n1"), CHARACTERS),
            ("image", json!("https://x/app?tag=1"), CHARACTERS),
            ("image", json!("äpp"), CHARACTERS),
        ],
    );
}

#[test]
fn roles_are_role_arns() {
    const NONE: &str = "Role is not valid";
    for member in ["executionRoleArn", "taskRoleArn"] {
        check_table(
            "",
            &[
                (member, json!(ROLE), ""),
                (member, json!("arn:aws:iam::000000000000:role/path/x"), ""),
                (member, json!("arn:aws-cn:iam::000000000000:role/x"), ""),
                (member, json!("arn:aws:iam::000000000000:role/no-such"), ""),
                (member, json!("REPLACE_ME_ECS_ROLE_ARN"), NONE),
                (member, json!("arn:aws:iam::000000000000:user/x"), NONE),
                (member, json!("arn:aws:iam::000000000000:role/"), NONE),
                (member, json!("arn:aws:iam::ACCOUNT:role/x"), NONE),
                (member, json!("arn:aws:iam::<account>:role/x"), NONE),
                (member, json!("arn:aws:iam::000000000000:role/a b"), NONE),
                (member, json!("arn:aws:s3:::bucket"), NONE),
            ],
        );
    }
}

#[test]
fn what_needs_an_execution_role() {
    const ECR: &str = "000000000000.dkr.ecr.us-east-1.amazonaws.com/r:1";
    const SECRETS: &str = "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'.";
    let awslogs =
        json!({ "awslogs-group": "g", "awslogs-region": "r", "awslogs-stream-prefix": "p" });
    let secret = json!([{ "name": "splunk-token", "valueFrom": "s" }]);
    let splunk =
        json!({ "logDriver": "splunk", "options": { "splunk-url": "u" }, "secretOptions": secret });
    for (member, value, want) in [
        (
            "image",
            json!(ECR),
            "Fargate requires task definition to have execution role ARN to support ECR images.",
        ),
        (
            "secrets",
            json!([{ "name": "S", "valueFrom": "s" }]),
            SECRETS,
        ),
        ("logConfiguration", splunk, SECRETS),
        (
            "repositoryCredentials",
            json!({ "credentialsParameter": "arn:aws:secretsmanager:us-east-1:000000000000:secret:x" }),
            "Private repository authentication requires that the task definition specify a value for executionRoleArn.",
        ),
        (
            "logConfiguration",
            json!({ "logDriver": "awslogs", "options": awslogs }),
            "Fargate requires task definition to have execution role ARN to support log driver awslogs.",
        ),
    ] {
        let pointer = format!("{CONTAINER}/{member}");
        let with = verdict(|request| set(request, &pointer, value.clone()));
        assert_eq!(with, Ok(()), "{member} with a role");
        for role in [Value::Null, json!("")] {
            let without = verdict(|request| {
                set(request, &pointer, value.clone());
                match role.is_null() {
                    true => {
                        request
                            .as_object_mut()
                            .expect("an object")
                            .remove("executionRoleArn");
                    }
                    false => request["executionRoleArn"] = role.clone(),
                }
            });
            assert_eq!(without.err().as_deref(), Some(want), "{member} {role}");
        }
    }
}

#[test]
fn names() {
    check_table(
        "",
        &[
            (
                "family",
                json!("a b"),
                "Family contains invalid characters.",
            ),
            ("family", json!("a_b-1"), ""),
        ],
    );
    check_table(
        CONTAINER,
        &[
            (
                "name",
                json!("d"),
                "Container names must be unique within a task definition",
            ),
            (
                "name",
                json!("a b"),
                "Container.name contains invalid characters.",
            ),
            (
                "name",
                json!("<name>"),
                "Container.name contains invalid characters.",
            ),
            (
                "name",
                json!("a".repeat(256)),
                "Container.name contains invalid characters.",
            ),
            (
                "name",
                json!(""),
                "Container.name should not be null or empty.",
            ),
        ],
    );
}

#[test]
fn the_environment() {
    const BLANK: &str = "Environment variable name cannot be null or blank.";
    const SYNTAX: &str = "Invalid arn syntax.";
    let file = |value: &str| json!({ "type": "s3", "value": value });
    let variable = |name: &str| json!([{ "name": name, "value": "1" }]);
    check_table(
        CONTAINER,
        &[
            ("environment", variable("A"), ""),
            ("environment", variable("a.b c"), ""),
            ("environment", variable(""), BLANK),
            ("environment", variable(" "), BLANK),
            ("environment", json!([{ "value": "1" }]), BLANK),
            (
                "environment",
                variable("A=B"),
                "The environment variable 'A=B' is not valid: its name must not contain '=', and neither name nor value a null character.",
            ),
            (
                "secrets",
                json!([{ "name": "A", "valueFrom": "a" }, { "name": "A", "valueFrom": "b" }]),
                "Duplicate secret names found: A. Each secret name must be unique.",
            ),
            (
                "secrets",
                json!([{ "name": "", "valueFrom": "a" }]),
                "Secret name cannot be null or blank.",
            ),
            (
                "environmentFiles",
                json!([file("arn:aws:s3:::b/x.env")]),
                "",
            ),
            ("environmentFiles", json!([file("b/x.env")]), SYNTAX),
            (
                "environmentFiles",
                json!(vec![file("arn:aws:s3:::b/x.env"); 11]),
                "The maximum number of environment files was exceeded. Specify ten or less and try again.",
            ),
        ],
    );
    let shared = verdict(|request| {
        set(request, &format!("{CONTAINER}/environment"), variable("X"));
        let secret = json!([{ "name": "X", "valueFrom": "s" }]);
        set(request, &format!("{CONTAINER}/secrets"), secret);
    });
    assert_eq!(
        shared.err().as_deref(),
        Some(
            "The secret name must be unique and not shared with any new or existing environment variables set on the container, such as 'X'."
        )
    );
}

#[test]
fn logging() {
    let awslogs = |more: Value| {
        let mut options =
            json!({ "awslogs-group": "g", "awslogs-region": "r", "awslogs-stream-prefix": "p" });
        for (name, value) in more.as_object().expect("an object") {
            match value.is_null() {
                true => drop(options.as_object_mut().expect("an object").remove(name)),
                false => options[name] = value.clone(),
            }
        }
        json!({ "logDriver": "awslogs", "options": options })
    };
    let table = [
        (awslogs(json!({})), ""),
        (
            awslogs(json!({
                "mode": "non-blocking", "max-buffer-size": "25m", "awslogs-create-group": "true",
                "awslogs-datetime-format": "%Y", "awslogs-multiline-pattern": "^x"
            })),
            "",
        ),
        (
            awslogs(json!({ "log_key": "log" })),
            "Log driver awslogs disallows options: log_key",
        ),
        (
            awslogs(json!({ "awslogs-stream-prefx": "p", "tag": "t" })),
            "Log driver awslogs disallows options: awslogs-stream-prefx, tag",
        ),
        (
            awslogs(json!({ "awslogs-group": null })),
            "Log driver awslogs requires options: awslogs-group",
        ),
        (
            awslogs(json!({ "awslogs-group": "", "awslogs-region": null })),
            "Log driver awslogs requires options: awslogs-group, awslogs-region",
        ),
        (
            awslogs(json!({ "awslogs-stream-prefix": null })),
            "Fargate requires log configuration options to include awslogs-stream-prefix to support log driver awslogs.",
        ),
        (
            awslogs(json!({ "mode": "lazy" })),
            "The log option 'mode' must be blocking or non-blocking, but was 'lazy'.",
        ),
        (
            awslogs(json!({ "awslogs-create-group": "yes" })),
            "The log option 'awslogs-create-group' must be true or false, but was 'yes'.",
        ),
        (
            json!({ "logDriver": "splunk", "options": { "splunk-url": "u" } }),
            "Log driver splunk requires options: splunk-token",
        ),
        (
            json!({ "logDriver": "splunk", "options": { "splunk-url": "u", "splunk-token": "t", "url": "u" } }),
            "Log driver splunk disallows options: url",
        ),
        (
            json!({ "logDriver": "awsfirelens" }),
            "When awsfirelens log driver is specified in log configuration, a firelens configuration object must be configured in one of the containers.",
        ),
    ];
    for (value, want) in table {
        check_table(CONTAINER, &[("logConfiguration", value, want)]);
    }
    for driver in ["json-file", "syslog", "journald", "gelf", "fluentd"] {
        let want = format!(
            "{driver} is not a valid log driver. Must be one of [awslogs,splunk,awsfirelens]"
        );
        let value = json!({ "logDriver": driver });
        check_table(CONTAINER, &[("logConfiguration", value, &want)]);
    }
}

#[test]
fn sizes() {
    check_table(
        "",
        &[
            (
                "cpu",
                json!("1024"),
                "No Fargate configuration exists for given values: 1024 CPU, 512 memory. See the Amazon ECS documentation for the valid values.",
            ),
            ("cpu", json!("much"), "Invalid 'cpu' setting for task."),
            (
                "ephemeralStorage",
                json!({ "sizeInGiB": 20 }),
                "EphemeralStorage size should be at least 21",
            ),
            (
                "ephemeralStorage",
                json!({ "sizeInGiB": 201 }),
                "EphemeralStorage size should be at most 200",
            ),
            ("ephemeralStorage", json!({ "sizeInGiB": 200 }), ""),
        ],
    );
    check_table(
        CONTAINER,
        &[
            (
                "cpu",
                json!(512),
                "The sum of all container 'cpu' values cannot be greater than the value of the task 'cpu'.",
            ),
            (
                "memory",
                json!(1024),
                "The 'memory' setting for container 'c' is greater than for the task",
            ),
        ],
    );
    for (member, want) in [
        (
            "cpu",
            "Fargate requires that 'cpu' be defined at the task level.",
        ),
        (
            "memory",
            "Invalid setting for container 'c'. At least one of 'memory' or 'memoryReservation' must be specified.",
        ),
    ] {
        let got = verdict(|request| {
            request.as_object_mut().expect("an object").remove(member);
        });
        assert_eq!(got.err().as_deref(), Some(want), "{member}");
    }
}

#[test]
fn the_whole_has_64_kib() {
    let with = |length: usize| {
        verdict(|request| {
            let value = "x".repeat(length);
            let environment = json!([{ "name": "X", "value": value }]);
            set(request, &format!("{CONTAINER}/environment"), environment);
            // Tags are no part of it.
            request["tags"] = json!([{ "key": "k", "value": "v" }]);
        })
    };
    let refused = with(65_536).expect_err("it is too long");
    let length: usize = refused
        .strip_prefix("Actual length: '")
        .and_then(|rest| rest.strip_suffix("'. Max allowed length is '65536' bytes."))
        .and_then(|length| length.parse().ok())
        .expect("AWS's text");
    let others = length - 65_536;
    assert_eq!(with(65_536 - others), Ok(()));
    assert!(with(65_536 - others + 1).is_err());
}

#[test]
fn ports() {
    const MATCH: &str =
        "When networkMode=awsvpc, the host ports and container ports in port mappings must match.";
    check_table(
        CONTAINER,
        &[
            (
                "portMappings",
                json!([{ "containerPort": 80, "hostPort": 81 }]),
                MATCH,
            ),
            (
                "portMappings",
                json!([{ "containerPort": 0 }]),
                "Invalid 'containerPort' setting for container 'c'.",
            ),
            (
                "portMappings",
                json!([{ "containerPort": 80, "hostPort": 65536 }]),
                "Invalid 'hostPort' setting for container 'c'.",
            ),
            (
                "portMappings",
                json!([{ "containerPortRange": "9-1" }]),
                "Invalid 'containerPortRange' setting for container 'c'.",
            ),
            (
                "portMappings",
                json!([{ "containerPort": 80, "containerPortRange": "1-9" }]),
                "Invalid port mapping for container 'c', cannot specify both single port and port range.",
            ),
            (
                "portMappings",
                json!([{ "containerPort": 80 }, { "containerPort": 80 }]),
                "TCP container port '80' is used multiple times in task when networkMode=awsvpc.",
            ),
            (
                "portMappings",
                json!([{ "containerPort": 80 }, { "containerPort": 80, "protocol": "udp" }]),
                "",
            ),
            (
                "portMappings",
                json!([{ "containerPort": 80, "name": "n" }, { "containerPort": 81, "name": "n" }]),
                "When networkMode=awsvpc, port mapping name is already used",
            ),
        ],
    );
}

#[test]
fn volumes_and_dependencies() {
    check_table(
        "/volumes",
        &[
            (
                "0",
                json!({ "name": "v", "host": { "sourcePath": "/x" } }),
                "Fargate compatible task definitions do not support sourcePath",
            ),
            (
                "0",
                json!({ "name": "v", "dockerVolumeConfiguration": { "scope": "task" } }),
                "Fargate compatible task definitions do not support dockerVolumeConfiguration",
            ),
            (
                "0",
                json!({ "name": "v", "efsVolumeConfiguration": { "fileSystemId": "fs-1" } }),
                "",
            ),
            (
                "0",
                json!({ "name": "v", "efsVolumeConfiguration": { "fileSystemId": "fs-1", "authorizationConfig": { "iam": "ENABLED" } } }),
                "EFS IAM authorization requires TransitEncryption to be enabled.",
            ),
            (
                "0",
                json!({ "name": "v", "efsVolumeConfiguration": { "fileSystemId": "fs-1", "transitEncryptionPort": 1 } }),
                "TransitEncryptionPort requires that TransitEncryption is enabled.",
            ),
        ],
    );
    check_table(
        CONTAINER,
        &[
            (
                "mountPoints",
                json!([{ "sourceVolume": "w", "containerPath": "/w" }]),
                "Unknown volume 'w'.",
            ),
            (
                "dependsOn",
                json!([{ "containerName": "x", "condition": "START" }]),
                "Cannot depend on container + 'x' because it does not exist",
            ),
            (
                "dependsOn",
                json!([{ "containerName": "c", "condition": "START" }]),
                "Container dependencies must not have cycles.",
            ),
            (
                "dependsOn",
                json!([{ "containerName": "d", "condition": "HEALTHY" }]),
                "A dependency container with HEALTHY condition must have health check configured",
            ),
        ],
    );
    for condition in ["COMPLETE", "SUCCESS"] {
        check_table(
            "/containerDefinitions/1",
            &[(
                "dependsOn",
                json!([{ "containerName": "c", "condition": condition }]),
                "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container",
            )],
        );
    }
}

#[test]
fn containers() {
    let check = |member: &str, value: i32| {
        let mut check = json!({ "command": ["CMD", "true"] });
        check[member] = json!(value);
        check
    };
    check_table(
        CONTAINER,
        &[
            (
                "essential",
                json!(false),
                "Task definition doesn't have any essential container",
            ),
            (
                "restartPolicy",
                json!({ "enabled": true, "restartAttemptPeriod": 59 }),
                "The 'restartAttemptPeriod' setting for container 'c' must be between 60 and 1800.",
            ),
            ("healthCheck", check("interval", 300), ""),
            (
                "healthCheck",
                check("interval", 301),
                "Health check interval must be less than or equal to the maximum allowed value 300 for container 'c'",
            ),
            (
                "healthCheck",
                check("interval", 4),
                "Health check interval must be greater than or equal to the minimum allowed value 5 for container 'c'",
            ),
            (
                "healthCheck",
                check("timeout", 61),
                "Health check timeout must be less than or equal to the maximum allowed value 60 for container 'c'",
            ),
            (
                "healthCheck",
                check("retries", 11),
                "Health check retries must be less than or equal to the maximum allowed value 10 for container 'c'",
            ),
            (
                "healthCheck",
                check("startPeriod", 301),
                "Health check startPeriod must be less than or equal to the maximum allowed value 300 for container 'c'",
            ),
        ],
    );
    check_table(
        "",
        &[(
            "containerDefinitions",
            json!([]),
            "Container list cannot be empty.",
        )],
    );
}

#[test]
fn what_awsvpc_and_fargate_rule_out() {
    check_table(
        "",
        &[
            (
                "networkMode",
                json!("bridge"),
                "Fargate only supports network mode ‘awsvpc’.",
            ),
            (
                "pidMode",
                json!("host"),
                "Tasks using the Fargate launch type do not support pidMode 'host'. The supported value for pidMode is 'task'.",
            ),
            (
                "ipcMode",
                json!("host"),
                "Fargate compatible task definitions do not support ipcMode",
            ),
            (
                "placementConstraints",
                json!([{ "type": "memberOf", "expression": "x" }]),
                "Fargate compatible task definitions do not support constraints",
            ),
            (
                "inferenceAccelerators",
                json!([{ "deviceName": "d", "deviceType": "t" }]),
                "Unsupported field 'inferenceAccelerators'.",
            ),
            (
                "proxyConfiguration",
                json!({ "type": "APPMESH", "containerName": "x" }),
                "Proxy container [x] does not exist.",
            ),
            (
                "proxyConfiguration",
                json!({ "type": "APPMESH", "containerName": "c" }),
                "Ingress port not found",
            ),
        ],
    );
    check_table(
        CONTAINER,
        &[
            (
                "privileged",
                json!(true),
                "Fargate requires that the 'privileged' setting be 'false' at the container level.",
            ),
            (
                "links",
                json!(["d"]),
                "Links are not supported when networkMode=awsvpc.",
            ),
            (
                "hostname",
                json!("h"),
                "hostname is not supported on container when networkMode=awsvpc.",
            ),
            (
                "extraHosts",
                json!([{ "hostname": "h", "ipAddress": "1.1.1.1" }]),
                "Extra hosts are not supported on container when networkMode=awsvpc.",
            ),
            (
                "dnsServers",
                json!(["1.1.1.1"]),
                "DNS servers are not supported on container when networkMode=awsvpc.",
            ),
            (
                "disableNetworking",
                json!(true),
                "Disable Networking is not supported on container when networkMode=awsvpc.",
            ),
            (
                "stopTimeout",
                json!(121),
                "Invalid 'stopTimeout' setting for container 'c'. It must be between 2 and 120 seconds on Fargate.",
            ),
            (
                "linuxParameters",
                json!({ "capabilities": { "add": ["SYS_ADMIN"] } }),
                "SYS_ADMIN is not allowed on Fargate.",
            ),
            (
                "linuxParameters",
                json!({ "sharedMemorySize": 64 }),
                "Fargate compatible task definitions do not support sharedMemorySize",
            ),
            (
                "linuxParameters",
                json!({ "maxSwap": 64 }),
                "Fargate compatible task definitions do not support maxSwap",
            ),
            (
                "linuxParameters",
                json!({ "swappiness": 64 }),
                "Fargate compatible task definitions do not support swappiness",
            ),
            (
                "linuxParameters",
                json!({ "devices": [{ "hostPath": "/dev/x" }] }),
                "Fargate compatible task definitions do not support devices",
            ),
            (
                "dockerSecurityOptions",
                json!(["x"]),
                "Fargate compatible task definitions do not support dockerSecurityOptions",
            ),
            (
                "resourceRequirements",
                json!([{ "type": "GPU", "value": "1" }]),
                "Tasks using the Fargate launch type do not support GPU resource requirements.",
            ),
        ],
    );
}
