//! A process that executes the commands of its clients until it is killed, and the clients' side of it.

use std::{
    collections::HashMap,
    io::Write as _,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use highwater::{
    Highwater, Result,
    port::Store,
    stores::{PostgresOptions, PostgresStore, SqliteOptions, SqliteStore, SystemClock},
};
use highwater_test_support::{answers::Answer, process, till::TillStep, worker};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdout, Command},
    sync::{mpsc, oneshot},
};

use crate::random::RandomlyLate;

/// The URL of the store, and the seed of its delays.
type Task = (String, u64);

/// A command on its way to the process: its number, the step, and the till.
type Sent = (u64, TillStep, u64);

/// The beginning of a line of the output that is an answer: the number of the command, and what it says.
const ANSWER: &str = "answer ";

/// The time within which each command is answered, whatever happens to the server.
const PATIENCE: Duration = Duration::from_secs(120);

/// The commands that have no answer yet; `None` once the process has ended.
type Waiting = Arc<Mutex<Option<HashMap<u64, oneshot::Sender<Option<Answer>>>>>>;

/// The clients' side. The process is killed when this is dropped.
pub(crate) struct ApiProcess {
    child: Mutex<Child>,
    commands: mpsc::Sender<Sent>,
    waiting: Waiting,
    sent: AtomicU64,
}

impl ApiProcess {
    /// Starts a process. Must be called within a runtime.
    pub(crate) fn start(url: &str, seed: u64) -> Self {
        let child = process::child("api_process::answers_until_it_is_killed", &(url, seed));
        let mut child = Command::from(child);
        let child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = child.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let waiting: Waiting = Arc::new(Mutex::new(Some(HashMap::new())));
        tokio::spawn(pass_on(child.stdout.take().unwrap(), waiting.clone()));
        let (commands, mut sent) = mpsc::channel::<Sent>(64);
        tokio::spawn(async move {
            while let Some(command) = sent.recv().await {
                let line = format!("{}\n", serde_json::to_string(&command).unwrap());
                // The process may have been killed.
                let _ = stdin.write_all(line.as_bytes()).await;
            }
        });
        Self { child: Mutex::new(child), commands, waiting, sent: AtomicU64::new(0) }
    }

    /// Sends a command, and waits for its answer. There is none if the process is killed.
    pub(crate) async fn execute(&self, step: TillStep, till: u64) -> Option<Answer> {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.waiting.lock().unwrap().as_mut()?.insert(number, answer);
        self.commands.send((number, step, till)).await.ok()?;
        let answer = tokio::time::timeout(PATIENCE, answered).await;
        answer.expect("a command hangs").ok().flatten()
    }

    /// Kills the process as `kill -9` does.
    pub(crate) fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        assert!(child.try_wait().unwrap().is_none(), "a process has ended by itself");
        child.start_kill().unwrap();
    }
}

/// Passes the answers on, until the process ends.
async fn pass_on(output: ChildStdout, waiting: Waiting) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Some((_, answer)) = line.split_once(ANSWER) else { continue };
        // A line that was truncated by the kill is no answer.
        let Ok((number, answer)) = serde_json::from_str::<(u64, Option<Answer>)>(answer) else {
            continue;
        };
        let client = waiting.lock().unwrap().as_mut().and_then(|all| all.remove(&number));
        // The client may be gone.
        let _ = client.map(|client| client.send(answer));
    }
    *waiting.lock().unwrap() = None;
}

/// Runs as the child process.
#[test]
fn answers_until_it_is_killed() {
    if let Some((url, seed)) = process::task::<Task>() {
        process::run(async move {
            let store = worker::retry(|| open(&url)).await;
            answer_all(RandomlyLate::open(store, seed), tokio::io::stdin()).await;
        });
    }
}

/// Opens the store of a URL.
pub(crate) async fn open(url: &str) -> Result<Arc<dyn Store>> {
    if url.starts_with("sqlite:") {
        let options = SqliteOptions::new(url)?;
        return Ok(Arc::new(SqliteStore::open(options, Arc::new(SystemClock)).await?));
    }
    let options = PostgresOptions::new(url)?.connections(4);
    Ok(Arc::new(PostgresStore::connect(options).await?))
}

/// Executes all commands of its input, each in a task of its own.
async fn answer_all(tills: Highwater, input: impl AsyncRead + Unpin) {
    // The test harness may have begun a line.
    println!();
    let mut lines = BufReader::new(input).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        let (number, step, till): Sent = serde_json::from_str(&line).unwrap();
        let tills = tills.clone();
        tokio::spawn(async move {
            let answer = (number, step.execute(&tills, till).await);
            let line = serde_json::to_string(&answer).unwrap();
            writeln!(std::io::stdout().lock(), "{ANSWER}{line}").unwrap();
        });
    }
}
