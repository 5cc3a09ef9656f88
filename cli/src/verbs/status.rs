//! The progress of each view.

use std::io;

use clap::Args;
use highwater::{Highwater, Position, domain::ViewName};
use serde::Serialize;

use super::{
    check_view_if,
    report::{GenerationReport, StopReport, ViewReport},
};
use crate::{
    outcome::{ToolFailure, ToolOutcome},
    output::{
        Output,
        TableColumn::{Number, Text},
        TextTable, printable,
    },
};

#[derive(Args)]
pub(crate) struct ShowStatus {
    /// The views; all of them if none is named.
    #[arg(value_name = "VIEW")]
    named: Vec<String>,
}

#[derive(Serialize)]
struct StatusReport {
    /// The head of the log when the report began.
    head: Position,
    views: Vec<ViewReport>,
}

impl ShowStatus {
    pub(crate) async fn run(
        self,
        app: &Highwater,
        output: &mut Output<'_>,
    ) -> Result<ToolOutcome, ToolFailure> {
        let names = self.named.iter().map(|view| ViewName::new(view));
        let named: Vec<_> = names.collect::<highwater::Result<_>>()?;
        let head = app.log().head().await?;
        let names = if named.is_empty() { app.views().views().await? } else { named };
        let mut views = Vec::with_capacity(names.len());
        for name in &names {
            let report = ViewReport::of(app, name, head).await?;
            check_view_if(report.generations.is_empty(), app, name).await?;
            views.push(report);
        }
        let report = StatusReport { head, views };
        if output.json {
            output.document(&report)?;
        } else {
            print(&report, output)?;
        }
        Ok(ToolOutcome::Done)
    }
}

fn print(report: &StatusReport, output: &mut Output<'_>) -> io::Result<()> {
    output.line(&format!("head of the log: {}", report.head))?;
    if report.views.is_empty() {
        output.line("no views")?;
    }
    for view in &report.views {
        output.line("")?;
        let note = if view.kind == "relay" { " (the checkpoint of a relay)" } else { "" };
        output.line(&format!("{}{note}", view.name))?;
        for line in table(&view.generations).lines() {
            output.line(&line)?;
        }
        for generation in &view.generations {
            print_stops(generation, output)?;
        }
    }
    Ok(())
}

fn table(generations: &[GenerationReport]) -> TextTable<8> {
    let mut table = TextTable::new([
        Number("gen"),
        Text("live"),
        Text("state"),
        Number("position"),
        Number("lag"),
        Number("complete at"),
        Number("parked"),
        Text("sharding"),
    ]);
    for generation in generations {
        table.push([
            generation.number.to_string(),
            if generation.live { "live" } else { "" }.to_owned(),
            generation.state.to_owned(),
            generation.position.to_string(),
            generation.lag.to_string(),
            generation.complete_at.to_string(),
            generation.parked.to_string(),
            generation.sharding.clone(),
        ]);
    }
    table
}

fn print_stops(generation: &GenerationReport, output: &mut Output<'_>) -> io::Result<()> {
    for stop in &generation.stops {
        let StopReport { shard, at, error } = stop;
        let number = generation.number;
        output.line(&format!("  generation {number}, shard {shard}: stopped at {at}"))?;
        output.line(&format!("    {}", printable(error)))?;
    }
    Ok(())
}
