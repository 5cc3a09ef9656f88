//! Asking git.
//!
//! | File | What is in it |
//! |---|---|
//! | `repository` | which repository, and its commits |
//! | `log` | the history, commit by commit, each with its difference to its first parent |
//! | `change` | one file's part in a commit |
//! | `churn` | what each author did, by `--shortstat` |
//! | `tree` | the files of a commit, by `ls-tree` |
//! | `blobs` | the lines of a blob, counted by ourselves |
//! | `tokens` | what git ends with NUL |

mod blobs;
mod change;
mod churn;
mod log;
mod repository;
mod tokens;
mod tree;

pub(crate) use blobs::{Blobs, Measure};
pub(crate) use change::{Change, Churn, Kind};
pub(crate) use churn::churn;
#[cfg(test)]
pub(crate) use log::steps;
pub(crate) use log::{Commit, Log, Step};
pub(crate) use repository::{Link, Repository};
pub(crate) use tree::tree;
