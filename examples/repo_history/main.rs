//! The history of a git repository as events: a file's life is a stream, a commit is one atomic
//! command, and the read models are compared with git in the end.
//!
//! ```sh
//! cargo run --example repo_history                          # the repository that you stand in
//! cargo run --example repo_history -- ../linux              # another one
//! cargo run --example repo_history -- --tree HEAD~3         # its files as of a commit, from the log
//! ```
//!
//! # What is read
//!
//! The line of first parents, from its beginning to `HEAD`. Each commit counts with its difference to
//! its first parent, so the events up to a commit give exactly the tree of that commit. A merge brings
//! in all that its branch did, and that counts for the author of the merge. Renames are those that git sees with
//! `-M`: at least half of the content is the same.
//!
//! A file that git takes for binary has no lines. Attributes (`-diff`, `binary`) are left aside: they are
//! those of today's working tree, while history is to be read the same whenever it is read. A mode, a
//! symbolic link, a submodule (one line, as git shows it), an empty file, an empty commit: all are there.
//! A shallow clone begins where it was cut off. What can't be recorded is a path of more than 1,019
//! bytes: it is too long for the name of a stream. It needs git 2.31 or newer.
//!
//! # Why it can be stopped anywhere
//!
//! The id of a command is derived from the first commit of the history and the commit. Whatever is sent
//! again (after a kill, by a second run, by two at once) is recognised by its id, and appended once (W4).
//! So the program has nothing to remember; it begins after the last commit that is recorded, and with
//! `--resend` at the first, which changes nothing but the time it takes.
//!
//! | File | What is in it |
//! |---|---|
//! | `file`, `history` | the domain: aggregates, commands, events, invariants |
//! | `views` | the read models |
//! | `record` | a commit becomes a command |
//! | `tree` | the tree as of a position, folded from the log |
//! | `check` | everything against git |
//! | `git` | asking git |
//! | `path` | the paths of git, and the keys that stand for them |
//! | `run`, `feed`, `read`, `report`, `progress`, `problem` | the program around that |

mod check;
mod feed;
mod file;
mod git;
mod history;
mod path;
mod problem;
mod progress;
mod read;
mod record;
mod report;
mod run;
#[cfg(test)]
mod tests;
mod tree;
mod views;

use std::{
    io::{self, ErrorKind},
    process::ExitCode,
};

use clap::Parser as _;

use crate::problem::Problem;

#[tokio::main]
async fn main() -> ExitCode {
    match run::run(&run::Arguments::parse(), io::stdout().lock()).await {
        Ok(differences) if differences.is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        // The reader of the pipe has closed it.
        Err(Problem::Print(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("repo_history: {problem}");
            ExitCode::from(2)
        }
    }
}
