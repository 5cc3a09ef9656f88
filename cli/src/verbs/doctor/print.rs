//! Findings, as they are printed.

use std::io;

use highwater::stores::examine::{Severity, StoreFinding};

use super::{Diagnosis, log::LogScan, severity_name};
use crate::output::{
    Output,
    TableColumn::{Number, Text},
    TextTable, counted, printable, wrapped,
};

pub(super) fn print(diagnosis: &Diagnosis, output: &mut Output<'_>) -> io::Result<()> {
    output.line(&summary(diagnosis))?;
    for finding in &diagnosis.findings {
        output.line("")?;
        print_finding(finding, output)?;
    }
    diagnosis.scan.as_ref().map_or(Ok(()), |scan| print_scan(scan, output))
}

fn summary(diagnosis: &Diagnosis) -> String {
    let count = |severity, noun| match diagnosis.count(severity) {
        0 => None,
        number => Some(counted(number as u64, noun)),
    };
    let counts = [count(Severity::Error, "error"), count(Severity::Warning, "warning")];
    let counts: Vec<_> = counts.into_iter().flatten().collect();
    if counts.is_empty() { "no findings".to_owned() } else { counts.join(", ") }
}

fn print_finding(finding: &StoreFinding, output: &mut Output<'_>) -> io::Result<()> {
    let StoreFinding { severity, code, message, to_do } = finding;
    for line in wrapped(&format!("{}: {}", severity_name(*severity), printable(message)), "  ") {
        output.line(&line)?;
    }
    for line in wrapped(&format!("  to do: {to_do}"), "    ") {
        output.line(&line)?;
    }
    match code {
        Some(code) => output.line(&format!("  see docs/errors/{code}.md")),
        None => Ok(()),
    }
}

fn print_scan(scan: &LogScan, output: &mut Output<'_>) -> io::Result<()> {
    output.line("")?;
    let LogScan { from, through, head, .. } = scan;
    if scan.types.is_empty() {
        return output.line("the log has no events");
    }
    output.line(&format!("events {from} to {through} of {head}"))?;
    let mut table = TextTable::new([Number("events"), Number("schema"), Text("type")]);
    for of_type in &scan.types {
        table.push([
            of_type.events.to_string(),
            of_type.schema_version.to_string(),
            printable(&of_type.type_name).into_owned(),
        ]);
    }
    table.lines().iter().try_for_each(|line| output.line(line))
}
