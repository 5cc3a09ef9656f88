//! Work in a separate process: this program again, with its assignment in the environment.

use std::{
    env,
    io::{BufRead as _, stdin},
    process::Stdio,
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child as Process, ChildStdout, Command},
};

use crate::{memory, observed, processes};

const VARIABLE: &str = "HIGHWATER_BENCH_ASSIGNMENT";

/// The work of a child.
#[derive(Serialize, Deserialize)]
pub(crate) enum Assignment {
    /// Commands, for the ordered number of milliseconds.
    Commands(processes::Assignment),
    /// One catch-up, whose memory is measured.
    CatchUp(memory::Assignment),
    /// Repeats a work while an observer is installed.
    Observed(observed::Assignment),
}

impl Assignment {
    pub(crate) fn from_env() -> Option<Self> {
        let text = env::var(VARIABLE).ok()?;
        Some(serde_json::from_str(&text).unwrap())
    }

    /// Carries the assignment out, in the child.
    pub(crate) fn work(self) {
        match self {
            Self::Commands(assignment) => assignment.work(),
            Self::CatchUp(assignment) => assignment.work(),
            Self::Observed(assignment) => assignment.work(),
        }
    }
}

/// The child's side of the protocol, on a thread that is not one of the runtime's: it reports that it is ready, and
/// answers each order with a number.
pub(crate) fn serve(mut answer: impl FnMut(u64) -> f64) {
    println!("ready");
    for order in stdin().lock().lines() {
        println!("{}", answer(order.unwrap().parse().unwrap()));
    }
}

/// A running child. It ends when this is dropped.
pub(crate) struct Child {
    process: Process,
    output: BufReader<ChildStdout>,
}

impl Child {
    pub(crate) fn start(assignment: &Assignment) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .env(VARIABLE, serde_json::to_string(assignment).unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, output }
    }

    /// Waits until it is ready.
    pub(crate) async fn ready(&mut self) {
        assert_eq!(self.line().await.trim(), "ready");
    }

    pub(crate) async fn order(&mut self, number: u64) {
        let order = format!("{number}\n");
        self.process.stdin.as_mut().unwrap().write_all(order.as_bytes()).await.unwrap();
    }

    pub(crate) async fn answer(&mut self) -> f64 {
        self.line().await.trim().parse().unwrap()
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).await.unwrap();
        line
    }
}
