//! The churn of each author by `--shortstat`: sums that git makes itself, read by another way than the
//! log that is recorded.

use std::{collections::BTreeMap, process::Stdio};

use tokio::io::{AsyncReadExt as _, BufReader};

use super::{
    change::Churn,
    log::{DIFFERENCE, author},
    repository::{Repository, finish},
    tokens::Tokens,
};
use crate::{problem::Problem, views::AuthorChurn};

const LOG: &str = "log --shortstat";

/// The contribution of each author on the line of first parents, up to a commit.
pub(crate) async fn churn(
    repository: &Repository,
    to: &str,
) -> Result<BTreeMap<String, AuthorChurn>, Problem> {
    let mut git = repository.git();
    git.args(["log", "--first-parent", "--diff-merges=first-parent", "--shortstat"])
        .args(["--format=%x00%an%x00%ae%x00", "--encoding=UTF-8"])
        .args(DIFFERENCE)
        .args([to, "--"])
        .stdout(Stdio::piped());
    let mut git = git.spawn().map_err(Problem::NoGit)?;
    let output = git.stdout.take().ok_or_else(|| Problem::unexpected(LOG, "output", b""))?;
    // The last counts are not followed by another commit's NUL; so one is put there.
    let mut tokens = Tokens::of(BufReader::new(output.chain(&[0_u8][..])), LOG);
    let mut authors = BTreeMap::<String, AuthorChurn>::new();
    tokens.expect("the beginning").await?;
    while let Some(name) = tokens.next().await? {
        let name = String::from_utf8_lossy(name).into_owned();
        let mail = tokens.text("an address").await?;
        let counts = tokens.text("counts").await?;
        let counts =
            parse(&counts).ok_or_else(|| Problem::unexpected(LOG, "counts", counts.as_bytes()))?;
        let row = authors.entry(author(&name, &mail)).or_default();
        row.commits += 1;
        row.churn = row.churn.plus(counts);
    }
    finish(git, LOG).await?;
    Ok(authors)
}

/// Parses ` 3 files changed, 10 insertions(+), 1 deletion(-)`, of which any part may be missing.
fn parse(counts: &str) -> Option<Churn> {
    let mut churn = Churn::default();
    for part in counts.trim().split(", ").filter(|part| !part.is_empty()) {
        let (number, what) = part.split_once(' ')?;
        let number = number.parse().ok()?;
        match what.split_once('(').map_or(what, |(word, _)| word) {
            "insertion" | "insertions" => churn.added = number,
            "deletion" | "deletions" => churn.deleted = number,
            "file changed" | "files changed" => {}
            _ => return None,
        }
    }
    Some(churn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortstat_is_read_with_any_part_missing() {
        let churn = |added, deleted| Some(Churn { added, deleted });
        assert_eq!(parse(""), churn(0, 0));
        assert_eq!(parse("\n 1 file changed, 1 insertion(+)\n"), churn(1, 0));
        assert_eq!(parse(" 3 files changed, 1 deletion(-)"), churn(0, 1));
        assert_eq!(parse(" 3 files changed, 10 insertions(+), 2 deletions(-)"), churn(10, 2));
        assert_eq!(parse(" 3 files changed, 10 wonders(+)"), None);
    }
}
