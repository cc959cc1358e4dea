//! A load balancer's own address, in a network namespace as a node makes it. Needs root.

mod common;

use common::*;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

const NAME: &str = "eni-0123456789abcdef0";
const TARGET_PORT: u16 = 9000;
const PORT: u16 = 80;

/// A namespace with nothing but loopback, mounted where a node of this instance would have it.
struct Namespace {
    dir: PathBuf,
}

impl Namespace {
    fn instance() -> String {
        format!("7e57{:04x}", std::process::id() & 0xffff)
    }

    fn path(&self) -> PathBuf {
        self.dir.join("netns").join(NAME)
    }

    fn make() -> Self {
        let namespace = Self {
            dir: Path::new("/run/neargate").join(Self::instance()),
        };
        fs::create_dir_all(namespace.dir.join("netns")).expect("root makes directories there");
        let path = namespace.path();
        File::create(&path).expect("a fresh directory");
        let made = std::thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("root has namespaces");
            let own = Some("/proc/thread-self/ns/net");
            mount(own, &path, None::<&str>, MsFlags::MS_BIND, None::<&str>).expect("it is mounted");
            let up = Command::new("ip")
                .args(["link", "set", "lo", "up"])
                .status();
            assert!(up.expect("iproute2 is there").success());
        });
        made.join().expect("it is made");
        namespace
    }

    /// Runs `work` on a thread inside.
    fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let path = self.path();
        let thread = std::thread::spawn(move || {
            let there = File::open(path).expect("it is mounted");
            setns(&there, CloneFlags::CLONE_NEWNET).expect("root enters it");
            work()
        });
        thread.join().expect("no panic inside")
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = umount2(&self.path(), MntFlags::MNT_DETACH);
        let _ = fs::remove_dir_all(&self.dir);
    }
}

#[test]
fn a_namespaces_listener_serves_from_inside_and_reaches_targets_inside() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = dir.path().join("node");
    fs::create_dir(&node).expect("a fresh directory");
    let server = Server::start(dir.path());
    let lb = Lb::start_beside(&dir.path().join("lb"), Some(&server.socket), Some(&node));

    // The load balancer is told first; then the node comes, and makes the namespace.
    let mut wanted = table(PORT, &[]);
    wanted.load_balancers[0].interfaces[0].netns = NAME.to_owned();
    wanted.target_groups[0].targets = vec![at(([127, 0, 0, 1], TARGET_PORT).into())];
    let version = server.send(wanted);
    server.wait("the problem is told", |seen| {
        seen.version == version && seen.load_balancers.values().any(|lb| !lb.serving)
    });
    fs::write(node.join("instance"), Namespace::instance()).expect("writable");
    let namespace = Namespace::make();
    server.wait("it serves", |seen| {
        seen.load_balancers.values().all(|lb| lb.serving)
    });

    let target =
        namespace.run(|| TcpListener::bind(("127.0.0.1", TARGET_PORT)).expect("free inside"));
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = target.accept().expect("the load balancer comes");
        let mut request = [0; 1024];
        assert!(stream.read(&mut request).expect("a request") > 0);
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ninside";
        stream.write_all(answer).expect("the load balancer reads");
    });
    let client =
        namespace.run(|| TcpStream::connect(("127.0.0.1", PORT)).expect("it is open inside"));
    let mut client = Client(std::io::BufReader::new(client));
    assert_eq!(client.get("/").body, b"inside");
    serving.join().expect("no panic");
    lb.stop();
}
