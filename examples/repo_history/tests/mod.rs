//! Tests, on repositories made for them with `git fast-import`.
//!
//! | File | What is in it |
//! |---|---|
//! | `parse` | what `git log` prints |
//! | `domain` | the rules |
//! | `whole` | random histories, recorded and compared with git |
//! | `odd` | repositories of unusual kinds |
//! | `kill` | runs that are killed |
//! | `sandbox`, `generate` | the repositories |
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod domain;
mod generate;
mod kill;
mod odd;
mod parse;
mod sandbox;
mod whole;
