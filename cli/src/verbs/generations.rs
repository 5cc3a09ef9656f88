//! The generations of a view: list, promote, remove (R5).

use std::io;

use clap::Args;
use highwater::{Highwater, admin::Generations, domain::ViewName, port::Generation};
use serde_json::json;

use super::{
    check_view_if,
    report::{GenerationReport, ViewReport},
};
use crate::{
    outcome::{ToolFailure, ToolOutcome},
    output::{
        Output,
        TableColumn::{Number, Text},
        TextTable,
    },
    question::Consent,
};

#[derive(Args)]
pub(crate) struct ListGenerations {
    /// The view.
    view: String,
}

impl ListGenerations {
    pub(crate) async fn run(
        self,
        app: &Highwater,
        output: &mut Output<'_>,
    ) -> Result<ToolOutcome, ToolFailure> {
        let view = ViewName::new(&self.view)?;
        let head = app.log().head().await?;
        let report = ViewReport::of(app, &view, head).await?;
        check_view_if(report.generations.is_empty(), app, &view).await?;
        if output.json {
            output.document(&report)?;
        } else {
            print(&report.generations, output)?;
        }
        Ok(ToolOutcome::Done)
    }
}

fn print(generations: &[GenerationReport], output: &mut Output<'_>) -> io::Result<()> {
    let mut table = TextTable::new([
        Number("gen"),
        Text("live"),
        Text("complete"),
        Number("position"),
        Number("complete at"),
        Text("promoted"),
        Text("created"),
    ]);
    for one in generations {
        let yes = |is_true: bool, word: &str| if is_true { word } else { "" }.to_owned();
        let created = one.created_at.map(|time| format!("{time:.0}"));
        table.push([
            one.number.to_string(),
            yes(one.live, "live"),
            yes(one.is_complete, "complete"),
            one.position.to_string(),
            one.complete_at.to_string(),
            yes(one.was_promoted, "promoted"),
            created.unwrap_or_else(|| "unknown".to_owned()),
        ]);
    }
    table.lines().iter().try_for_each(|line| output.line(line))
}

/// A generation of a view, and the consent to change it.
#[derive(Args)]
struct ChosenGeneration {
    /// The view.
    view: String,
    /// The number of the generation.
    generation: u32,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Args)]
pub(crate) struct PromoteGeneration {
    #[command(flatten)]
    chosen: ChosenGeneration,
}

impl PromoteGeneration {
    pub(crate) async fn run(
        self,
        app: &Highwater,
        output: &mut Output<'_>,
    ) -> Result<ToolOutcome, ToolFailure> {
        let chosen = self.chosen;
        let generations = Generations::of(app, &chosen.view)?;
        if !chosen.consents("promote").await? {
            return chosen.not_done("promoted", "you did not agree", output);
        }
        if generations.promote(chosen.generation).await? {
            return chosen.done("promoted", output);
        }
        let reason = why_not_promoted(&generations.list().await?, chosen.generation);
        chosen.not_done("promoted", &reason, output)
    }
}

fn why_not_promoted(all: &[Generation], number: u32) -> String {
    let chosen = all.iter().find(|one| one.number == number);
    match chosen {
        Some(chosen) if !chosen.is_complete() => format!(
            "it is at position {}, and complete from {} on: wait for its worker",
            chosen.position, chosen.complete_at
        ),
        _ => {
            "the live generation has events that it lacks, so that readers of plain SQL would see \
              an older state: wait for its worker"
                .to_owned()
        }
    }
}

#[derive(Args)]
pub(crate) struct RemoveGeneration {
    #[command(flatten)]
    chosen: ChosenGeneration,
}

impl RemoveGeneration {
    pub(crate) async fn run(
        self,
        app: &Highwater,
        output: &mut Output<'_>,
    ) -> Result<ToolOutcome, ToolFailure> {
        let chosen = self.chosen;
        let generations = Generations::of(app, &chosen.view)?;
        if !chosen.consents("remove").await? {
            return chosen.not_done("removed", "you did not agree", output);
        }
        if generations.remove(chosen.generation).await? {
            return chosen.done("removed", output);
        }
        let all = generations.list().await?;
        let is_live = all.iter().any(|one| one.number == chosen.generation && one.is_live);
        let reason = match is_live {
            true => "it is the live one: promote another one first",
            false => "a worker of it is alive: stop the program that builds it first",
        };
        chosen.not_done("removed", reason, output)
    }
}

impl ChosenGeneration {
    async fn consents(&self, verb: &str) -> Result<bool, ToolFailure> {
        let Self { view, generation, consent } = self;
        consent.to(&format!("{verb} generation {generation} of view {view}")).await
    }

    fn done(&self, done: &str, output: &mut Output<'_>) -> Result<ToolOutcome, ToolFailure> {
        let Self { view, generation, .. } = self;
        if output.json {
            output.document(&json!({ "view": view, "generation": generation, done: true }))?;
        } else {
            output.line(&format!("generation {generation} of view {view} is {done}"))?;
        }
        Ok(ToolOutcome::Done)
    }

    fn not_done(
        &self,
        done: &str,
        reason: &str,
        output: &mut Output<'_>,
    ) -> Result<ToolOutcome, ToolFailure> {
        let Self { view, generation, .. } = self;
        if output.json {
            output.document(&json!({ "view": view, "generation": generation, done: false }))?;
        }
        let reason = format!("generation {generation} of view {view} was not {done}: {reason}");
        Ok(ToolOutcome::NotDone(reason))
    }
}
