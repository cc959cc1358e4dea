//! What the kernel decides: a `kill -9` during writes, and a disk that is full. Without the real thing, a log store that
//! acknowledges before the disk has it would pass every other test.
//!
//! A program of its own, because the first test starts it again as the process that is killed, and the second needs a
//! mount namespace before there are threads.

mod disk_full;
mod kill;

use neargate_log_store::{GroupKey, StreamKey};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some(kill::CHILD) => kill::ship_until_killed(arguments[2].as_ref()),
        // Test runners ask for names first; this program is one test.
        Some("--list") => println!("host: test"),
        _ => {
            kill::acknowledged_events_survive();
            println!("test acknowledged_events_survive_kill_9_once_each ... ok");
            disk_full::a_full_disk_refuses_and_recovers();
            println!("test a_full_disk_refuses_and_recovers ... ok");
        }
    }
}

fn stream(source: usize) -> StreamKey {
    StreamKey {
        group: GroupKey {
            account: "000000000000".into(),
            region: "us-east-1".into(),
            group: "/ecs/app".into(),
        },
        stream: format!("app/app/{source}"),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime starts")
}
