//! An HTTP/2 client, and the listeners that it talks to.

use super::targets::send;
use super::{Lb, P256, certificate, client, forward_to, group, load_balancer};
use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Method, Request, StatusCode, Version};
use neargate_lb::table::Transport;
use neargate_lb_api as api;
use std::net::SocketAddr;
use std::sync::Arc;

pub const HTTP: api::Protocol = api::Protocol::Http;
pub const HTTP1: api::ProtocolVersion = api::ProtocolVersion::Http1;
pub const HTTP2: api::ProtocolVersion = api::ProtocolVersion::Http2;
pub const GRPC: api::ProtocolVersion = api::ProtocolVersion::Grpc;

/// A table with one HTTPS listener and one group.
pub fn table(port: u16, groups: Vec<api::TargetGroup>) -> api::Table {
    let listener = api::Listener {
        arn: "arn:listener".to_owned(),
        port: port.into(),
        protocol: api::Protocol::Https.into(),
        certificate_arns: vec!["arn:certificate".to_owned()],
        ssl_policy: "ELBSecurityPolicy-TLS13-1-2-2021-06".to_owned(),
        rules: vec![forward_to(&groups[0].arn)],
        server_header_enabled: true,
        ..Default::default()
    };
    api::Table {
        version: 1,
        load_balancers: vec![load_balancer(
            api::LoadBalancerType::Application,
            listener,
            true,
        )],
        target_groups: groups,
        certificates: vec![certificate("arn:certificate", &["lb.test"], P256, 5)],
    }
}

pub async fn start(version: api::ProtocolVersion, target: SocketAddr) -> Lb {
    Lb::start(Transport::Tcp, |port| {
        table(port, vec![group("arn:group", HTTP, version, &[target])])
    })
    .await
}

/// A connection of our own, driven until the test ends.
pub async fn open(lb: &Lb) -> SendRequest<Bytes> {
    let config = Arc::new(client(&["h2"]));
    let stream = lb.connect(&config, "lb.test").await;
    let (sender, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    tokio::spawn(connection);
    sender.ready().await.expect("a stream")
}

pub fn request(method: Method, path: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("https://lb.test{path}"))
        .version(Version::HTTP_2);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request")
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("text"))
    }
}

pub async fn read(response: h2::client::ResponseFuture) -> Result<Answer, h2::Error> {
    let (parts, mut stream) = response.await?.into_parts();
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        stream.flow_control().release_capacity(data.len())?;
        body.extend_from_slice(&data);
    }
    Ok(Answer {
        status: parts.status,
        headers: parts.headers,
        body,
        trailers: stream.trailers().await?,
    })
}

/// One request with a body that is sent in one piece.
pub async fn ask(
    sender: &SendRequest<Bytes>,
    request: Request<()>,
    body: Option<Bytes>,
) -> Result<Answer, h2::Error> {
    let mut sender = sender.clone().ready().await?;
    let (response, mut stream) = sender.send_request(request, body.is_none())?;
    let upload = async {
        if let Some(body) = body
            && send(&mut stream, body).await.is_some()
        {
            // The answer tells whether it was taken.
            let _ = stream.send_data(Bytes::new(), true);
        }
    };
    let (answer, ()) = tokio::join!(read(response), upload);
    answer
}

pub async fn get(sender: &SendRequest<Bytes>, path: &str) -> Result<Answer, h2::Error> {
    ask(sender, request(Method::GET, path, &[]), None).await
}
