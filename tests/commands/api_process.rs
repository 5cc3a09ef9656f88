//! A process that executes the commands of its clients until it is killed, and the clients' side of it.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    io::Write as _,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use highwater::{
    Code, Highwater, Receipt, Result,
    port::Store,
    stores::{PostgresOptions, PostgresStore, SqliteOptions, SqliteStore},
};
use highwater_test_support::{
    answers::Answer,
    clock::SetClock,
    machine::{CLOCK_JUMPED, MachineFile},
    process,
    till::answer_of,
    worker,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdout, Command},
    sync::{mpsc, oneshot},
};

use crate::{notes::Asked, random::RandomlyLate};

/// The URL of the store, the seed of its delays, and the machine of the process.
type Task = (String, u64, MachineFile);

/// A command on its way to the process: its number, what is asked, and the till.
type Sent = (u64, Asked, u64);

/// The answer of a process to a command of this number, or why it has none.
type Answered = (u64, std::result::Result<Answer, String>);

/// The beginning of a line of the output that is an answer: the number of the command, and what it says.
const ANSWER: &str = "answer ";

/// The time within which each command is answered, whatever happens to the server.
const PATIENCE: Duration = Duration::from_secs(120);

/// The outcome of a command that got no answer from the server, or not in time.
pub(crate) const NO_ANSWER: &str = "no answer within";
pub(crate) const DISK_FULL: &str = "database or disk is full";
pub(crate) const REFUSED_AT_COMMIT: &str = "refused at the commit";

/// Counts the outcomes that processes report beside answers.
#[derive(Clone, Default)]
pub(crate) struct Outcomes(Arc<Mutex<BTreeMap<String, usize>>>);

impl Outcomes {
    pub(crate) fn count(&self, outcome: &str) -> usize {
        self.0.lock().unwrap().get(outcome).copied().unwrap_or_default()
    }

    fn add(&self, outcome: &str) {
        *self.0.lock().unwrap().entry(outcome.to_owned()).or_default() += 1;
    }
}

impl fmt::Debug for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.lock().unwrap().fmt(f)
    }
}

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
    pub(crate) fn start(url: &str, seed: u64, machine: &MachineFile, outcomes: &Outcomes) -> Self {
        let task = (url, seed, machine);
        let child = process::child("api_process::answers_until_it_is_killed", &task);
        let mut child = Command::from(child);
        let child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = child.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let waiting: Waiting = Arc::new(Mutex::new(Some(HashMap::new())));
        tokio::spawn(pass_on(child.stdout.take().unwrap(), waiting.clone(), outcomes.clone()));
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
    pub(crate) async fn execute(&self, asked: Asked, till: u64) -> Option<Answer> {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.waiting.lock().unwrap().as_mut()?.insert(number, answer);
        self.commands.send((number, asked, till)).await.ok()?;
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
async fn pass_on(output: ChildStdout, waiting: Waiting, outcomes: Outcomes) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line.starts_with(CLOCK_JUMPED) {
            outcomes.add(CLOCK_JUMPED);
        }
        let Some((_, answer)) = line.split_once(ANSWER) else { continue };
        // A line that was truncated by the kill is no answer.
        let Ok((number, answer)) = serde_json::from_str::<Answered>(answer) else { continue };
        let answer = answer.inspect_err(|outcome| outcomes.add(outcome)).ok();
        let client = waiting.lock().unwrap().as_mut().and_then(|all| all.remove(&number));
        // The client may be gone.
        let _ = client.map(|client| client.send(answer));
    }
    *waiting.lock().unwrap() = None;
}

/// Runs as the child process.
#[test]
fn answers_until_it_is_killed() {
    if let Some((url, seed, machine)) = process::task::<Task>() {
        process::run(async move {
            let clock = machine.clock();
            let store = worker::retry(|| open(&url, &clock)).await;
            let tills = RandomlyLate::builder(store, seed).clock(clock).build();
            if url.starts_with("sqlite:") {
                machine.limit_disk_of(tills.log());
            }
            answer_all(tills, &url, tokio::io::stdin()).await;
        });
    }
}

/// Opens the store of a URL by this clock.
pub(crate) async fn open(url: &str, clock: &SetClock) -> Result<Arc<dyn Store>> {
    if url.starts_with("sqlite:") {
        let options = SqliteOptions::new(url)?;
        return Ok(Arc::new(SqliteStore::open(options, Arc::new(clock.clone())).await?));
    }
    let options = PostgresOptions::new(url)?.connections(4);
    Ok(Arc::new(PostgresStore::connect(options).await?))
}

/// Executes all commands of its input, each in a task of its own.
async fn answer_all(tills: Highwater, url: &str, input: impl AsyncRead + Unpin) {
    // The test harness may have begun a line.
    println!();
    let mut lines = BufReader::new(input).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        let (number, asked, till): Sent = serde_json::from_str(&line).unwrap();
        let (tills, url) = (tills.clone(), url.to_owned());
        tokio::spawn(async move {
            let answer: Answered = (number, answer(asked, asked.send(&tills, &url, till).await));
            let line = serde_json::to_string(&answer).unwrap();
            writeln!(std::io::stdout().lock(), "{ANSWER}{line}").unwrap();
        });
    }
}

/// Returns the answer, or what is to be reported of a command without one.
fn answer(asked: Asked, outcome: Result<Receipt>) -> std::result::Result<Answer, String> {
    let report = outcome.as_ref().err().map(|error| {
        let (code, text) = (error.code(), error.to_string());
        let is_refused = asked == Asked::RefusedAtCommit && code == Code::BAD_REQUEST;
        let known = [NO_ANSWER, DISK_FULL].into_iter().find(|known| text.contains(known));
        let known = if is_refused { Some(REFUSED_AT_COMMIT) } else { known };
        known.map_or_else(|| code.to_string(), str::to_owned)
    });
    match report {
        Some(refused) if refused == REFUSED_AT_COMMIT => Err(refused),
        report => answer_of(outcome).ok_or_else(|| report.unwrap_or_default()),
    }
}
