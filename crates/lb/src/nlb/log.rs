//! A connection's line in the access log of a TLS listener. AWS writes none for other listeners of network load
//! balancers.

use crate::access_log::{AccessLogs, TlsRecord};
use crate::engine::{Worker, clock};
use crate::table::Endpoint;
use crate::tls::{AcceptError, Alpn, Greeting, TlsSession};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What passed between a client and its target.
#[derive(Debug)]
pub struct Passed {
    pub received_bytes: u64,
    pub sent_bytes: u64,
    /// What was agreed on with the target.
    pub alpn: Alpn,
}

impl Default for Passed {
    fn default() -> Self {
        Self {
            received_bytes: 0,
            sent_bytes: 0,
            alpn: Alpn::None,
        }
    }
}

/// What is known of a connection before it ends.
#[derive(Debug)]
pub struct Journal {
    created: Instant,
    created_millis: u64,
    client: SocketAddr,
    destination: SocketAddr,
    pub greeting: Greeting,
    handshake: Option<(Duration, TlsSession)>,
    alert: Option<u8>,
}

impl Journal {
    /// `None` where there is no log.
    pub fn begin(
        endpoint: &Endpoint,
        client: SocketAddr,
        destination: SocketAddr,
    ) -> Option<Box<Self>> {
        AccessLogs::wants(&endpoint.load_balancer).then(|| {
            Box::new(Self {
                created: Instant::now(),
                created_millis: clock::epoch_millis(),
                client,
                destination,
                greeting: Greeting::default(),
                handshake: None,
                alert: None,
            })
        })
    }

    pub fn shook_hands(&mut self, outcome: Result<&TlsSession, &AcceptError>) {
        match outcome {
            Ok(session) => self.handshake = Some((self.created.elapsed(), session.clone())),
            Err(error) => self.alert = error.alert(),
        }
    }

    /// Writes the line.
    pub fn end(&self, worker: &Worker, endpoint: &Endpoint, passed: &Passed) {
        let session = self.handshake.as_ref().map(|(_, session)| session);
        let mut line = String::with_capacity(384);
        TlsRecord {
            ended_millis: clock::epoch_millis(),
            created_millis: self.created_millis,
            load_balancer: &endpoint.load_balancer.full_name,
            listener_arn: &endpoint.listener.arn,
            client: self.client,
            destination: self.destination,
            connection: self.created.elapsed(),
            handshake: self.handshake.as_ref().map(|(time, _)| *time),
            received_bytes: passed.received_bytes,
            sent_bytes: passed.sent_bytes,
            alert: self.alert,
            certificate_arn: &self.greeting.certificate_arn,
            cipher: session.map_or("", |session| session.cipher_suite),
            protocol: session.map_or("", |session| session.version),
            domain_name: &self.greeting.server_name,
            alpn_front: session.map_or("", |session| session.alpn.as_str()),
            alpn_back: passed.alpn.as_str(),
            alpn_offered: &self.greeting.alpn,
        }
        .write_line(&mut line);
        let logs = &worker.shared.access_logs;
        logs.log(&endpoint.load_balancer, self.destination.ip(), line);
    }
}
