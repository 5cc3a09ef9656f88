//! Several processes that write to one log. A child is this program again, told by its environment.

use std::{env, ops::Range, time::Duration};

use futures_util::future::join_all;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, Command},
};

use crate::{domain::ACCOUNTS, ours};

const VARIABLE: &str = "HIGHWATER_BENCH_ASSIGNMENT";

/// What a child has to do.
pub(crate) struct Assignment {
    url: String,
    schema: String,
    tasks: u64,
    accounts: Range<u64>,
    millis: u64,
}

impl Assignment {
    pub(crate) fn from_env() -> Option<Self> {
        let text = env::var(VARIABLE).ok()?;
        let parts: Vec<&str> = text.split('|').collect();
        let number = |place: usize| parts[place].parse::<u64>().unwrap();
        Some(Self {
            url: parts[0].to_owned(),
            schema: parts[1].to_owned(),
            tasks: number(2),
            accounts: number(3)..number(4),
            millis: number(5),
        })
    }

    fn to_text(&self) -> String {
        let Self { url, schema, tasks, accounts, millis } = self;
        format!("{url}|{schema}|{tasks}|{}|{}|{millis}", accounts.start, accounts.end)
    }

    /// The child's part: gets ready, says so, waits for the word, works, and says how fast.
    pub(crate) async fn work(self) {
        let bank = ours::open(&self.url, &self.schema).await;
        ours::warm(&bank, self.accounts.clone()).await;
        println!("ready");
        let mut line = String::new();
        BufReader::new(tokio::io::stdin()).read_line(&mut line).await.unwrap();
        let time = Duration::from_millis(self.millis);
        println!("{}", ours::concurrent(&bank, self.tasks, self.accounts, time).await);
    }
}

/// Commands per second of so many processes together. They share the accounts, or each has some of
/// its own.
pub(crate) async fn measure(
    url: &str,
    schema: &str,
    processes: u64,
    tasks: u64,
    shared: bool,
    time: Duration,
) -> f64 {
    let each = ACCOUNTS / processes;
    let accounts = |process: u64| match shared {
        true => 0..ACCOUNTS,
        false => process * each..(process + 1) * each,
    };
    let mut children: Vec<Working> = (0..processes)
        .map(|process| Assignment {
            url: url.to_owned(),
            schema: schema.to_owned(),
            tasks,
            accounts: accounts(process),
            millis: time.as_millis() as u64,
        })
        .map(|assignment| Working::start(&assignment))
        .collect();
    join_all(children.iter_mut().map(Working::line)).await;
    for child in &mut children {
        child.go().await;
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

    async fn go(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"go\n").await.unwrap();
    }
}
