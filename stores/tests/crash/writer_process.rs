//! A process that writes until it is killed.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Stdio},
    sync::Arc,
    thread,
};

use highwater_core::{
    CommandId, StreamId,
    port::{Append, Store},
    value::Expected,
};
use highwater_stores::{
    PostgresOptions, PostgresStore, SqliteOptions, SqliteStore, SystemClock, testing::build,
};
use highwater_test_support::process;

/// The URL of the store, its schema, and the seed of the appends.
type Task = (String, String, u64);

/// The number of concurrent writers in a child.
pub(super) const TASKS: u64 = 8;
/// The number of streams that they write to.
const STREAMS: u64 = 5;

/// Opens the store of a URL.
pub(super) async fn open(url: &str, schema: &str) -> highwater_core::Result<Arc<dyn Store>> {
    if url.starts_with("sqlite:") {
        let options = SqliteOptions::new(url)?;
        return Ok(Arc::new(SqliteStore::open(options, Arc::new(SystemClock)).await?));
    }
    let options = PostgresOptions::new(url)?.schema(schema)?.connections(4);
    Ok(Arc::new(PostgresStore::connect(options).await?))
}

/// Returns the n-th append of a writer, of one to three events. All its content follows from the
/// numbers, so that the parent can send it again.
pub(super) fn append(seed: u64, task: u64, number: u64) -> Append {
    let command = CommandId::derive([seed, task, number].map(u64::to_be_bytes));
    let stream = stream((seed ^ task.wrapping_mul(31) ^ number) % STREAMS);
    let events = build::events(1 + (number % 3) as usize);
    Append { command, ..build::append_to(&stream, Expected::Any, events) }
}

fn stream(number: u64) -> StreamId {
    build::stream_of("fire", &number.to_string())
}

/// A child that writes, and the appends that it reports as acknowledged: task and number.
pub(super) struct WriterProcess {
    child: Child,
    reader: thread::JoinHandle<Vec<(u64, u64)>>,
}

/// Starts a child.
pub(super) fn start(url: &str, schema: &str, seed: u64) -> WriterProcess {
    let mut child =
        process::child("writer_process::writes_until_it_is_killed", &(url, schema, seed))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reader = thread::spawn(move || {
        // A line that was truncated by the kill is no acknowledgement.
        let parse = |line: String| {
            let (task, number) =
                line.strip_prefix("ack ")?.strip_suffix(" end")?.split_once(' ')?;
            Some((task.parse().ok()?, number.parse().ok()?))
        };
        lines.map_while(Result::ok).filter_map(parse).collect()
    });
    WriterProcess { child, reader }
}

impl WriterProcess {
    /// Kills the child as `kill -9` does, and returns what was acknowledged.
    pub(super) fn kill(mut self) -> Vec<(u64, u64)> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.reader.join().unwrap()
    }
}

/// Runs as the child process.
#[test]
fn writes_until_it_is_killed() {
    let Some((url, schema, seed)) = process::task::<Task>() else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = open(&url, &schema).await.unwrap();
        let tasks = (0..TASKS).map(|task| tokio::spawn(write(Arc::clone(&store), seed, task)));
        futures_util::future::join_all(tasks).await;
    });
}

/// Appends until the parent kills this process.
async fn write(store: Arc<dyn Store>, seed: u64, task: u64) {
    for number in 0.. {
        if let Ok(appended) = store.append(append(seed, task, number)).await {
            assert!(!appended.repeated, "no other process sends this command");
            let mut out = std::io::stdout().lock();
            writeln!(out, "ack {task} {number} end").unwrap();
            out.flush().unwrap();
        } else {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}
