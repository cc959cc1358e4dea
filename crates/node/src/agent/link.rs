//! The node's connection to the control plane: dials, says what it has, hears what it shall have, and again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use neargate_node_api as node;
use neargate_node_api::node_message::Message as ToServer;
use neargate_node_api::node_service_client::NodeServiceClient;
use neargate_node_api::server_message::Message as FromServer;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

use super::Host;

/// Pause between two tries to reach the server. Constant and short: it is on the same machine.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause after sessions that ended as soon as they had begun: something is wrong that does not go away by
/// trying ten times a second, and both sides say each time that they do.
const MAX_PAUSE: Duration = Duration::from_secs(2);
/// A session that lasted this long was a good one.
const GOOD_SESSION: Duration = Duration::from_secs(1);
const OUTBOUND_MESSAGES: usize = 16;

/// Stays connected for ever; tasks go on meanwhile whether it is or not.
pub async fn keep_connected(host: Arc<Host>) {
    let mut said = false;
    let mut pause = RECONNECT_PAUSE;
    loop {
        let ended = match dial(host.config.server_socket.clone()).await {
            Ok(channel) => {
                let began = Instant::now();
                let ended = session(&host, channel).await;
                pause = match began.elapsed() >= GOOD_SESSION {
                    true => RECONNECT_PAUSE,
                    false => (pause * 2).min(MAX_PAUSE),
                };
                ended
            }
            Err(error) => {
                pause = RECONNECT_PAUSE;
                Err(error)
            }
        };
        match ended {
            Ok(()) => said = false,
            // Said once for each time the server is away, not ten times a second.
            Err(error) if !said => {
                tracing::warn!(%error, "no connection to the control plane; tasks go on, trying again");
                said = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(pause).await;
    }
}

async fn session(host: &Arc<Host>, channel: Channel) -> Result<(), Status> {
    tokio::select! {
        ended = converse(host, channel.clone()) => ended,
        never = host.logs.run(host, channel) => match never {},
    }
}

async fn dial(socket: PathBuf) -> Result<Channel, Status> {
    let connector = tower::service_fn(move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    // The URI is not used: the connector knows the socket.
    Endpoint::from_static("http://control.plane")
        .connect_with_connector(connector)
        .await
        .map_err(|error| Status::unavailable(error.to_string()))
}

async fn converse(host: &Arc<Host>, channel: Channel) -> Result<(), Status> {
    let (outbound, messages) = mpsc::channel(OUTBOUND_MESSAGES);
    send(&outbound, ToServer::Hello(hello(host))).await?;
    let stream = tokio_stream::wrappers::ReceiverStream::new(messages);
    let mut client =
        NodeServiceClient::new(channel).max_decoding_message_size(node::MAX_MESSAGE_BYTES);
    // At the same time: the report may be more than fits before somebody reads it.
    let reported = report_all(&outbound, host.reports.all());
    let (inbound, ()) = tokio::try_join!(client.connect(stream), reported)?;
    let mut inbound = inbound.into_inner();
    tracing::info!("connected to the control plane");
    // Neither waits for the other: a server that is busy sending reads nothing meanwhile.
    tokio::select! {
        ended = hear(host, &mut inbound) => ended,
        ended = report_changes(host, &outbound) => ended,
    }
}

async fn hear(
    host: &Arc<Host>,
    inbound: &mut Streaming<node::ServerMessage>,
) -> Result<(), Status> {
    let mut begun: Option<node::Desired> = None;
    loop {
        match inbound.message().await? {
            Some(node::ServerMessage {
                message: Some(FromServer::Desired(part)),
            }) => {
                let more = part.more;
                let desired = match begun.take() {
                    Some(begun) => joined(begun, part),
                    None => part,
                };
                match more {
                    true => begun = Some(desired),
                    false => host.take_desired(desired).await,
                }
            }
            Some(_) => {}
            None => return Ok(()),
        }
    }
}

async fn report_changes(
    host: &Arc<Host>,
    outbound: &mpsc::Sender<node::NodeMessage>,
) -> Result<(), Status> {
    loop {
        let tasks = host.reports.unsent().await;
        for tasks in tasks.chunks(node::MAX_TASKS) {
            let observed = node::Observed {
                tasks: tasks.to_vec(),
                ..Default::default()
            };
            send(outbound, ToServer::Observed(observed)).await?;
        }
    }
}

/// Everything that the node has, in as many messages as that takes.
async fn report_all(
    outbound: &mpsc::Sender<node::NodeMessage>,
    tasks: Vec<node::TaskObserved>,
) -> Result<(), Status> {
    let mut rest = tasks;
    loop {
        let next = rest.split_off(rest.len().min(node::MAX_TASKS));
        let more = !next.is_empty();
        let observed = node::Observed {
            full: true,
            tasks: rest,
            more,
        };
        send(outbound, ToServer::Observed(observed)).await?;
        if !more {
            return Ok(());
        }
        rest = next;
    }
}

/// A full state that came in parts: the tasks of all of them, and what else any of them had.
fn joined(begun: node::Desired, part: node::Desired) -> node::Desired {
    let mut tasks = begun.tasks;
    tasks.extend(part.tasks);
    node::Desired {
        full: begun.full,
        version: part.version,
        tasks,
        network_policy: part.network_policy.or(begun.network_policy),
        load_balancer_interfaces: part
            .load_balancer_interfaces
            .or(begun.load_balancer_interfaces),
        dns_records: part.dns_records.or(begun.dns_records),
        forget_task_arns: [begun.forget_task_arns, part.forget_task_arns].concat(),
        more: part.more,
    }
}

async fn send(outbound: &mpsc::Sender<node::NodeMessage>, message: ToServer) -> Result<(), Status> {
    outbound
        .send(node::NodeMessage {
            message: Some(message),
        })
        .await
        .map_err(|_| Status::unavailable("the control plane has closed the stream"))
}

fn hello(host: &Host) -> node::Hello {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    node::Hello {
        node_id: host.identity.node_id.clone(),
        cpu_units: cpus as u64 * 1024,
        memory_mib: memory_mib(),
        cpu_architecture: if cfg!(target_arch = "aarch64") {
            "ARM64"
        } else {
            "X86_64"
        }
        .to_owned(),
        neargate_version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// The machine's memory, 0 where the kernel does not say.
fn memory_mib() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    total
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(0, |kib| kib / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_report_of_many_tasks_comes_in_parts() {
        for (count, want) in [
            (0, vec![(0, false)]),
            (node::MAX_TASKS, vec![(node::MAX_TASKS, false)]),
            (
                2 * node::MAX_TASKS + 1,
                vec![(node::MAX_TASKS, true), (node::MAX_TASKS, true), (1, false)],
            ),
        ] {
            let (outbound, mut messages) = mpsc::channel(OUTBOUND_MESSAGES);
            let tasks = vec![node::TaskObserved::default(); count];
            report_all(&outbound, tasks).await.expect("an open channel");
            drop(outbound);
            let mut parts = Vec::new();
            while let Some(node::NodeMessage { message }) = messages.recv().await {
                let Some(ToServer::Observed(part)) = message else {
                    panic!("another message: {message:?}");
                };
                assert!(part.full);
                parts.push((part.tasks.len(), part.more));
            }
            assert_eq!(parts, want, "{count} tasks");
        }
    }

    #[test]
    fn a_full_state_is_what_all_of_its_parts_have() {
        let task = |arn: &str| node::TaskDesired {
            task_arn: arn.to_owned(),
            ..Default::default()
        };
        let first = node::Desired {
            full: true,
            tasks: vec![task("a")],
            network_policy: Some(node::NetworkPolicy::default()),
            more: true,
            ..Default::default()
        };
        let second = node::Desired {
            full: true,
            tasks: vec![task("b")],
            ..Default::default()
        };
        let whole = joined(first, second);
        let arns: Vec<_> = whole
            .tasks
            .iter()
            .map(|task| task.task_arn.as_str())
            .collect();
        assert_eq!(arns, ["a", "b"]);
        assert!(whole.full && !whole.more && whole.network_policy.is_some());
    }
}
