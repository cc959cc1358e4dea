//! Runs one case through a Router.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use neargate_aws_wire::auth::DevAuthenticator;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::schema::{
    ErrorTrait, Kind, OperationSchema, Protocol, ServiceSchema, Shape,
};
use neargate_aws_wire::serve::{Router, RouterConfig};
use neargate_aws_wire::service::{CallFuture, RequestContext, Service};
use neargate_aws_wire::value::{Fields, Value};
use serde_json::Value as Json;

use super::cases::{Case, Direction, list};
use super::loader::{Model, local};
use super::{compare, literal, malformed};

/// A service of the protocol tests with the routers that answer for it.
pub struct Runner<'m> {
    model: &'m Model,
    protocol: Protocol,
    /// Whether error texts are compared; a service of Smithy's own validation wording has others than AWS.
    own_validation_texts: bool,
    requests: Endpoint,
    responses: Endpoint,
}

struct Endpoint {
    schema: &'static ServiceSchema,
    double: Arc<Double>,
    router: Router,
}

/// Keeps the input that it was called with, and answers what it was told to.
struct Double {
    schema: &'static ServiceSchema,
    seen: Mutex<Option<Value>>,
    answer: Mutex<Result<Value, ApiError>>,
}

impl Service for Double {
    fn schema(&self) -> &'static ServiceSchema {
        self.schema
    }

    fn call<'a>(
        &'a self,
        _context: RequestContext,
        _operation: &'static OperationSchema,
        input: Value,
    ) -> CallFuture<'a> {
        *self.seen.lock().unwrap() = Some(input);
        let answer = self.answer.lock().unwrap().clone();
        Box::pin(async move { answer })
    }
}

impl Endpoint {
    fn new(schema: &'static ServiceSchema) -> Self {
        let double = Arc::new(Double {
            schema,
            seen: Mutex::new(None),
            answer: Mutex::new(Ok(Value::Struct(Fields::default()))),
        });
        let authenticator = DevAuthenticator {
            default_account: "000000000000".to_owned(),
            default_region: "us-east-1".to_owned(),
        };
        let service: Arc<dyn Service> = double.clone();
        let router = Router::new(vec![service], RouterConfig::new(Arc::new(authenticator)));
        Self {
            schema,
            double,
            router,
        }
    }

    fn operation(&self, id: &str) -> &'static OperationSchema {
        self.schema
            .operation(local(id))
            .expect("cases belong to operations")
    }
}

impl<'m> Runner<'m> {
    pub fn new(model: &'m Model, service: &str, protocol: Protocol) -> Self {
        Self {
            model,
            protocol,
            own_validation_texts: !service.contains(".validation#"),
            requests: Endpoint::new(model.service(service, protocol)),
            responses: Endpoint::new(model.service_without_input(service, protocol)),
        }
    }

    /// Runs a case; a case of many variants counts as one.
    pub async fn run(&self, case: &Case<'_>) -> Result<(), String> {
        match case.direction {
            Direction::Request => self.request(case).await,
            Direction::Response => self.response(case).await,
            Direction::Malformed => {
                let mut failures = Vec::new();
                for variant in malformed::expand(case.json) {
                    if let Err(failure) = self.malformed(&variant).await {
                        failures.push(format!("{failure} for {}", variant["request"]));
                    }
                }
                if failures.is_empty() {
                    Ok(())
                } else {
                    Err(failures.join("\n  "))
                }
            }
        }
    }

    async fn request(&self, case: &Case<'_>) -> Result<(), String> {
        let endpoint = &self.requests;
        *endpoint.double.seen.lock().unwrap() = None;
        let operation = endpoint.operation(&case.operation);
        *endpoint.double.answer.lock().unwrap() = Ok(Value::Struct(Fields::default()));
        let mut request = http_request(case.json, self.protocol)?;
        self.add_usual_headers(&mut request, operation, case.json);
        let (status, _, body) = send(&endpoint.router, request, "id").await;
        let seen = endpoint.double.seen.lock().unwrap().take();
        let Some(seen) = seen else {
            return Err(format!(
                "answered {status}: {}",
                String::from_utf8_lossy(&body)
            ));
        };
        let Some(shape) = operation.input else {
            return Ok(());
        };
        let params = match &case.json["params"] {
            Json::Null => Json::Object(serde_json::Map::new()),
            params => params.clone(),
        };
        let want = literal::canonical(shape, &literal::value(shape, &params, true));
        let got = literal::canonical(shape, &seen);
        if want == got {
            Ok(())
        } else {
            Err(format!("input\n  want {want}\n  got  {got}"))
        }
    }

    /// Cases about bodies leave out the headers that every request of their protocol has.
    fn add_usual_headers(
        &self,
        request: &mut Request<Full<Bytes>>,
        operation: &OperationSchema,
        case: &Json,
    ) {
        let has_json = case["bodyMediaType"] == "application/json" && case["body"] != "";
        let headers = request.headers_mut();
        let target = format!("{}.{}", self.requests.schema.target_prefix, operation.name);
        let (name, value) = match self.protocol {
            Protocol::AwsJson1_0 | Protocol::AwsJson1_1 => ("x-amz-target", target.as_str()),
            Protocol::AwsQuery | Protocol::Ec2Query => {
                ("content-type", "application/x-www-form-urlencoded")
            }
            Protocol::RestJson1 if has_json => ("content-type", "application/json"),
            Protocol::RestJson1 | Protocol::RpcV2Cbor => return,
        };
        let value = HeaderValue::from_str(value).expect("names are ASCII");
        headers.entry(name).or_insert(value);
    }

    async fn response(&self, case: &Case<'_>) -> Result<(), String> {
        let endpoint = &self.responses;
        let operation = endpoint.operation(&case.operation);
        let params = &case.json["params"];
        *endpoint.double.answer.lock().unwrap() = match &case.error {
            Some(error) => Err(api_error(self.model.build(error, self.protocol), params)),
            None => Ok(match operation.output {
                Some(shape) if params.is_object() => literal::value(shape, params, false),
                _ => Value::Struct(Fields::default()),
            }),
        };
        let want_body = case.json["body"].as_str();
        let id = case.json["headers"]["X-Amzn-Requestid"]
            .as_str()
            .unwrap_or_else(|| request_id(want_body.unwrap_or_default()));
        let request = call_without_input(endpoint.schema, operation, self.protocol);
        let (status, headers, body) = send(&endpoint.router, request, id).await;
        check_status_and_headers(case.json, status, &headers)?;
        let media_type = case.json["bodyMediaType"].as_str().unwrap_or_default();
        match want_body {
            Some(want) => compare::body(media_type, want, &body),
            None => Ok(()),
        }
    }

    async fn malformed(&self, variant: &Json) -> Result<(), String> {
        let request = http_request(&variant["request"], self.protocol)?;
        let (status, headers, body) = send(&self.requests.router, request, "id").await;
        let want = &variant["response"];
        check_status_and_headers(want, status, &headers)
            .map_err(|failure| format!("{failure}: {}", String::from_utf8_lossy(&body)))?;
        let expected = &want["body"]["assertion"]["contents"];
        match expected.as_str().filter(|_| self.own_validation_texts) {
            Some(text) => {
                let media_type = want["body"]["mediaType"].as_str().unwrap_or_default();
                compare::body(media_type, text, &body)
            }
            None => Ok(()),
        }
    }
}

fn api_error(shape: &'static Shape, params: &Json) -> ApiError {
    let Kind::Structure(structure) = &shape.kind else {
        panic!("{} is no structure", shape.name);
    };
    let error: &ErrorTrait = structure.error.as_ref().expect("an error");
    let message = ["message", "Message"]
        .iter()
        .find_map(|key| params[*key].as_str());
    let mut members = params.clone();
    if let Some(members) = members.as_object_mut() {
        members.retain(|key, _| !key.eq_ignore_ascii_case("message"));
    }
    let members = match members {
        Json::Null => Value::Struct(Fields::default()),
        members => literal::value(shape, &members, false),
    };
    ApiError::modelled(
        shape,
        error,
        message.unwrap_or_default().to_owned(),
        members,
    )
}

fn http_request(case: &Json, protocol: Protocol) -> Result<Request<Full<Bytes>>, String> {
    let mut uri = case["uri"].as_str().unwrap_or("/").to_owned();
    let query: Vec<&str> = list(&case["queryParams"])
        .iter()
        .filter_map(Json::as_str)
        .collect();
    if !query.is_empty() {
        uri.push(if uri.contains('?') { '&' } else { '?' });
        uri.push_str(&query.join("&"));
    }
    let mut request = Request::builder()
        .method(case["method"].as_str().unwrap_or("POST"))
        .uri(uri);
    for (name, value) in case["headers"].as_object().into_iter().flatten() {
        request = request.header(name, value.as_str().unwrap_or_default());
    }
    let text = match &case["body"] {
        Json::String(text) => text.as_str(),
        _ => "",
    };
    let body = match protocol {
        Protocol::RpcV2Cbor => compare::base64(text)?,
        _ => text.as_bytes().to_vec(),
    };
    request
        .body(Full::new(body.into()))
        .map_err(|error| error.to_string())
}

fn call_without_input(
    service: &ServiceSchema,
    operation: &OperationSchema,
    protocol: Protocol,
) -> Request<Full<Bytes>> {
    let request = Request::builder().method("POST");
    let (request, body) = match protocol {
        Protocol::AwsJson1_0 => (
            request
                .header(
                    "x-amz-target",
                    format!("{}.{}", service.target_prefix, operation.name),
                )
                .header("content-type", "application/x-amz-json-1.0"),
            "{}".to_owned(),
        ),
        Protocol::AwsJson1_1 => (
            request
                .header(
                    "x-amz-target",
                    format!("{}.{}", service.target_prefix, operation.name),
                )
                .header("content-type", "application/x-amz-json-1.1"),
            "{}".to_owned(),
        ),
        Protocol::AwsQuery | Protocol::Ec2Query => (
            request.header("content-type", "application/x-www-form-urlencoded"),
            format!("Action={}&Version={}", operation.name, service.api_version),
        ),
        Protocol::RestJson1 => (request.uri(format!("/{}", operation.name)), String::new()),
        Protocol::RpcV2Cbor => (
            request
                .header("smithy-protocol", "rpc-v2-cbor")
                .uri(format!(
                    "/service/{}/operation/{}",
                    service.target_prefix, operation.name
                )),
            String::new(),
        ),
    };
    request
        .body(Full::new(body.into()))
        .expect("a valid request")
}

async fn send(
    router: &Router,
    request: Request<Full<Bytes>>,
    request_id: &str,
) -> (u16, http::HeaderMap, Bytes) {
    let response: Response<Full<Bytes>> = router.handle_as(request, request_id.to_owned()).await;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("it is in memory").to_bytes();
    (parts.status.as_u16(), parts.headers, body)
}

fn check_status_and_headers(
    want: &Json,
    status: u16,
    headers: &http::HeaderMap,
) -> Result<(), String> {
    if want["code"]
        .as_u64()
        .is_some_and(|code| code != u64::from(status))
    {
        return Err(format!("status {status}, not {}", want["code"]));
    }
    for (name, value) in want["headers"].as_object().into_iter().flatten() {
        let got = headers.get(name).and_then(|v| v.to_str().ok());
        if got != value.as_str() {
            return Err(format!("header {name}: {got:?}, not {value}"));
        }
    }
    for name in list(&want["forbidHeaders"]).iter().filter_map(Json::as_str) {
        if headers.contains_key(name) {
            return Err(format!("header {name} may not be there"));
        }
    }
    for name in list(&want["requireHeaders"])
        .iter()
        .filter_map(Json::as_str)
    {
        if !headers.contains_key(name) && !name.eq_ignore_ascii_case("content-length") {
            return Err(format!("header {name} is missing"));
        }
    }
    Ok(())
}

/// The request id that the expected XML has.
fn request_id(body: &str) -> &str {
    ["<RequestId>", "<requestId>", "<RequestID>"]
        .iter()
        .find_map(|tag| body.split_once(tag)?.1.split_once('<'))
        .map_or("id", |(id, _)| id)
}
