//! Questions before a change.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use clap::Args;

use crate::outcome::ToolFailure;

/// The consent to a change.
#[derive(Args)]
pub(crate) struct Consent {
    /// Doesn't ask. Needed where there is no terminal.
    #[arg(long, short)]
    yes: bool,
}

impl Consent {
    /// Asks for consent to a change, which is named as in *promote generation 2 of view balances*.
    pub(crate) async fn to(&self, change: &str) -> Result<bool, ToolFailure> {
        if self.yes {
            return Ok(true);
        }
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            let message = format!("there is no terminal to ask on: give --yes to {change}");
            return Err(ToolFailure::Usage(message));
        }
        let question = format!("{change}? [y/N] ");
        let answer = tokio::task::spawn_blocking(move || ask(&question)).await;
        let answer = answer.map_err(io::Error::other)??;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }
}

fn ask(question: &str) -> io::Result<String> {
    write!(io::stderr(), "{question}")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer)
}
