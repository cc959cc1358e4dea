//! What opening, a durable write and a read cost. `txn` waits for the disk; `txn x 64` shows what the group commit gives.

use std::sync::Arc;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use neargate_store::{EmbeddedStore, KeyRange, Op, Store, Txn};

/// About the size of a task's record.
const VALUE_BYTES: usize = 2_000;
const RECORDS: u32 = 10_000;
const WRITERS: u32 = 64;

fn write(number: u32) -> Txn {
    Txn {
        compares: Vec::new(),
        ops: vec![Op::Put {
            key: key(number),
            value: Bytes::from(vec![b'x'; VALUE_BYTES]),
            lease: 0,
        }],
    }
}

fn key(number: u32) -> Bytes {
    Bytes::from(format!(
        "/ecs/000000000000/us-east-1/tasks/default/{number:08}"
    ))
}

fn store(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime starts");
    let directory = tempfile::tempdir().expect("the temporary directory is writable");
    let store = EmbeddedStore::open(&directory.path().join("state.redb")).expect("opens");
    let store = Arc::new(store);
    runtime.block_on(async {
        let ops = (0..RECORDS).flat_map(|n| write(n).ops).collect();
        let txn = Txn {
            compares: Vec::new(),
            ops,
        };
        store.txn(txn).await.expect("the disk works");
    });

    criterion.bench_function("open, empty directory", |bench| {
        bench.iter_batched(
            || tempfile::tempdir().expect("the temporary directory is writable"),
            |directory| {
                let store = EmbeddedStore::open(&directory.path().join("state.redb"));
                (store.expect("opens"), directory)
            },
            BatchSize::PerIteration,
        );
    });

    let mut number = 0;
    let mut next = || {
        number = (number + 7_919) % RECORDS;
        number
    };
    criterion.bench_function("txn, durable", |bench| {
        bench.iter(|| {
            runtime
                .block_on(store.txn(write(next())))
                .expect("the disk works")
        });
    });
    let mut group = criterion.benchmark_group("group commit");
    group.throughput(Throughput::Elements(u64::from(WRITERS)));
    group.bench_function("txn, durable, 64 writers", |bench| {
        bench.iter(|| {
            runtime.block_on(async {
                let writers: Vec<_> = (0..WRITERS)
                    .map(|_| {
                        let (store, txn) = (Arc::clone(&store), write(next()));
                        tokio::spawn(async move { store.txn(txn).await })
                    })
                    .collect();
                for writer in writers {
                    writer.await.expect("no panic").expect("the disk works");
                }
            });
        });
    });
    group.finish();
    criterion.bench_function("get", |bench| {
        bench.iter(|| {
            runtime
                .block_on(store.get(&key(next())))
                .expect("reads work")
        });
    });
    criterion.bench_function("range of 100", |bench| {
        let range = KeyRange::prefix("/ecs/000000000000/us-east-1/tasks/default/");
        bench.iter(|| {
            runtime
                .block_on(store.range(range.clone(), 100))
                .expect("reads work")
        });
    });
}

criterion_group!(benches, store);
criterion_main!(benches);
