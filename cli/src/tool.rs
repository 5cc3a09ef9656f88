//! The arguments of the tool, and the run of a verb.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use highwater::Highwater;

use crate::{
    connection::{Connection, EVERYWHERE},
    outcome::{ToolFailure, ToolOutcome, Verdict},
    output::Output,
    verbs::{
        doctor::Doctor,
        generations::{ListGenerations, PromoteGeneration, RemoveGeneration},
        parked::ParkedVerb,
        status::ShowStatus,
        stream::ShowStream,
        tail::ShowTail,
        transfer::{export::ExportLog, import::ImportLog},
    },
};

/// The operator's tool of Highwater: views, generations, parked keys, events.
#[derive(Parser)]
#[command(name = "highwater", version, after_help = NOTES)]
pub struct Tool {
    #[command(flatten)]
    connection: Connection,
    /// Prints JSON: one document, or a line for each event.
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

const NOTES: &str = "\
The URL of a store reads sqlite:FILE or postgres://user:password@host/database,
and is never printed.

Exit codes: 0 done, 1 error or findings of doctor, 2 wrong usage,
3 nothing found or not done.";

#[derive(Subcommand)]
enum Verb {
    /// Shows how far each view is: generations, parked keys, stops.
    Status(ShowStatus),
    /// Says what is wrong with a store, and what to do about it.
    Doctor(Doctor),
    /// Lists the generations of a view.
    Generations(ListGenerations),
    /// Makes a generation the live one: plain SQL sees its rows.
    Promote(PromoteGeneration),
    /// Removes a generation with its rows and its progress.
    Remove(RemoveGeneration),
    /// Lists, shows and retries parked keys.
    #[command(subcommand)]
    Parked(ParkedVerb),
    /// Shows the events of a stream.
    Stream(ShowStream),
    /// Shows the last events of the log, and follows it.
    Tail(ShowTail),
    /// Writes the log into a file, or what the file lacks of it.
    Export(ExportLog),
    /// Stores the log of a file as it was, in an empty store.
    Import(ImportLog),
}

impl Tool {
    /// Opens the stores that the arguments name, runs the verb, and prints its answer.
    ///
    /// # Errors
    /// [`ToolFailure`].
    pub async fn run(self, out: &mut (impl Write + Send)) -> Result<ToolOutcome, ToolFailure> {
        if let Verb::Doctor(doctor) = self.verb {
            let mut output = Output::new(out, self.json);
            let outcome = doctor.run(&self.connection, &mut output).await?;
            output.flush()?;
            return Ok(outcome);
        }
        let highwater = self.connection.open().await?;
        self.run_on(&highwater, out).await
    }

    /// Runs the verb on stores that are open, and prints its answer.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_on(
        self,
        highwater: &Highwater,
        out: &mut (impl Write + Send),
    ) -> Result<ToolOutcome, ToolFailure> {
        let mut output = Output::new(out, self.json);
        let outcome = self.verb.run(highwater, &mut output).await?;
        output.flush()?;
        Ok(outcome)
    }

    /// Runs the verb as a program does: the answer goes to the standard output, reasons and errors to that for errors.
    pub async fn main(self) -> ExitCode {
        let json = self.json;
        let mut out = io::BufWriter::new(io::stdout());
        let ended = self.run(&mut out).await;
        let verdict = Verdict::of(&ended);
        // There is no other place to say that this failed.
        let _ = verdict.print(&mut io::stderr(), json);
        verdict.exit_code()
    }
}

impl Verb {
    async fn run(
        self,
        app: &Highwater,
        output: &mut Output<'_>,
    ) -> Result<ToolOutcome, ToolFailure> {
        match self {
            Self::Status(status) => status.run(app, output).await,
            Self::Doctor(doctor) => doctor.run_on(app, output).await,
            Self::Generations(generations) => generations.run(app, output).await,
            Self::Promote(promote) => promote.run(app, output).await,
            Self::Remove(remove) => remove.run(app, output).await,
            Self::Parked(parked) => parked.run(app, output).await,
            Self::Stream(stream) => stream.run(app, output).await,
            Self::Tail(tail) => tail.run(app, output).await,
            Self::Export(export) => export.run(app, output).await,
            Self::Import(import) => import.run(app, output).await,
        }
    }
}
