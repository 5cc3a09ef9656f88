//! A program in a process group of its own, which goes with it.

use std::process::{ExitStatus, Stdio};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::PATIENCE;

/// A program that runs, until this is dropped.
pub(crate) struct Program {
    child: Child,
    group: u32,
    said: Lines<BufReader<ChildStdout>>,
}

impl Program {
    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        let group = child.id().unwrap();
        Self { child, group, said }
    }

    /// Waits until it has said a line with this in it, and gives what follows there.
    pub(crate) async fn says(&mut self, what: &str) -> String {
        let heard = async {
            while let Some(line) = self.said.next_line().await.unwrap() {
                if let Some((_, rest)) = line.split_once(what) {
                    return rest.to_owned();
                }
            }
            panic!("it has ended without saying {what:?}: {:?}", self.child.wait().await)
        };
        timeout(PATIENCE, heard).await.unwrap()
    }

    /// Sends a signal to it and to all that it has started.
    pub(crate) fn signal(&self, name: &str) {
        assert!(kill(name, self.group), "it is gone");
    }

    /// Waits until it ends, and tells how.
    pub(crate) async fn ends(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // A group that has ended has no number of its own any more.
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            kill("KILL", self.group);
        }
    }
}

fn kill(signal: &str, group: u32) -> bool {
    let (signal, group) = (format!("-{signal}"), format!("-{group}"));
    let killed = std::process::Command::new("kill").args([&signal, "--", &group]).status();
    killed.is_ok_and(|status| status.success())
}
