//! Findings about a store, each with what to do about it.
//!
//! | File | What is in it |
//! |---|---|
//! | `database` | the database, before it is opened |
//! | `log` | the order of the log, and the types of its events |
//! | `views` | the progress of views, their stops, parked keys and generations |
//! | `print` | findings, as they are printed |

mod database;
mod log;
mod print;
mod views;

use clap::Args;
use highwater::{
    Highwater,
    stores::examine::{Severity, StoreFinding, ViewWorkers},
};
use serde::Serialize;

use self::log::LogScan;
use crate::{
    connection::Connection,
    outcome::{ToolFailure, ToolOutcome},
    output::Output,
};

/// The number of events that are read unless all are.
const SAMPLE: u64 = 10_000;

#[derive(Args)]
pub(crate) struct Doctor {
    /// Reads the whole log, not only its last 10,000 events.
    #[arg(long)]
    complete: bool,
}

/// All that was found.
#[derive(Default)]
struct Diagnosis {
    findings: Vec<StoreFinding>,
    scan: Option<LogScan>,
}

/// A diagnosis as a document.
#[derive(Serialize)]
struct DiagnosisReport<'a> {
    errors: usize,
    warnings: usize,
    findings: Vec<FindingReport<'a>>,
    /// The events that were read; null if the log can't be read.
    log: Option<&'a LogScan>,
}

#[derive(Serialize)]
struct FindingReport<'a> {
    severity: &'static str,
    code: Option<&'static str>,
    message: &'a str,
    to_do: &'a str,
    page: Option<String>,
}

impl Doctor {
    /// Looks at the databases as they are, and then at the stores in them, if they can be opened without a change.
    pub(crate) async fn run(
        self,
        connection: &Connection,
        output: &mut Output<'_>,
    ) -> Result<ToolOutcome, ToolFailure> {
        let mut databases = database::examine(connection).await?;
        let mut diagnosis = Diagnosis::default();
        diagnosis.findings.append(&mut databases.findings);
        if databases.can_be_opened {
            match connection.open().await {
                Ok(app) => diagnosis.add(&app, Some(&databases.workers), self.complete).await,
                Err(ToolFailure::Store(error)) => {
                    diagnosis.findings.push(StoreFinding::of(&error));
                }
                Err(failure) => return Err(failure),
            }
        }
        diagnosis.print(output)
    }

    /// Looks at stores that are open.
    pub(crate) async fn run_on(
        self,
        app: &Highwater,
        output: &mut Output<'_>,
    ) -> Result<ToolOutcome, ToolFailure> {
        let mut diagnosis = Diagnosis::default();
        diagnosis.add(app, None, self.complete).await;
        diagnosis.print(output)
    }
}

impl Diagnosis {
    /// Adds what the ports show. `workers` are those of the views, if they are known.
    async fn add(&mut self, app: &Highwater, workers: Option<&[ViewWorkers]>, complete: bool) {
        let sample = if complete { u64::MAX } else { SAMPLE };
        match LogScan::read(app.log(), sample).await {
            Ok(mut scan) => {
                self.findings.append(&mut scan.findings);
                self.scan = Some(scan);
            }
            Err(error) => self.findings.push(StoreFinding::of(&error)),
        }
        match views::findings(app, workers).await {
            Ok(mut found) => self.findings.append(&mut found),
            Err(error) => self.findings.push(StoreFinding::of(&error)),
        }
    }

    fn print(mut self, output: &mut Output<'_>) -> Result<ToolOutcome, ToolFailure> {
        self.findings.sort_by_key(|finding| finding.severity);
        if output.json {
            output.document(&self.report())?;
        } else {
            print::print(&self, output)?;
        }
        Ok(match self.findings.is_empty() {
            true => ToolOutcome::Done,
            false => ToolOutcome::Findings(self.findings.len()),
        })
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    fn report(&self) -> DiagnosisReport<'_> {
        DiagnosisReport {
            errors: self.count(Severity::Error),
            warnings: self.count(Severity::Warning),
            findings: self.findings.iter().map(FindingReport::of).collect(),
            log: self.scan.as_ref(),
        }
    }
}

impl<'a> FindingReport<'a> {
    fn of(finding: &'a StoreFinding) -> Self {
        Self {
            severity: severity_name(finding.severity),
            code: finding.code.map(highwater::Code::as_str),
            message: &finding.message,
            to_do: &finding.to_do,
            page: finding.code.map(|code| format!("docs/errors/{code}.md")),
        }
    }
}

fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}
