//! Small services of every protocol, for this crate's tests, benchmark and fuzz target.
#![allow(dead_code, reason = "each user needs a part of it")]

use std::sync::{Arc, Mutex};

use neargate_aws_wire::auth::DevAuthenticator;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::schema::*;
use neargate_aws_wire::serve::{Router, RouterConfig};
use neargate_aws_wire::service::{CallFuture, RequestContext, Service};
use neargate_aws_wire::value::{Fields, Value};

pub const fn member(name: &'static str, target: &'static Shape) -> Member {
    Member {
        name,
        target,
        required: false,
        wire_name: name,
        query_name: name,
        ec2_name: name,
        xml_name: name,
        xml_attribute: false,
        xml_namespace: None,
        flattened: false,
        location: Location::Body,
        timestamp_format: None,
        idempotency_token: false,
        default: None,
    }
}

pub const fn required(name: &'static str, target: &'static Shape) -> Member {
    Member {
        required: true,
        ..member(name, target)
    }
}

pub const fn structure(name: &'static str, members: &'static [Member]) -> Shape {
    Shape {
        name,
        kind: Kind::Structure(StructureShape {
            members,
            union: false,
            error: None,
            payload: None,
            xml_name: None,
            xml_namespace: None,
        }),
    }
}

pub const fn list(name: &'static str, member: &'static Shape, max: Option<u64>) -> Shape {
    Shape {
        name,
        kind: Kind::List(ListShape {
            member,
            member_name: None,
            flattened: false,
            sparse: false,
            min: None,
            max,
            member_timestamp_format: None,
        }),
    }
}

const ANY_TEXT: StringShape = StringShape {
    min: None,
    max: None,
    pattern: None,
    enum_values: &[],
    json_value: false,
    sensitive: false,
};

const fn string(name: &'static str, shape: StringShape) -> Shape {
    Shape {
        name,
        kind: Kind::String(shape),
    }
}

pub static TEXT: Shape = string("Text", ANY_TEXT);
pub static SLUG: Shape = string(
    "Slug",
    StringShape {
        min: Some(2),
        max: Some(5),
        pattern: Some("[a-z]*"),
        ..ANY_TEXT
    },
);
pub static COLOR: Shape = string(
    "Color",
    StringShape {
        enum_values: &["RED", "GREEN"],
        ..ANY_TEXT
    },
);
pub static SECRET: Shape = string(
    "Secret",
    StringShape {
        max: Some(3),
        sensitive: true,
        ..ANY_TEXT
    },
);
pub static COUNT: Shape = Shape {
    name: "Count",
    kind: Kind::Integer {
        min: Some(1),
        max: Some(100),
    },
};
pub static LONG: Shape = Shape {
    name: "Long",
    kind: Kind::Long {
        min: None,
        max: None,
    },
};
pub static DOUBLE: Shape = Shape {
    name: "Double",
    kind: Kind::Double {
        min: None,
        max: None,
    },
};
pub static FLAG: Shape = Shape {
    name: "Flag",
    kind: Kind::Boolean,
};
pub static BLOB: Shape = Shape {
    name: "Blob",
    kind: Kind::Blob {
        min: None,
        max: None,
        streaming: false,
    },
};
pub static TIME: Shape = Shape {
    name: "Time",
    kind: Kind::Timestamp { format: None },
};
pub static DOCUMENT: Shape = Shape {
    name: "Document",
    kind: Kind::Document,
};
pub static SLUGS: Shape = list("Slugs", &SLUG, Some(3));
pub static LABELS: Shape = Shape {
    name: "Labels",
    kind: Kind::Map(MapShape {
        key: &SLUG,
        value: &COUNT,
        key_name: None,
        value_name: None,
        flattened: false,
        sparse: false,
        min: None,
        max: None,
    }),
};
pub static CHOICE: Shape = Shape {
    name: "Choice",
    kind: Kind::Structure(StructureShape {
        members: &[member("Text", &TEXT), member("Count", &COUNT)],
        union: true,
        error: None,
        payload: None,
        xml_name: None,
        xml_namespace: None,
    }),
};

/// Contains itself, directly and in a list.
pub static NODE: Shape = structure(
    "NodeDefinition",
    &[
        required("Name", &TEXT),
        member("Child", &NODE),
        member("Children", &NODES),
    ],
);
pub static NODES: Shape = list("Nodes", &NODE, None);

/// A member of each kind.
pub static EVERYTHING: Shape = structure(
    "Everything",
    &[
        member("Text", &TEXT),
        member("Slug", &SLUG),
        member("Color", &COLOR),
        member("Secret", &SECRET),
        member("Count", &COUNT),
        member("Long", &LONG),
        member("Double", &DOUBLE),
        member("Flag", &FLAG),
        member("Blob", &BLOB),
        member("Time", &TIME),
        member("Document", &DOCUMENT),
        member("Slugs", &SLUGS),
        member("Labels", &LABELS),
        member("Choice", &CHOICE),
        member("Node", &NODE),
        member("Nodes", &NODES),
    ],
);
pub static NAMED: Shape = structure("Named", &[required("Name", &TEXT), member("Node", &NODE)]);

/// A REST input with a member in each place.
pub static REST_INPUT: Shape = structure(
    "RestInput",
    &[
        Member {
            location: Location::Uri { greedy: false },
            ..required("Name", &SLUG)
        },
        Member {
            location: Location::QueryString,
            wire_name: "count",
            ..member("Count", &COUNT)
        },
        Member {
            location: Location::Header,
            wire_name: "X-Time",
            ..member("Time", &TIME)
        },
        Member {
            location: Location::Header,
            wire_name: "X-Slugs",
            ..member("Slugs", &SLUGS)
        },
        member("Text", &TEXT),
        member("Node", &NODE),
    ],
);

pub static NOT_FOUND: Shape = Shape {
    name: "ThingNotFoundException",
    kind: Kind::Structure(StructureShape {
        members: &[member("message", &TEXT), member("Thing", &TEXT)],
        union: false,
        error: Some(NOT_FOUND_TRAIT),
        payload: None,
        xml_name: None,
        xml_namespace: None,
    }),
};
pub const NOT_FOUND_TRAIT: ErrorTrait = ErrorTrait {
    code: "ThingNotFoundException",
    query_code: "ThingNotFound",
    status: 404,
    sender_fault: true,
};

pub const fn operation(name: &'static str, index: usize) -> OperationSchema {
    OperationSchema {
        name,
        index,
        http_method: "POST",
        http_uri: "/",
        http_status: 200,
        input: Some(&EVERYTHING),
        output: Some(&EVERYTHING),
        result_wrapper: None,
        errors: &[],
        modelled: true,
    }
}

pub static OPERATIONS: [OperationSchema; 6] = [
    operation("Echo", 0),
    OperationSchema {
        input: Some(&NAMED),
        ..operation("Fail", 1)
    },
    OperationSchema {
        input: Some(&NAMED),
        ..operation("Name", 2)
    },
    OperationSchema {
        input: None,
        output: None,
        ..operation("Nothing", 3)
    },
    OperationSchema {
        input: None,
        output: None,
        ..operation("Panic", 4)
    },
    OperationSchema {
        modelled: false,
        ..operation("Unknown", 5)
    },
];

pub static REST_OPERATIONS: [OperationSchema; 2] = [
    OperationSchema {
        http_method: "PUT",
        http_uri: "/things/{Name}",
        input: Some(&REST_INPUT),
        ..operation("PutThing", 0)
    },
    OperationSchema {
        http_method: "GET",
        http_uri: "/things",
        input: None,
        ..operation("ListThings", 1)
    },
];

const fn service(
    name: &'static str,
    protocols: &'static [Protocol],
    validation: ValidationStyle,
) -> ServiceSchema {
    ServiceSchema {
        name,
        service_id: name,
        signing_name: name,
        api_version: "2020-01-01",
        target_prefix: name,
        xml_namespace: "http://example.com/doc/",
        protocols,
        operations: &OPERATIONS,
        validation,
        query_compatible: false,
    }
}

const JSON: &[Protocol] = &[Protocol::AwsJson1_1];

pub static SERVICES: [ServiceSchema; 9] = [
    service(
        "coral",
        &[Protocol::AwsJson1_1, Protocol::RpcV2Cbor],
        ValidationStyle::Coral,
    ),
    service("ecs", JSON, ValidationStyle::Ecs),
    service("ecr", JSON, ValidationStyle::Ecr),
    service("logs", JSON, ValidationStyle::InvalidParameter),
    ServiceSchema {
        query_compatible: true,
        ..service("queue", &[Protocol::AwsJson1_0], ValidationStyle::Coral)
    },
    service("sts", &[Protocol::AwsQuery], ValidationStyle::Query),
    // Shares its signing name, so that only the version tells them apart.
    ServiceSchema {
        signing_name: "sts",
        api_version: "2015-12-01",
        ..service("stsv2", &[Protocol::AwsQuery], ValidationStyle::Query)
    },
    ServiceSchema {
        api_version: "2016-11-15",
        ..service("ec2", &[Protocol::Ec2Query], ValidationStyle::Ec2)
    },
    ServiceSchema {
        operations: &REST_OPERATIONS,
        ..service("things", &[Protocol::RestJson1], ValidationStyle::Coral)
    },
];

/// A call as it reached the service.
#[derive(Debug)]
pub struct Seen {
    pub service: &'static str,
    pub operation: &'static str,
    pub context: RequestContext,
    pub input: Value,
}

pub type Log = Arc<Mutex<Option<Seen>>>;

struct Double {
    schema: &'static ServiceSchema,
    log: Log,
    panics: bool,
}

impl Service for Double {
    fn schema(&self) -> &'static ServiceSchema {
        self.schema
    }

    fn call<'a>(
        &'a self,
        context: RequestContext,
        operation: &'static OperationSchema,
        input: Value,
    ) -> CallFuture<'a> {
        let echo = input.clone();
        let seen = Seen {
            service: self.schema.name,
            operation: operation.name,
            context,
            input,
        };
        *self.log.lock().expect("no test panics with it") = Some(seen);
        assert!(
            !(self.panics && operation.name == "Panic"),
            "this operation panics"
        );
        Box::pin(async move {
            match operation.name {
                "Fail" => {
                    let mut thing = Fields::default();
                    thing.push(1, Value::String("t-1".to_owned()));
                    Err(ApiError::modelled(
                        &NOT_FOUND,
                        &NOT_FOUND_TRAIT,
                        "No such <thing>.".to_owned(),
                        Value::Struct(thing),
                    ))
                }
                "Echo" => Ok(echo),
                _ => Ok(Value::Struct(Fields::default())),
            }
        })
    }
}

/// A router of all services, and where it writes down the last call. Its operation "Panic" panics.
pub fn router(configure: impl FnOnce(RouterConfig) -> RouterConfig) -> (Router, Log) {
    build(configure, true)
}

/// For the fuzzer, which takes any panic for a finding.
pub fn router_that_never_panics() -> Router {
    build(|config| config, false).0
}

fn build(configure: impl FnOnce(RouterConfig) -> RouterConfig, panics: bool) -> (Router, Log) {
    let log = Log::default();
    let authenticator = DevAuthenticator {
        default_account: "000000000000".to_owned(),
        default_region: "us-east-1".to_owned(),
    };
    let services = SERVICES
        .iter()
        .map(|schema| {
            let log = log.clone();
            let double: Arc<dyn Service> = Arc::new(Double {
                schema,
                log,
                panics,
            });
            double
        })
        .collect();
    let config = configure(RouterConfig::new(Arc::new(authenticator)));
    (Router::new(services, config), log)
}
