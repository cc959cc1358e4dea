//! What becomes of each member of a task definition on Fargate: the table to edit when the model gets a new one.

use neargate_aws_api::ecs::types::TaskDefinition;
use neargate_aws_wire::json::to_json;
use serde_json::Value;

use crate::fields::Fate::{self, *};
use crate::fields::{Field, is_given};

const NO_CREDENTIALS: &str =
    "Neargate does not serve the task role's credentials yet; the AWS SDKs in the task find none";
const NO_SECRETS: &str = "Neargate does not read secrets yet; the variables are not set";
const NO_FILES: &str = "Neargate does not read environment files yet; their variables are not set";
const NO_SECRET_OPTIONS: &str = "Neargate does not read secret log options yet";
const NO_REGISTRY_CREDENTIALS: &str =
    "Neargate does not read registry credentials yet; the image is pulled without any";
const NO_DRIVER: &str =
    "Neargate has the log driver awslogs only; what the container writes is not kept";
const NO_ROUTER: &str = "Neargate does not route other containers' logs to a log router yet";

#[rustfmt::skip]
pub const FIELDS: &[Field] = &[
    ("containerDefinitions", Works),
    ("containerDefinitions.command", Works),
    ("containerDefinitions.cpu", Works),
    ("containerDefinitions.credentialSpecs", CannotRun("credential specs")),
    ("containerDefinitions.dependsOn", Works),
    ("containerDefinitions.dependsOn.condition", Works),
    ("containerDefinitions.dependsOn.containerName", Works),
    ("containerDefinitions.disableNetworking", Refused),
    ("containerDefinitions.dnsSearchDomains", Refused),
    ("containerDefinitions.dnsServers", Refused),
    ("containerDefinitions.dockerLabels", Works),
    ("containerDefinitions.dockerSecurityOptions", Refused),
    ("containerDefinitions.entryPoint", Works),
    ("containerDefinitions.environment", Works),
    ("containerDefinitions.environment.name", Works),
    ("containerDefinitions.environment.value", Works),
    ("containerDefinitions.environmentFiles", Announced(NO_FILES)),
    ("containerDefinitions.essential", Works),
    ("containerDefinitions.extraHosts", Refused),
    ("containerDefinitions.firelensConfiguration", Announced(NO_ROUTER)),
    ("containerDefinitions.healthCheck", Works),
    ("containerDefinitions.healthCheck.command", Works),
    ("containerDefinitions.healthCheck.interval", Works),
    ("containerDefinitions.healthCheck.retries", Works),
    ("containerDefinitions.healthCheck.startPeriod", Works),
    ("containerDefinitions.healthCheck.timeout", Works),
    ("containerDefinitions.hostname", Refused),
    ("containerDefinitions.image", Works),
    ("containerDefinitions.interactive", Works),
    ("containerDefinitions.links", Refused),
    ("containerDefinitions.linuxParameters", Works),
    ("containerDefinitions.linuxParameters.capabilities", Works),
    ("containerDefinitions.linuxParameters.capabilities.add", Works),
    ("containerDefinitions.linuxParameters.capabilities.drop", Works),
    ("containerDefinitions.linuxParameters.devices", Refused),
    ("containerDefinitions.linuxParameters.initProcessEnabled", Works),
    ("containerDefinitions.linuxParameters.maxSwap", Refused),
    ("containerDefinitions.linuxParameters.sharedMemorySize", Refused),
    ("containerDefinitions.linuxParameters.swappiness", Refused),
    ("containerDefinitions.linuxParameters.tmpfs", Works),
    ("containerDefinitions.linuxParameters.tmpfs.containerPath", Works),
    ("containerDefinitions.linuxParameters.tmpfs.mountOptions", Works),
    ("containerDefinitions.linuxParameters.tmpfs.size", Works),
    ("containerDefinitions.logConfiguration", Works),
    ("containerDefinitions.logConfiguration.logDriver", Works),
    ("containerDefinitions.logConfiguration.logDriver=awsfirelens", Announced(NO_DRIVER)),
    ("containerDefinitions.logConfiguration.logDriver=splunk", Announced(NO_DRIVER)),
    // Unknown ones are refused.
    ("containerDefinitions.logConfiguration.options", Works),
    ("containerDefinitions.logConfiguration.secretOptions", Announced(NO_SECRET_OPTIONS)),
    ("containerDefinitions.memory", Works),
    ("containerDefinitions.memoryReservation", Works),
    ("containerDefinitions.mountPoints", Works),
    ("containerDefinitions.mountPoints.containerPath", Works),
    ("containerDefinitions.mountPoints.readOnly", Works),
    ("containerDefinitions.mountPoints.sourceVolume", Works),
    ("containerDefinitions.name", Works),
    // All ports of a task's address are its own: mappings open none.
    ("containerDefinitions.portMappings", Described),
    ("containerDefinitions.privileged", Refused),
    ("containerDefinitions.pseudoTerminal", Works),
    ("containerDefinitions.readonlyRootFilesystem", Works),
    ("containerDefinitions.repositoryCredentials", Announced(NO_REGISTRY_CREDENTIALS)),
    ("containerDefinitions.resourceRequirements", Refused),
    ("containerDefinitions.restartPolicy", Works),
    ("containerDefinitions.restartPolicy.enabled", Works),
    ("containerDefinitions.restartPolicy.ignoredExitCodes", Works),
    ("containerDefinitions.restartPolicy.restartAttemptPeriod", Works),
    ("containerDefinitions.secrets", Announced(NO_SECRETS)),
    ("containerDefinitions.startTimeout", Works),
    ("containerDefinitions.stopTimeout", Works),
    ("containerDefinitions.systemControls", Works),
    ("containerDefinitions.systemControls.namespace", Works),
    ("containerDefinitions.systemControls.value", Works),
    ("containerDefinitions.ulimits", Works),
    ("containerDefinitions.ulimits.hardLimit", Works),
    ("containerDefinitions.ulimits.name", Works),
    ("containerDefinitions.ulimits.softLimit", Works),
    ("containerDefinitions.user", Works),
    ("containerDefinitions.versionConsistency", Works),
    ("containerDefinitions.volumesFrom", Works),
    ("containerDefinitions.volumesFrom.readOnly", Works),
    ("containerDefinitions.volumesFrom.sourceContainer", Works),
    ("containerDefinitions.workingDirectory", Works),
    ("cpu", Works),
    // Only AWS FIS would inject faults.
    ("enableFaultInjection", Described),
    ("ephemeralStorage", Works),
    ("ephemeralStorage.sizeInGiB", Works),
    // What it is for, pulling and logging, is done without asking it.
    ("executionRoleArn", Described),
    ("family", Works),
    ("inferenceAccelerators", Refused),
    ("ipcMode", Refused),
    ("memory", Works),
    ("networkMode", Works),
    ("pidMode", Works),
    ("placementConstraints", Refused),
    ("proxyConfiguration", CannotRun("the App Mesh proxy")),
    ("requiresCompatibilities", Works),
    ("runtimePlatform", Works),
    ("runtimePlatform.cpuArchitecture", Works),
    ("runtimePlatform.operatingSystemFamily", Works),
    ("tags", Works),
    ("tags.key", Works),
    ("tags.value", Works),
    ("taskRoleArn", Announced(NO_CREDENTIALS)),
    ("trustedExecutionConfiguration", CannotRun("trusted execution")),
    ("volumes", Works),
    ("volumes.configuredAtLaunch", CannotRun("Amazon EBS volumes")),
    ("volumes.dockerVolumeConfiguration", Refused),
    ("volumes.efsVolumeConfiguration", CannotRun("Amazon EFS volumes")),
    ("volumes.fsxWindowsFileServerVolumeConfiguration", Refused),
    ("volumes.host", Works),
    ("volumes.host.sourcePath", Refused),
    ("volumes.name", Works),
    ("volumes.s3filesVolumeConfiguration", CannotRun("Amazon S3 Files volumes")),
];

/// Something that a definition asks for and that does nothing yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// `None`: of the task.
    pub container: Option<String>,
    pub member: &'static str,
    pub text: &'static str,
}

/// What of a definition is announced to do nothing.
pub fn announced(definition: &TaskDefinition) -> Vec<Notice> {
    const OF_CONTAINERS: &str = "containerDefinitions.";
    let definition = as_json(definition);
    let mut notices = Vec::new();
    for (path, fate) in FIELDS {
        let Announced(text) = *fate else { continue };
        let Some(member) = path.strip_prefix(OF_CONTAINERS) else {
            if is_given(&definition, path) {
                let container = None;
                notices.push(Notice {
                    container,
                    member: path,
                    text,
                });
            }
            continue;
        };
        let containers = definition["containerDefinitions"].as_array();
        for container in containers.into_iter().flatten() {
            if is_given(container, member) {
                let container = container["name"].as_str().map(str::to_owned);
                notices.push(Notice {
                    container,
                    member,
                    text,
                });
            }
        }
    }
    notices
}

/// What Neargate would have to have to run a definition; `None`: it can be run.
pub fn lacking(definition: &TaskDefinition) -> Option<(&'static str, &'static str)> {
    let definition = as_json(definition);
    let given = |(path, fate): &Field| match fate {
        Fate::CannotRun(what) if is_given(&definition, path) => Some((*path, *what)),
        _ => None,
    };
    FIELDS.iter().find_map(given)
}

/// As the model writes it. A definition that was read from a record can be written.
fn as_json(definition: &TaskDefinition) -> Value {
    let text = to_json(definition.clone()).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use neargate_aws_api::ecs::SCHEMA;
    use neargate_aws_api::ecs::types::{NetworkMode, RegisterTaskDefinitionRequest};
    use neargate_aws_wire::json::from_json;
    use neargate_aws_wire::schema::Shape;
    use neargate_domain::{Scope, Timestamp};
    use serde_json::json;

    use super::super::{normalize, validate};
    use super::*;
    use crate::fields::tests::{check_complete, paths, sample};

    fn input() -> &'static Shape {
        let operation = SCHEMA.operation("RegisterTaskDefinition");
        operation.and_then(|o| o.input).expect("it is in the model")
    }

    fn request(json: &Value) -> RegisterTaskDefinitionRequest {
        let text = serde_json::to_vec(json).expect("JSON");
        from_json(&text).expect("a request of the model")
    }

    fn kept(json: &Value) -> TaskDefinition {
        let scope = Scope::new("000000000000", "us-east-1");
        normalize::definition(request(json), &scope, 1, "me", Timestamp(1))
    }

    #[test]
    fn every_member_of_the_model_has_its_line() {
        check_complete(input(), FIELDS);
    }

    #[test]
    fn what_is_not_refused_comes_back_as_it_was_given() {
        let mut given = sample(input());
        // Sizes come back as numbers, and awsvpc's host ports as what the containers' are.
        given["cpu"] = json!("256");
        given["memory"] = json!("512");
        given["networkMode"] = json!(NetworkMode::Awsvpc.as_str());
        given["volumes"][0]["configuredAtLaunch"] = json!(true);
        let back = as_json(&kept(&given));
        for (member, value) in given.as_object().expect("an object") {
            // Tags stand beside the definition; accelerators are refused wherever a task runs.
            if !["tags", "inferenceAccelerators"].contains(&member.as_str()) {
                assert_eq!(back[member], *value, "{member}");
            }
        }
    }

    /// A definition that Fargate takes, with one member more.
    fn with(path: &str, value: &Value) -> Value {
        let mut definition = json!({
            "family": "web",
            "requiresCompatibilities": ["FARGATE"],
            "networkMode": "awsvpc",
            "cpu": "256",
            "memory": "512",
            "executionRoleArn": "arn:aws:iam::000000000000:role/x",
            "volumes": [{ "name": "v" }],
            "containerDefinitions": [{
                "name": "c",
                "image": "i",
                "logConfiguration": {
                    "logDriver": "awslogs",
                    "options": { "awslogs-group": "g", "awslogs-region": "r", "awslogs-stream-prefix": "p" },
                },
            }],
        });
        let mut place = &mut definition;
        for member in path.split('.') {
            if place.is_array() {
                place = &mut place[0];
            }
            place = &mut place[member];
        }
        *place = value.clone();
        definition
    }

    #[test]
    fn each_fate_is_what_the_table_says() {
        let all = paths(input());
        for (path, fate) in FIELDS {
            let (member, value) = path.split_once('=').unwrap_or((path, ""));
            let shape = all.iter().find(|(known, _)| known == member);
            let mut value = match value {
                "" => sample(shape.expect("it is in the model").1),
                value => json!(value),
            };
            // Its sample is a word, and this is checked.
            if *path == "taskRoleArn" {
                value = json!("arn:aws:iam::000000000000:role/x");
            }
            let definition = with(member, &value);
            match fate {
                Works | Described => {}
                Refused => assert!(
                    validate::check(&request(&definition)).is_err(),
                    "{path} is said to be refused"
                ),
                Announced(text) => assert!(
                    announced(&kept(&definition))
                        .iter()
                        .any(|n| n.text == *text),
                    "{path} is said to be announced"
                ),
                CannotRun(what) => assert_eq!(
                    lacking(&kept(&definition)).map(|lacking| lacking.1),
                    Some(*what),
                    "{path}"
                ),
            }
        }
    }

    #[test]
    fn nothing_is_said_of_a_plain_definition() {
        let plain = with("family", &json!("web"));
        assert_eq!(validate::check(&request(&plain)), Ok(()));
        let plain = kept(&plain);
        assert_eq!((announced(&plain), lacking(&plain)), (Vec::new(), None));
    }

    #[test]
    fn the_container_is_named() {
        let secrets = json!([{ "name": "S", "valueFrom": "s" }]);
        let notices = announced(&kept(&with("containerDefinitions.secrets", &secrets)));
        let [notice] = &notices[..] else {
            panic!("one is expected: {notices:?}");
        };
        assert_eq!(notice.container.as_deref(), Some("c"));
        assert_eq!((notice.member, notice.text), ("secrets", NO_SECRETS));
    }
}
