//! What the kernel decides: a `kill -9` during writes, and a disk that is full. Without the real thing, a store that
//! acknowledges before the disk has it would pass every other test.
//!
//! A program of its own, because the first test starts it again as the process that is killed, and the second needs a
//! mount namespace before there are threads.

mod disk_full;
mod kill;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some(kill::CHILD) => kill::write_until_killed(arguments[2].as_ref()),
        // Test runners ask for names first; this program is one test.
        Some("--list") => println!("host: test"),
        _ => {
            kill::a_store_that_was_being_made_opens();
            println!("test a_store_that_was_being_made_opens ... ok");
            kill::acknowledged_transactions_survive();
            println!("test acknowledged_transactions_survive_kill_9 ... ok");
            disk_full::a_full_disk_refuses_and_recovers();
            println!("test a_full_disk_refuses_and_recovers ... ok");
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime starts")
}
