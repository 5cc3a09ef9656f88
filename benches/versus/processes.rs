//! Several processes that write to one log. A child is this program again, told by its environment.

use std::{
    env,
    ops::Range,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, Command},
};

use crate::{domain::ACCOUNTS, ours};
use highwater_benches::{Routine, wait};

const VARIABLE: &str = "HIGHWATER_BENCH_ASSIGNMENT";
const SCHEMA: &str = "bank";

/// Seconds for a command, before anything is known.
const FIRST_GUESS: f64 = 25e-6;
/// In less time processes would hardly meet.
const SHORTEST: Duration = Duration::from_millis(20);

/// What a child has to do.
pub(crate) struct Assignment {
    url: String,
    tasks: u64,
    accounts: Range<u64>,
}

impl Assignment {
    pub(crate) fn from_env() -> Option<Self> {
        let text = env::var(VARIABLE).ok()?;
        let parts: Vec<&str> = text.split('|').collect();
        let number = |place: usize| parts[place].parse::<u64>().unwrap();
        Some(Self { url: parts[0].to_owned(), tasks: number(1), accounts: number(2)..number(3) })
    }

    fn to_text(&self) -> String {
        let Self { url, tasks, accounts } = self;
        format!("{url}|{tasks}|{}|{}", accounts.start, accounts.end)
    }

    /// The child's part: gets ready, says so, and works for as many milliseconds as it is told, again
    /// and again; each time it says how many commands a second it was.
    pub(crate) async fn work(self) {
        let bank = ours::open_warm(&self.url, SCHEMA, self.accounts.clone()).await;
        println!("ready");
        let mut orders = BufReader::new(tokio::io::stdin()).lines();
        while let Some(millis) = orders.next_line().await.unwrap() {
            let began = Instant::now();
            let end = began + Duration::from_millis(millis.parse().unwrap());
            let more = move || Instant::now() < end;
            let done = ours::deposits(&bank, self.tasks, &self.accounts, more).await;
            println!("{}", done as f64 / began.elapsed().as_secs_f64());
        }
    }
}

/// Commands of so many processes together. They share the accounts, or each has some of its own.
///
/// Processes can't take turns at one budget, and the last of them would be alone at the end of its
/// share. So they all work for as long as so many commands should take, and what so many took follows
/// from how fast they were.
pub(crate) fn commands(
    url: &str,
    processes: u64,
    tasks: u64,
    shared: bool,
) -> impl Routine + use<> {
    let mut children = wait(start(url, processes, tasks, shared));
    let mut each = FIRST_GUESS;
    move |commands| {
        let time = Duration::from_secs_f64(each * commands as f64).max(SHORTEST);
        each = 1.0 / wait(rate(&mut children, time));
        Duration::from_secs_f64(each * commands as f64)
    }
}

async fn start(url: &str, processes: u64, tasks: u64, shared: bool) -> Vec<Working> {
    // Whoever is first makes the tables.
    drop(ours::open(url, SCHEMA).await);
    let share = ACCOUNTS / processes;
    let accounts = |process: u64| match shared {
        true => 0..ACCOUNTS,
        false => process * share..(process + 1) * share,
    };
    let mut children: Vec<Working> = (0..processes)
        .map(|process| Assignment { url: url.to_owned(), tasks, accounts: accounts(process) })
        .map(|assignment| Working::start(&assignment))
        .collect();
    join_all(children.iter_mut().map(Working::line)).await;
    children
}

/// Commands per second of all of them.
async fn rate(children: &mut [Working], time: Duration) -> f64 {
    for child in &mut *children {
        child.go_on_for(time).await;
    }
    let rates = join_all(children.iter_mut().map(Working::line)).await;
    rates.iter().map(|rate| rate.trim().parse::<f64>().unwrap()).sum()
}

struct Working {
    child: Child,
    output: BufReader<tokio::process::ChildStdout>,
}

impl Working {
    fn start(assignment: &Assignment) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .env(VARIABLE, assignment.to_text())
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).await.unwrap();
        line
    }

    async fn go_on_for(&mut self, time: Duration) {
        let order = format!("{}\n", time.as_millis());
        self.child.stdin.as_mut().unwrap().write_all(order.as_bytes()).await.unwrap();
    }
}
