//! The files of a commit, by `ls-tree`: another way to the truth than the log.

use std::{collections::BTreeMap, process::Stdio};

use tokio::io::BufReader;

use super::{
    repository::{Repository, finish},
    tokens::Tokens,
};
use crate::{
    file::{Content, Mode},
    problem::Problem,
};

const LS_TREE: &str = "ls-tree";

/// The files of a commit by their paths, which are git's own bytes here.
pub(crate) async fn tree(
    repository: &Repository,
    commit: &str,
) -> Result<BTreeMap<Vec<u8>, Content>, Problem> {
    let mut git = repository.git();
    git.args([LS_TREE, "-r", "-z", "--full-tree", commit]).stdout(Stdio::piped());
    let mut git = git.spawn().map_err(Problem::NoGit)?;
    let output = git.stdout.take().ok_or_else(|| Problem::unexpected(LS_TREE, "output", b""))?;
    let mut tokens = Tokens::of(BufReader::new(output), LS_TREE);
    let mut files = BTreeMap::new();
    while let Some(token) = tokens.next().await? {
        let file = parse(token).ok_or_else(|| Problem::unexpected(LS_TREE, "a file", token))?;
        files.insert(file.0, file.1);
    }
    finish(git, LS_TREE).await?;
    Ok(files)
}

/// Parses `100644 blob <hash><tab>path`.
fn parse(token: &[u8]) -> Option<(Vec<u8>, Content)> {
    let tab = token.iter().position(|byte| *byte == b'\t')?;
    let mut words = token[..tab].split(|byte| *byte == b' ');
    let mode = Mode::from_git(words.next()?)?;
    let blob = String::from_utf8(words.nth(1)?.to_vec()).ok()?;
    Some((token[tab + 1..].to_vec(), Content { mode, blob }))
}
