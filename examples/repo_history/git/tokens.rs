//! The tokens of git, which end with NUL. No path, name or subject can contain one, so their content can't be
//! mistaken for another token.

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

use crate::problem::Problem;

/// Reads tokens, one at a time.
pub(super) struct Tokens<R> {
    reader: R,
    token: Vec<u8>,
    command: &'static str,
}

impl<R: AsyncBufRead + Unpin> Tokens<R> {
    pub(super) fn of(reader: R, command: &'static str) -> Self {
        Self { reader, token: Vec::new(), command }
    }

    /// The next token; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<&[u8]>, Problem> {
        self.token.clear();
        let read = self.reader.read_until(0, &mut self.token).await;
        if read.map_err(Problem::pipe(self.command))? == 0 {
            return Ok(None);
        }
        match self.token.split_last() {
            Some((0, token)) => Ok(Some(token)),
            _ => Err(Problem::unexpected(self.command, "a NUL at the end", &self.token)),
        }
    }

    /// The next token, which must be there.
    pub(super) async fn expect(&mut self, what: &'static str) -> Result<&[u8], Problem> {
        let command = self.command;
        self.next().await?.ok_or_else(|| Problem::unexpected(command, what, b""))
    }

    pub(super) async fn text(&mut self, what: &'static str) -> Result<String, Problem> {
        Ok(String::from_utf8_lossy(self.expect(what).await?).into_owned())
    }
}
