//! Smithy's JSON AST as schemas. They are leaked, since schemas are static.

use neargate_aws_wire::schema::*;
use serde_json::Value as Json;

use super::shapes::Builder;

pub struct Model {
    shapes: Json,
}

impl Model {
    pub fn new(ast: Json) -> Self {
        Self {
            shapes: ast["shapes"].clone(),
        }
    }

    pub fn shape(&self, id: &str) -> &Json {
        &self.shapes[id]
    }

    /// The operations of a service: its own and those of its resources.
    pub fn operations(&self, service: &str) -> Vec<String> {
        let mut ids = targets(&self.shape(service)["operations"]);
        for resource in targets(&self.shape(service)["resources"]) {
            let shape = self.shape(&resource);
            ids.extend(targets(&shape["operations"]));
            ids.extend(
                ["create", "put", "read", "update", "delete", "list"]
                    .iter()
                    .filter_map(|kind| shape[*kind]["target"].as_str().map(str::to_owned)),
            );
        }
        ids.sort_by_key(|id| local(id).to_owned());
        ids.dedup();
        ids
    }

    /// The service with its operations as modelled.
    pub fn service(&self, id: &str, protocol: Protocol) -> &'static ServiceSchema {
        self.build_service(id, protocol, false)
    }

    /// The service for response tests: any operation can be called without input at `/<operation>`.
    pub fn service_without_input(&self, id: &str, protocol: Protocol) -> &'static ServiceSchema {
        self.build_service(id, protocol, true)
    }

    fn build_service(
        &self,
        id: &str,
        protocol: Protocol,
        no_input: bool,
    ) -> &'static ServiceSchema {
        let service = self.shape(id);
        let traits = &service["traits"];
        let operations: Vec<OperationSchema> = self
            .operations(id)
            .iter()
            .enumerate()
            .map(|(index, operation)| self.operation(operation, index, protocol, no_input))
            .collect();
        leak(ServiceSchema {
            name: text(local(id)),
            service_id: text(local(id)),
            signing_name: text(
                traits["aws.auth#sigv4"]["name"]
                    .as_str()
                    .unwrap_or(local(id)),
            ),
            api_version: text(service["version"].as_str().unwrap_or_default()),
            target_prefix: text(local(id)),
            xml_namespace: text(
                traits["smithy.api#xmlNamespace"]["uri"]
                    .as_str()
                    .unwrap_or_default(),
            ),
            protocols: leak([protocol]),
            operations: Vec::leak(operations),
            validation: ValidationStyle::Coral,
            query_compatible: !traits["aws.protocols#awsQueryCompatible"].is_null(),
        })
    }

    fn operation(
        &self,
        id: &str,
        index: usize,
        protocol: Protocol,
        no_input: bool,
    ) -> OperationSchema {
        let operation = self.shape(id);
        let http = &operation["traits"]["smithy.api#http"];
        let shape = |field: &str| {
            operation[field]["target"]
                .as_str()
                .filter(|target| *target != "smithy.api#Unit")
                .map(|target| self.build(target, protocol))
        };
        let uri = if no_input {
            text(&format!("/{}", local(id)))
        } else {
            text(http["uri"].as_str().unwrap_or("/"))
        };
        OperationSchema {
            name: text(local(id)),
            index,
            http_method: match no_input {
                true => "POST",
                false => text(http["method"].as_str().unwrap_or("POST")),
            },
            http_uri: uri,
            http_status: http["code"].as_u64().unwrap_or(200) as u16,
            input: if no_input { None } else { shape("input") },
            output: shape("output"),
            result_wrapper: None,
            errors: &[],
            modelled: true,
        }
    }

    pub fn build(&self, id: &str, protocol: Protocol) -> &'static Shape {
        Builder::new(self, protocol)
            .shape(id)
            .expect("only members of recursive shapes are left out")
    }
}

fn targets(list: &Json) -> Vec<String> {
    let items = list.as_array().map(Vec::as_slice).unwrap_or_default();
    items
        .iter()
        .filter_map(|item| item["target"].as_str().map(str::to_owned))
        .collect()
}

/// `Name` of `namespace#Name`.
pub fn local(id: &str) -> &str {
    id.rsplit('#').next().unwrap_or(id)
}

pub fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

pub fn text(text: &str) -> &'static str {
    String::leak(text.to_owned())
}
