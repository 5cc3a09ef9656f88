//! The operator's tool: see the library.

use std::process::ExitCode;

use clap::Parser as _;
use highwater_cli::Tool;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    Tool::parse().main().await
}
