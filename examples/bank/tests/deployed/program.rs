//! A program of the bank as a deployment starts it, and what that makes it do.

use std::{
    collections::BTreeMap,
    env, fs,
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use highwater::service::Config;
use serde::{Deserialize, Serialize};

/// The file into which the child writes what it has understood.
const CHILD: &str = "HIGHWATER_TEST_TOLD";

/// A command, and the variables that it finds.
pub(crate) struct Program {
    pub(crate) command: Vec<String>,
    pub(crate) variables: BTreeMap<String, String>,
}

/// What it understands of its variables.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Where probes and Prometheus ask.
    pub(crate) probes: SocketAddr,
    /// How long its end may take.
    pub(crate) drain: Duration,
    pub(crate) policies: Option<PathBuf>,
    /// How many partitions a relay makes.
    pub(crate) partitions: u64,
}

/// Reads its environment, as the programs do. Without a parent that waits for that it is an empty test.
#[test]
fn understands_what_it_is_told() {
    let Some(file) = env::var_os(CHILD) else { return };
    let config = Config::from_environment("BANK").unwrap();
    config.kafka().unwrap();
    let told = Told {
        probes: config.http.listen,
        drain: config.drain,
        policies: config.policies,
        partitions: config.relay.partitions.unwrap().into(),
    };
    fs::write(file, serde_json::to_string(&told).unwrap()).unwrap();
}

impl Program {
    /// The program, which must be one of the bank's.
    fn binary(&self) -> &'static str {
        match self.command[0].as_str() {
            "bank-api" => env!("CARGO_BIN_EXE_bank-api"),
            "bank-relay" => env!("CARGO_BIN_EXE_bank-relay"),
            "bank-worker" => env!("CARGO_BIN_EXE_bank-worker"),
            other => panic!("{other} is no program that is told by variables"),
        }
    }

    /// What it understands of its variables, all of which it must know.
    pub(crate) fn told(&self) -> Told {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("told");
        let mut child = alone(env::current_exe().unwrap().to_str().unwrap());
        child.args(["--exact", "program::understands_what_it_is_told"]);
        let output = child.envs(&self.variables).env(CHILD, &file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{:?} is not understood: {said}", self.variables);
        serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
    }

    /// Whether it knows its arguments: they are looked at before the help that is asked for behind them. One
    /// that takes none doesn't look at any, and can't start without a store.
    pub(crate) fn takes_its_arguments(&self) {
        let (program, arguments) = (self.binary(), &self.command[1..]);
        if arguments.is_empty() {
            return;
        }
        let output = alone(program).args(arguments).arg("--help").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{:?}: {said}", self.command);
        assert!(String::from_utf8_lossy(&output.stdout).contains("Usage:"), "{:?}", self.command);
    }

    /// Where it has its page, if it has one.
    pub(crate) fn page(&self) -> Option<SocketAddr> {
        let place = self.command.iter().position(|argument| argument == "--listen")?;
        Some(self.command[place + 1].parse().unwrap())
    }

    pub(crate) fn is(&self, name: &str) -> bool {
        self.command[0] == name
    }
}

/// A program that finds no variable of the bank's but what it is given.
fn alone(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("BANK_") {
            command.env_remove(name);
        }
    }
    command
}
