//! A registry for tests: serves images from memory, counts its requests, and misbehaves on demand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use neargate_node::images::ImageSource;
use neargate_testkit::image::Image;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// What the registry does wrong with a request.
#[derive(Clone)]
pub enum Fault {
    Status(u16),
    /// An error with a body in the registry's format.
    Error(u16, &'static str),
    /// Announces everything, sends half of it and hangs up.
    CutInHalf,
    /// Sends other bytes.
    Body(Vec<u8>),
    /// Bytes without an end.
    Endless,
    /// Answers nothing until the client gives up.
    Silence,
    /// Waits until the test says so.
    Until(Arc<Notify>),
    Redirect(String),
    /// Ranges are not known here.
    NoRanges,
}

/// A fault for the requests whose path contains a text.
struct Rule {
    path: String,
    fault: Fault,
    times: usize,
}

#[derive(Default)]
struct Content {
    images: HashMap<String, Image>,
    rules: Vec<Rule>,
    log: Vec<String>,
    seen_authorization: Vec<Option<String>>,
    /// `user:password` to demand by Basic.
    basic: Option<String>,
    /// To demand a token of this text, got at `/token` with the credentials in `basic`, if any.
    token: Option<String>,
    no_digest_header: bool,
}

/// A server on a port of its own; it ends with the value.
pub struct Registry {
    pub address: String,
    content: Arc<Mutex<Content>>,
    server: JoinHandle<()>,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Registry {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let content = Arc::new(Mutex::new(Content::default()));
        let router = Router::new().fallback(answer).with_state(content.clone());
        let server =
            tokio::spawn(async move { axum::serve(listener, router).await.expect("serving") });
        Self {
            address,
            content,
            server,
        }
    }

    /// Serves an image as `app:<tag>`, and by digest.
    pub fn put(&self, tag: &str, image: &Image) {
        self.content
            .lock()
            .unwrap()
            .images
            .insert(tag.to_owned(), image.clone());
    }

    pub fn fault(&self, path: &str, times: usize, fault: Fault) {
        self.content.lock().unwrap().rules.push(Rule {
            path: path.to_owned(),
            fault,
            times,
        });
    }

    pub fn demand_basic(&self, pair: &str) {
        self.content.lock().unwrap().basic = Some(pair.to_owned());
    }

    pub fn demand_token(&self, token: &str) {
        self.content.lock().unwrap().token = Some(token.to_owned());
    }

    pub fn hide_digests(&self) {
        self.content.lock().unwrap().no_digest_header = true;
    }

    /// The requests since the last call, as `GET manifests/v1`; blobs without their digest.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.content.lock().unwrap().log)
    }

    pub fn authorizations(&self) -> Vec<Option<String>> {
        std::mem::take(&mut self.content.lock().unwrap().seen_authorization)
    }

    /// `app:<tag>` or `app@<digest>` of this registry.
    pub fn source(&self, name: &str) -> ImageSource {
        let separator = if name.starts_with("sha256:") {
            '@'
        } else {
            ':'
        };
        let reference = format!("{}/app{separator}{name}", self.address);
        ImageSource {
            plain_http: true,
            ..ImageSource::public(&reference)
        }
    }
}

async fn answer(State(content): State<Arc<Mutex<Content>>>, request: Request) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    let (fault, found, digest_header) = {
        let mut content = content.lock().unwrap();
        let kind = if path.contains("/blobs/") {
            "blobs"
        } else {
            "manifests"
        };
        let short = if name.starts_with("sha256:") {
            "digest"
        } else {
            &name
        };
        content.log.push(format!("{method} {kind}/{short}"));
        let authorization = request.headers().get(header::AUTHORIZATION);
        let authorization = authorization.map(|value| value.to_str().unwrap().to_owned());
        content.seen_authorization.push(authorization.clone());
        if let Some(refusal) = content.refusal(&path, authorization.as_deref(), request.headers()) {
            return refusal;
        }
        (
            content.next_fault(&path),
            content.find(&name),
            !content.no_digest_header,
        )
    };
    let Some((digest, media_type, bytes)) = found else {
        return error(404, "MANIFEST_UNKNOWN", "Requested image not found");
    };
    let bytes = match fault {
        None | Some(Fault::NoRanges) => bytes,
        Some(Fault::Status(status)) => {
            return StatusCode::from_u16(status).unwrap().into_response();
        }
        Some(Fault::Error(status, code)) => return error(status, code, "as the test wants"),
        Some(Fault::Body(other)) => other,
        Some(Fault::Redirect(to)) => {
            return (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response();
        }
        Some(Fault::Silence) => std::future::pending().await,
        Some(Fault::Until(notify)) => {
            notify.notified().await;
            bytes
        }
        Some(Fault::CutInHalf) => {
            let half = Bytes::copy_from_slice(&bytes[..bytes.len() / 2]);
            let parts = stream::iter([Ok(half), Err(std::io::Error::other("cut"))]);
            return (
                [(header::CONTENT_LENGTH, bytes.len().to_string())],
                Body::from_stream(parts),
            )
                .into_response();
        }
        Some(Fault::Endless) => {
            let zeros =
                stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 65536])));
            return Body::from_stream(zeros).into_response();
        }
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, media_type.parse().unwrap());
    if digest_header {
        headers.insert("docker-content-digest", digest.parse().unwrap());
    }
    if method == Method::HEAD {
        return (headers, ()).into_response();
    }
    let range = request
        .headers()
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok());
    let start = range.and_then(|text| {
        text.strip_prefix("bytes=")?
            .strip_suffix('-')?
            .parse::<usize>()
            .ok()
    });
    match start {
        Some(start) if !matches!(fault_of(&path, &content), Some(Fault::NoRanges)) => {
            let range = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
            headers.insert(header::CONTENT_RANGE, range.parse().unwrap());
            (
                StatusCode::PARTIAL_CONTENT,
                headers,
                bytes[start..].to_vec(),
            )
                .into_response()
        }
        _ => (headers, bytes).into_response(),
    }
}

/// A fault that stays, whatever its count is.
fn fault_of(path: &str, content: &Mutex<Content>) -> Option<Fault> {
    content
        .lock()
        .unwrap()
        .rules
        .iter()
        .find(|rule| path.contains(&rule.path))
        .map(|rule| rule.fault.clone())
}

impl Content {
    fn next_fault(&mut self, path: &str) -> Option<Fault> {
        let rule = self
            .rules
            .iter_mut()
            .find(|rule| rule.times > 0 && path.contains(&rule.path))?;
        rule.times -= 1;
        Some(rule.fault.clone())
    }

    fn find(&self, name: &str) -> Option<(String, String, Vec<u8>)> {
        if let Some(image) = self.images.get(name) {
            return Some((
                image.digest().to_owned(),
                image.media_type().to_owned(),
                image.manifest().to_vec(),
            ));
        }
        let image = self
            .images
            .values()
            .find(|image| image.blobs.contains_key(name))?;
        let bytes = image.blobs[name].clone();
        // A manifest says itself what it is.
        let document: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
        let media_type =
            document.and_then(|document| Some(document.get("mediaType")?.as_str()?.to_owned()));
        Some((
            name.to_owned(),
            media_type.unwrap_or_else(|| "application/octet-stream".to_owned()),
            bytes,
        ))
    }

    fn refusal(
        &self,
        path: &str,
        authorization: Option<&str>,
        headers: &HeaderMap,
    ) -> Option<Response> {
        let basic = self.basic.as_ref().map(|pair| {
            use base64::Engine as _;
            format!(
                "Basic {}",
                base64::engine::general_purpose::STANDARD.encode(pair)
            )
        });
        if path == "/token" {
            let good = basic.is_none() || basic.as_deref() == authorization;
            let token = self.token.clone().unwrap_or_default();
            let body = serde_json::json!({"token": token, "expires_in": 300}).to_string();
            return Some(if good {
                body.into_response()
            } else {
                error(401, "UNAUTHORIZED", "bad password")
            });
        }
        let host = headers[header::HOST].to_str().unwrap();
        let (good, challenge) = match &self.token {
            Some(token) => {
                let challenge = format!(r#"Bearer realm="http://{host}/token",service="test""#);
                (authorization == Some(&format!("Bearer {token}")), challenge)
            }
            None => (
                basic.is_none() || basic.as_deref() == authorization,
                r#"Basic realm="test""#.to_owned(),
            ),
        };
        (!good).then(|| {
            (
                StatusCode::UNAUTHORIZED,
                [(header::WWW_AUTHENTICATE, challenge)],
            )
                .into_response()
        })
    }
}

fn error(status: u16, code: &str, message: &str) -> Response {
    let body = serde_json::json!({"errors": [{"code": code, "message": message}]}).to_string();
    (StatusCode::from_u16(status).unwrap(), body).into_response()
}
