//! The operator's tool of Highwater, in its part that needs no type of an application: what can be asked of a store,
//! and done to it, by name. `docs/guide/tool.md` has every verb with its output.
//!
//! The binary `highwater` is [`Tool::parse`](clap::Parser::parse) and [`Tool::main`]. A program that has a tool of its
//! own can run these verbs among its own:
//!
//! ```
//! use clap::Parser as _;
//! use highwater::{Highwater, Open as _};
//! use highwater_cli::{Tool, ToolOutcome};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), highwater_cli::ToolFailure> {
//! let bank = Highwater::open("memory:").await?;
//! let mut printed = Vec::new();
//! let tool = Tool::try_parse_from(["highwater", "status"]).unwrap();
//! let outcome = tool.run_on(&bank, &mut printed).await?;
//! assert_eq!(outcome, ToolOutcome::Done);
//! assert!(printed.starts_with(b"head of the log: 0\n"));
//! # Ok(())
//! # }
//! ```
//!
//! | File | What is in it |
//! |---|---|
//! | `tool` | the arguments, and the run of a verb |
//! | `connection` | the URLs of the stores |
//! | `outcome` | outcomes of verbs, failures, exit codes |
//! | `output` | text and JSON, tables, texts that don't disturb a terminal |
//! | `question` | questions before a change |
//! | `verbs` | the verbs |

mod connection;
mod outcome;
mod output;
mod question;
mod tool;
mod verbs;

pub use outcome::{ToolFailure, ToolOutcome};
pub use tool::Tool;
