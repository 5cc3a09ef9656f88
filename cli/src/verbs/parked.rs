//! Parked keys: list, show, retry (R4).

use std::io;

use clap::{ArgGroup, Args, Subcommand};
use highwater::{Highwater, Position, port::ParkedKey, projection::ParkedKeys};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::PAGE;
use crate::{
    outcome::{ToolFailure, ToolOutcome},
    output::{
        Output,
        TableColumn::{Number, Text},
        TextTable, counted, printable,
    },
    question::Consent,
};

#[derive(Subcommand)]
pub(crate) enum ParkedVerb {
    /// Lists the parked keys of a view.
    List(ListParked),
    /// Shows a parked key: the error, the attempts, the events that wait.
    Show(ShowParked),
    /// Requests that the worker applies the events of parked keys again.
    Retry(RetryParked),
}

/// The view whose keys are parked.
#[derive(Args)]
struct ParkedView {
    /// The view.
    view: String,
    /// The generation of the view; the live one by default.
    #[arg(long, value_name = "N")]
    generation: Option<u32>,
}

#[derive(Args)]
pub(crate) struct ListParked {
    #[command(flatten)]
    of: ParkedView,
}

#[derive(Args)]
pub(crate) struct ShowParked {
    #[command(flatten)]
    of: ParkedView,
    /// The key.
    key: String,
}

#[derive(Args)]
#[command(override_usage = "highwater parked retry [OPTIONS] <VIEW> <KEY|--all>")]
#[command(group = ArgGroup::new("which").required(true).args(["key", "all"]))]
pub(crate) struct RetryParked {
    #[command(flatten)]
    of: ParkedView,
    /// The key.
    key: Option<String>,
    /// All keys that are parked now.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    consent: Consent,
}

/// A parked key, as it is printed.
#[derive(Serialize)]
struct ParkedReport {
    key: String,
    since: Position,
    /// The number of events that wait, the first one among them.
    waiting: u64,
    attempts: u32,
    parked_at: Timestamp,
    retry: bool,
    error: String,
}

impl From<ParkedKey> for ParkedReport {
    fn from(parked: ParkedKey) -> Self {
        let ParkedKey { key, since, error, attempts, parked_at, queued, retry } = parked;
        Self { key, since, waiting: queued, attempts, parked_at, retry, error }
    }
}

/// A parked key with the events that wait behind it.
#[derive(Serialize)]
struct ParkedDetails {
    #[serde(flatten)]
    parked: ParkedReport,
    /// The positions of the events that wait.
    positions: Vec<Position>,
}

impl ParkedView {
    fn keys(&self, app: &Highwater) -> highwater::Result<ParkedKeys> {
        let keys = ParkedKeys::of(app, &self.view)?;
        Ok(match self.generation {
            Some(generation) => keys.of_generation(generation),
            None => keys,
        })
    }
}

impl ParkedVerb {
    pub(crate) async fn run(
        self,
        app: &Highwater,
        output: &mut Output<'_>,
    ) -> Result<ToolOutcome, ToolFailure> {
        match self {
            Self::List(list) => list.run(app, output).await,
            Self::Show(show) => show.run(app, output).await,
            Self::Retry(retry) => retry.run(app, output).await,
        }
    }
}

/// Reads all parked keys, page by page.
async fn all_of(keys: &ParkedKeys) -> highwater::Result<Vec<ParkedKey>> {
    let mut all: Vec<ParkedKey> = Vec::new();
    loop {
        let after = all.last().map(|last| last.key.as_str());
        let page = keys.list(after, PAGE).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

impl ListParked {
    async fn run(
        self,
        app: &Highwater,
        output: &mut Output<'_>,
    ) -> Result<ToolOutcome, ToolFailure> {
        let all = all_of(&self.of.keys(app)?).await?;
        let all: Vec<_> = all.into_iter().map(ParkedReport::from).collect();
        if output.json {
            output.document(&json!({ "view": self.of.view, "parked": all }))?;
        } else {
            print(&all, output)?;
        }
        Ok(ToolOutcome::Done)
    }
}

fn print(all: &[ParkedReport], output: &mut Output<'_>) -> io::Result<()> {
    if all.is_empty() {
        return output.line("no parked keys");
    }
    // Keys are as long as they like, so they come last.
    let columns = [
        Number("since"),
        Number("waiting"),
        Number("attempts"),
        Text("parked"),
        Text("retry"),
        Text("key"),
    ];
    let mut table = TextTable::new(columns);
    for parked in all {
        table.push([
            parked.since.to_string(),
            parked.waiting.to_string(),
            parked.attempts.to_string(),
            format!("{:.0}", parked.parked_at),
            if parked.retry { "requested" } else { "" }.to_owned(),
            printable(&parked.key).into_owned(),
        ]);
    }
    table.lines().iter().try_for_each(|line| output.line(line))
}

impl ShowParked {
    async fn run(
        self,
        app: &Highwater,
        output: &mut Output<'_>,
    ) -> Result<ToolOutcome, ToolFailure> {
        let keys = self.of.keys(app)?;
        let Some(parked) = find(&keys, &self.key).await? else {
            return Ok(not_parked(&self.key, &self.of.view));
        };
        let positions = waiting(&keys, &parked).await?;
        let details = ParkedDetails { parked: parked.into(), positions };
        if output.json {
            output.document(&details)?;
        } else {
            self.print(&details, output)?;
        }
        Ok(ToolOutcome::Done)
    }

    fn print(&self, details: &ParkedDetails, output: &mut Output<'_>) -> io::Result<()> {
        let ParkedDetails { parked, positions } = details;
        let retry = if parked.retry { "requested" } else { "not requested" };
        let lines = [
            ("view", self.of.view.clone()),
            ("key", printable(&parked.key).into_owned()),
            ("since", format!("position {}", parked.since)),
            ("parked at", parked.parked_at.to_string()),
            ("attempts", parked.attempts.to_string()),
            ("retry", retry.to_owned()),
            ("error", printable(&parked.error).into_owned()),
            ("waiting", counted(positions.len() as u64, "event")),
        ];
        for (title, text) in lines {
            output.line(&format!("{title:<11}{text}"))?;
        }
        for some in positions.chunks(5) {
            let some: Vec<_> = some.iter().map(ToString::to_string).collect();
            output.line(&format!("{:11}{}", "", some.join(" ")))?;
        }
        Ok(())
    }
}

/// Finds a parked key, page by page.
async fn find(keys: &ParkedKeys, key: &str) -> highwater::Result<Option<ParkedKey>> {
    let mut after = None;
    loop {
        let page = keys.list(after.as_deref(), PAGE).await?;
        let Some(last) = page.last().map(|last| last.key.clone()) else {
            return Ok(None);
        };
        if last.as_str() >= key {
            return Ok(page.into_iter().find(|parked| parked.key == key));
        }
        after = Some(last);
    }
}

/// Reads the positions of all events that wait, page by page: the first one, and those behind it.
async fn waiting(keys: &ParkedKeys, parked: &ParkedKey) -> highwater::Result<Vec<Position>> {
    let mut all = vec![parked.since];
    let mut after = parked.since;
    loop {
        let page = keys.queued(&parked.key, after, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(all);
        };
        after = *last;
        all.extend(page);
    }
}

fn not_parked(key: &str, view: &str) -> ToolOutcome {
    ToolOutcome::NotDone(format!("key {key:?} of view {view} is not parked"))
}

impl RetryParked {
    async fn run(
        self,
        app: &Highwater,
        output: &mut Output<'_>,
    ) -> Result<ToolOutcome, ToolFailure> {
        let Self { of, key, consent, .. } = self;
        let keys = of.keys(app)?;
        let what = match &key {
            Some(key) => format!("key {key:?}"),
            None => "all parked keys".to_owned(),
        };
        if !consent.to(&format!("retry {what} of view {}", of.view)).await? {
            return Ok(ToolOutcome::NotDone("nothing was requested: you did not agree".to_owned()));
        }
        let chosen = match &key {
            Some(key) => vec![key.clone()],
            None => all_of(&keys).await?.into_iter().map(|parked| parked.key).collect(),
        };
        let requested = request(&keys, &chosen).await?;
        if output.json {
            output.document(&json!({ "view": of.view, "requested": requested }))?;
        } else if requested > 0 {
            let requested = counted(requested, "key");
            output.line(&format!("the worker of view {} retries {requested}", of.view))?;
        }
        match key {
            _ if requested > 0 => Ok(ToolOutcome::Done),
            Some(key) => Ok(not_parked(&key, &of.view)),
            None => Ok(ToolOutcome::NotDone(format!("view {} has no parked keys", of.view))),
        }
    }
}

/// Requests that keys are retried, and returns the number of those that were parked.
async fn request(keys: &ParkedKeys, chosen: &[String]) -> highwater::Result<u64> {
    let mut requested = 0;
    for key in chosen {
        requested += u64::from(keys.retry(key).await?);
    }
    Ok(requested)
}
