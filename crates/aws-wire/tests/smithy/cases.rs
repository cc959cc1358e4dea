//! The test cases of a service, as they stand in the model's traits.

use serde_json::Value as Json;

use super::loader::Model;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    Request,
    Response,
    Malformed,
}

pub struct Case<'m> {
    pub id: String,
    pub direction: Direction,
    /// Shape id of the operation; of error responses, any.
    pub operation: String,
    /// Response tests of an error.
    pub error: Option<String>,
    pub json: &'m Json,
}

/// Cases of `service` in `protocol` that concern a server.
///
/// Requests that only clients are tested with are taken in the RPC protocols too: what a client may send, a server
/// should read. In REST such tests are about what a client leaves out.
pub fn cases<'m>(model: &'m Model, service: &str, protocol: &str) -> Vec<Case<'m>> {
    let mut cases = Vec::new();
    let mut errors: Vec<(String, String)> = Vec::new();
    let rest = protocol.ends_with("restJson1");
    let operations = model.operations(service);
    for operation in &operations {
        let shape = model.shape(operation);
        let mut add = |direction, name: &str| {
            for json in list(&shape["traits"][name]) {
                let client_only = json["appliesTo"] == "client";
                let wanted = !client_only || (direction == Direction::Request && !rest);
                if json["protocol"] == protocol && wanted {
                    let id = json["id"].as_str().expect("cases have ids").to_owned();
                    cases.push(Case {
                        id,
                        direction,
                        operation: operation.clone(),
                        error: None,
                        json,
                    });
                }
            }
        };
        add(Direction::Request, "smithy.test#httpRequestTests");
        add(Direction::Response, "smithy.test#httpResponseTests");
        add(
            Direction::Malformed,
            "smithy.test#httpMalformedRequestTests",
        );
        for error in list(&shape["errors"])
            .iter()
            .chain(list(&model.shape(service)["errors"]))
        {
            let error = error["target"]
                .as_str()
                .expect("errors have targets")
                .to_owned();
            if !errors.iter().any(|(known, _)| *known == error) {
                errors.push((error, operation.clone()));
            }
        }
    }
    for (error, operation) in errors {
        for json in list(&model.shape(&error)["traits"]["smithy.test#httpResponseTests"]) {
            if json["protocol"] == protocol && json["appliesTo"] != "client" {
                cases.push(Case {
                    id: json["id"].as_str().expect("cases have ids").to_owned(),
                    direction: Direction::Response,
                    operation: operation.clone(),
                    error: Some(error.clone()),
                    json,
                });
            }
        }
    }
    cases
}

pub fn list(json: &Json) -> &[Json] {
    json.as_array().map(Vec::as_slice).unwrap_or_default()
}
