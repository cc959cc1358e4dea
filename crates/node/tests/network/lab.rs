//! A laboratory for one test: a network and a mount namespace of its own, tasks in it, and real packets.
//!
//! A thread that has unshared hands its namespaces on to the threads and processes it starts, so everything that the
//! test's runtime does (also `nft`) happens in the laboratory, and the machine's own network is never seen.

use neargate_node::network::{NetnsHandle, Network, NetworkConfig, Result};
use neargate_node_api as proto;
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, setns, unshare},
    sys::socket::{self, AddressFamily, SockFlag, SockProtocol, SockType, sockopt},
    sys::time::{TimeVal, TimeValLike},
};
use std::{
    fs::File,
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// How long a packet that must not arrive is waited for. One that arrives takes far less than a millisecond.
const SILENCE: Duration = Duration::from_millis(300);

/// How long what must come about may take on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(20);

pub const INSTANCE: &str = "0badcafe";

/// Runs an asynchronous test in namespaces of its own.
pub fn in_lab<F: Future<Output = ()>>(test: impl FnOnce(Lab) -> F + Send + 'static) {
    let done = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).expect("these tests need root");
        mount(
            None::<&str>,
            "/",
            None::<&str>,
            MsFlags::MS_REC | MsFlags::MS_PRIVATE,
            None::<&str>,
        )
        .expect("private /");
        sh("ip link set lo up");
        let directory = tempfile::tempdir().expect("a directory");
        let lab = Lab {
            run_dir: directory.path().join("run"),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        runtime.expect("a runtime").block_on(test(lab));
    });
    if let Err(panic) = done.join() {
        std::panic::resume_unwind(panic);
    }
}

pub struct Lab {
    pub run_dir: PathBuf,
}

impl Lab {
    pub async fn open(&self) -> Network {
        self.open_as(INSTANCE).await.expect("open")
    }

    pub async fn open_as(&self, instance: &str) -> Result<Network> {
        Network::open(NetworkConfig {
            instance: instance.into(),
            run_dir: self.run_dir.join(instance),
            resolv_conf: self.run_dir.with_file_name("resolv.conf"),
        })
        .await
    }

    /// Runs a command in the node's router; its output.
    pub fn in_router(&self, command: &str) -> String {
        let router = self.run_dir.join(INSTANCE).join("router");
        sh(&format!(
            "nsenter --net={} sh -c '{command}'",
            router.display()
        ))
    }

    /// A machine at 203.0.113.2 behind the default route; it knows no way to any VPC. Its namespace's name.
    pub fn world(&self) -> PathBuf {
        sh(
            "mount -t tmpfs none /run && mkdir -p /run/netns && ip netns add world \
            && ip link add uplink type veth peer name eth0 netns world \
            && ip addr add 203.0.113.1/24 dev uplink && ip link set uplink up \
            && ip -n world addr add 203.0.113.2/24 dev eth0 && ip -n world link set eth0 up && ip -n world link set lo up \
            && ip route add default via 203.0.113.2",
        );
        "/run/netns/world".into()
    }
}

/// Waits for what somebody does some time later.
pub async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Runs a command in the laboratory; its output.
pub fn sh(command: &str) -> String {
    let output = Command::new("sh")
        .args(["-c", command])
        .output()
        .expect("a shell");
    assert!(
        output.status.success(),
        "{command}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A task's interface: the number makes its ids and the last byte of its address.
pub fn eni(number: u8, groups: &[&str]) -> proto::NetworkInterface {
    proto::NetworkInterface {
        eni_id: format!("eni-{number:017x}"),
        attachment_id: String::new(),
        mac_address: format!("0e:00:00:00:00:{number:02x}"),
        private_ipv4_address: address(number).to_string(),
        subnet_cidr: "172.31.0.0/20".into(),
        vpc_cidr: "172.31.0.0/16".into(),
        subnet_gateway: "172.31.0.1".into(),
        private_dns_name: format!("ip-172-31-0-{number}.ec2.internal"),
        assign_public_ip: false,
        security_group_ids: groups.iter().map(|&group| group.into()).collect(),
        relays: false,
    }
}

pub fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(172, 31, 0, number)
}

pub fn task_id(number: u8) -> String {
    format!("{number:032x}")
}

/// A rule: `tcp 80 0.0.0.0/0`, `tcp 80-90 sg-1`, `icmp 8 10.0.0.0/8`, `all * sg-1`.
pub fn rule(text: &str) -> proto::SecurityGroupRule {
    let [protocol, ports, peer]: [&str; 3] = text
        .split(' ')
        .collect::<Vec<_>>()
        .try_into()
        .expect("three words");
    let protocol = match protocol {
        "all" => -1,
        "icmp" => 1,
        "tcp" => 6,
        "udp" => 17,
        number => number.parse().expect("a protocol"),
    };
    let (from_port, to_port) = match ports.split_once('-') {
        _ if ports == "*" => (-1, -1),
        Some((from, to)) => (from.parse().expect("a port"), to.parse().expect("a port")),
        None if protocol == 1 => (ports.parse().expect("a type"), -1),
        None => (
            ports.parse().expect("a port"),
            ports.parse().expect("a port"),
        ),
    };
    use proto::security_group_rule::Peer;
    let peer = if peer.starts_with("sg-") {
        Peer::PeerGroupId(peer.into())
    } else {
        Peer::Cidr(peer.into())
    };
    proto::SecurityGroupRule {
        protocol,
        from_port,
        to_port,
        peer: Some(peer),
    }
}

pub fn group(id: &str, ingress: &[&str], egress: &[&str]) -> proto::SecurityGroup {
    group_in("vpc-1", id, ingress, egress)
}

pub fn group_in(vpc: &str, id: &str, ingress: &[&str], egress: &[&str]) -> proto::SecurityGroup {
    proto::SecurityGroup {
        group_id: id.into(),
        vpc_id: vpc.into(),
        ingress: ingress.iter().map(|text| rule(text)).collect(),
        egress: egress.iter().map(|text| rule(text)).collect(),
    }
}

pub fn policy(groups: Vec<proto::SecurityGroup>) -> proto::NetworkPolicy {
    proto::NetworkPolicy {
        groups,
        ..Default::default()
    }
}

pub async fn attach(network: &Network, number: u8, groups: &[&str]) -> NetnsHandle {
    network
        .attach(&task_id(number), &eni(number, groups))
        .await
        .expect("attach")
}

pub async fn attach_public(network: &Network, number: u8, groups: &[&str]) -> NetnsHandle {
    let interface = proto::NetworkInterface {
        assign_public_ip: true,
        ..eni(number, groups)
    };
    network
        .attach(&task_id(number), &interface)
        .await
        .expect("attach")
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Answered,
    Refused,
    Dropped,
}

/// Where packets start: a task's namespace, or the laboratory's "machine" itself.
#[derive(Clone, Copy)]
pub enum At<'a> {
    Machine,
    In(&'a Path),
}

impl<'a> From<&'a NetnsHandle> for At<'a> {
    fn from(handle: &'a NetnsHandle) -> Self {
        At::In(&handle.path)
    }
}

/// Runs a closure in a namespace, on a thread of its own.
pub fn at<T: Send>(place: At, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if let At::In(path) = place {
                setns(
                    File::open(path).expect("a namespace"),
                    CloneFlags::CLONE_NEWNET,
                )
                .expect("enter");
            }
            work()
        });
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Serves an echo on a TCP port until the process ends.
pub fn serve_tcp(place: At, port: u16) {
    let listener = at(place, || {
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).expect("bind")
    });
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut stream = stream;
                let mut buffer = [0; 64];
                while let Ok(length @ 1..) = stream.read(&mut buffer) {
                    if stream.write_all(&buffer[..length]).is_err() {
                        break;
                    }
                }
            });
        }
    });
}

/// Answers each datagram on a UDP port with the sender's address, until the process ends.
pub fn serve_udp(place: At, port: u16) {
    let socket = at(place, || {
        UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).expect("bind")
    });
    thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((_, from)) = socket.recv_from(&mut buffer) {
            if socket
                .send_to(from.ip().to_string().as_bytes(), from)
                .is_err()
            {
                break;
            }
        }
    });
}

pub fn connect(place: At, to: Ipv4Addr, port: u16) -> io::Result<TcpStream> {
    let stream = at(place, || {
        TcpStream::connect_timeout(&SocketAddr::new(IpAddr::V4(to), port), SILENCE)
    })?;
    stream.set_read_timeout(Some(SILENCE))?;
    Ok(stream)
}

/// One exchange over a connection that stands.
pub fn echo(stream: &mut TcpStream) -> Fate {
    let mut answer = [0; 4];
    match stream
        .write_all(b"ping")
        .and_then(|()| stream.read_exact(&mut answer))
    {
        Ok(()) => Fate::Answered,
        Err(error) => fate(&error),
    }
}

pub fn tcp(place: At, to: Ipv4Addr, port: u16) -> Fate {
    match connect(place, to, port) {
        Ok(mut stream) => echo(&mut stream),
        Err(error) => fate(&error),
    }
}

fn fate(error: &io::Error) -> Fate {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Fate::Refused,
        io::ErrorKind::TimedOut
        | io::ErrorKind::WouldBlock
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        // An output hook that drops says so to the sender.
        | io::ErrorKind::PermissionDenied => Fate::Dropped,
        other => panic!("unexpected: {other}"),
    }
}

/// The sender's address as the receiver saw it.
pub fn udp_from(place: At, source: Ipv4Addr, to: Ipv4Addr, port: u16) -> Option<Ipv4Addr> {
    at(place, || {
        let socket = UdpSocket::bind((source, 0)).expect("bind");
        socket.set_read_timeout(Some(SILENCE)).expect("timeout");
        socket.send_to(b"who am I", (to, port)).ok()?;
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).ok()?;
        String::from_utf8_lossy(&buffer[..length]).parse().ok()
    })
}

/// A port that was in use until now: a process that another test has just forked keeps it until it executes its program.
fn bind_again(address: Ipv4Addr, port: u16) -> UdpSocket {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        match UdpSocket::bind((address, port)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(10));
            }
            bound => return bound.expect("bind"),
        }
    }
}

/// Whether a datagram that leaves `place` with this source reaches a socket at the other end. The source need not be
/// one of the sender's addresses by right; it only has to be configured there.
pub fn arrives(place: At, source: Ipv4Addr, receiver: At, to: Ipv4Addr, port: u16) -> bool {
    let socket = at(receiver, || bind_again(to, port));
    socket.set_read_timeout(Some(SILENCE)).expect("timeout");
    at(place, || {
        let sender = UdpSocket::bind((source, 0)).expect("bind");
        // Refused on the spot or dropped on the way: the receiver tells.
        let _ = sender.send_to(b"hello", (to, port));
    });
    let mut buffer = [0; 64];
    socket
        .recv_from(&mut buffer)
        .is_ok_and(|(_, from)| from.ip() == IpAddr::V4(source))
}

pub fn udp(place: At, to: Ipv4Addr, port: u16) -> Fate {
    match udp_from(place, Ipv4Addr::UNSPECIFIED, to, port) {
        Some(_) => Fate::Answered,
        None => Fate::Dropped,
    }
}

/// An echo request; the answer, if any, must be an echo reply.
pub fn ping(place: At, to: Ipv4Addr) -> Fate {
    at(place, || {
        let socket = raw_icmp();
        socket::setsockopt(
            &socket,
            sockopt::ReceiveTimeout,
            &TimeVal::milliseconds(SILENCE.as_millis() as i64),
        )
        .expect("timeout");
        // Type 8, code 0, the checksum of just that and the identifier.
        let request = [8, 0, 0xf7 - 0x4e, 0xff - 0x47, 0x4e, 0x47, 0, 0];
        let to = socket::SockaddrIn::from(SocketAddrV4::new(to, 0));
        if socket::sendto(socket.as_raw_fd(), &request, &to, socket::MsgFlags::empty()).is_err() {
            return Fate::Dropped;
        }
        let mut answer = [0; 128];
        let header = 20;
        loop {
            match socket::recv(socket.as_raw_fd(), &mut answer, socket::MsgFlags::empty()) {
                Ok(length) if length > header && answer[header] == 0 => return Fate::Answered,
                // The kernel's own complaints and, on the same machine, the request.
                Ok(_) => {}
                Err(_) => return Fate::Dropped,
            }
        }
    })
}

fn raw_icmp() -> OwnedFd {
    socket::socket(
        AddressFamily::Inet,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::Icmp,
    )
    .expect("raw socket")
}

/// Answers every DNS question on 127.0.0.1:53 of the machine with itself, marked as a reply: the machine's resolver. One
/// that has `slow` in its name is never answered.
pub fn serve_dns() {
    let socket = at(At::Machine, || {
        UdpSocket::bind((Ipv4Addr::LOCALHOST, 53)).expect("bind")
    });
    let listener = at(At::Machine, || {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 53)).expect("bind")
    });
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            if buffer[..length].windows(4).any(|bytes| bytes == b"slow") {
                continue;
            }
            buffer[2] |= 0x80;
            if socket.send_to(&buffer[..length], from).is_err() {
                break;
            }
        }
    });
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut buffer = [0; 512];
            if let Ok(length @ 5..) = stream.read(&mut buffer) {
                buffer[4] |= 0x80;
                // A client that left is its own business.
                let _ = stream.write_all(&buffer[..length]);
            }
        }
    });
}

/// A question for a name's address.
fn dns_question(name: &str) -> Vec<u8> {
    let mut question = vec![0x4e, 0x47, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(label.len() as u8);
        question.extend(label.bytes());
    }
    question.extend([0, 0, 1, 0, 1]);
    question
}

/// What the answer to a question says: its code, and the last four bytes if it has an answer section.
pub type DnsAnswer = Option<(u8, Option<Ipv4Addr>)>;

fn dns_answer(reply: &[u8]) -> DnsAnswer {
    let address = reply
        .last_chunk::<4>()
        .filter(|_| reply[7] > 0)
        .map(|bytes| Ipv4Addr::from(*bytes));
    Some((reply[3] & 0xf, address))
}

pub fn ask_udp(place: At, resolver: Ipv4Addr, name: &str) -> DnsAnswer {
    at(place, || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("bind");
        socket.set_read_timeout(Some(SILENCE)).expect("timeout");
        socket.send_to(&dns_question(name), (resolver, 53)).ok()?;
        let mut buffer = [0; 512];
        let (length, from) = socket.recv_from(&mut buffer).ok()?;
        assert_eq!(
            from.ip(),
            IpAddr::V4(resolver),
            "the answer comes from where the question went"
        );
        dns_answer(&buffer[..length])
    })
}

/// Asks for as many names, without waiting for answers.
pub fn ask_many(place: At, resolver: Ipv4Addr, names: impl Iterator<Item = String> + Send) {
    at(place, || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("bind");
        for name in names {
            socket
                .send_to(&dns_question(&name), (resolver, 53))
                .expect("a way to the resolver");
        }
    });
}

pub fn ask_tcp(place: At, resolver: Ipv4Addr, name: &str) -> DnsAnswer {
    let question = dns_question(name);
    let mut stream = connect(place, resolver, 53).ok()?;
    stream
        .write_all(&[&(question.len() as u16).to_be_bytes()[..], &question].concat())
        .ok()?;
    let mut buffer = [0; 512];
    let length = stream.read(&mut buffer).ok()?;
    dns_answer(&buffer[2..length])
}

fn transparent(kind: SockType, sender: Ipv4Addr) -> OwnedFd {
    let made = socket::socket(AddressFamily::Inet, kind, SockFlag::empty(), None);
    let socket = made.expect("a socket");
    socket::setsockopt(&socket, sockopt::IpTransparent, &true).expect("root");
    let silence = TimeVal::milliseconds(SILENCE.as_millis() as i64);
    socket::setsockopt(&socket, sockopt::ReceiveTimeout, &silence).expect("a timeout");
    socket::setsockopt(&socket, sockopt::SendTimeout, &silence).expect("a timeout");
    let sender = socket::SockaddrIn::from(SocketAddrV4::new(sender, 0));
    socket::bind(socket.as_raw_fd(), &sender).expect("bind");
    socket
}

/// A connection from a place, with an address of others as the sender's.
pub fn connect_as(place: At, sender: Ipv4Addr, to: Ipv4Addr, port: u16) -> io::Result<TcpStream> {
    at(place, || {
        let socket = transparent(SockType::Stream, sender);
        let to = socket::SockaddrIn::from(SocketAddrV4::new(to, port));
        socket::connect(socket.as_raw_fd(), &to)?;
        Ok(socket.into())
    })
}

/// The sender's address as the receiver saw it, if its answer came back to the place.
pub fn udp_as(place: At, sender: Ipv4Addr, to: Ipv4Addr, port: u16) -> Option<Ipv4Addr> {
    at(place, || {
        let socket = UdpSocket::from(transparent(SockType::Datagram, sender));
        socket.send_to(b"who am I", (to, port)).ok()?;
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).ok()?;
        String::from_utf8_lossy(&buffer[..length]).parse().ok()
    })
}
