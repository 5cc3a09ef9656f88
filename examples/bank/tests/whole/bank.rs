//! The bank in one process, with its accounts in a folder of its own.

use tempfile::TempDir;
use tokio::process::Command;

use crate::{client::Client, program::Program};

/// The bank in one process, with its accounts in a folder of its own.
pub(crate) struct Bank {
    pub(crate) url: String,
    program: Program,
    folder: TempDir,
}

impl Bank {
    pub(crate) async fn open() -> Self {
        Self::open_in(tempfile::tempdir().unwrap()).await
    }

    async fn open_in(folder: TempDir) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_highwater-bank"));
        command.args(["--listen", "127.0.0.1:0", "--probes", "127.0.0.1:0", "--log", "error"]);
        let mut program = Program::start(command.arg("--file").arg(folder.path().join("bank.db")));
        let url = program.says("the bank is open at ").await;
        Client::of(&url).is_served().await;
        Self { url, program, folder }
    }

    /// Ends it in order; gives what it has left.
    pub(crate) async fn ends(mut self) -> TempDir {
        self.program.signal("TERM");
        assert!(self.program.ends().await.success());
        self.folder
    }

    /// Ends it in order, and opens it again on what it has left.
    pub(crate) async fn reopened(self) -> Self {
        Self::open_in(self.ends().await).await
    }
}
