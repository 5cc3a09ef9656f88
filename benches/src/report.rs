//! The results: one line for each work, printed as a table and written as a file.

use std::{fs, path::Path};

use comfy_table::{CellAlignment, Table, presets::NOTHING};
use serde::Serialize;

use crate::work::Work;

/// A measurement, compared with the raw engine.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    work: String,
    store: &'static str,
    clients: &'static str,
    flush: &'static str,
    ours: f64,
    raw: f64,
    unit: &'static str,
    /// The ratio of ours to the raw engine; more is better in every line.
    ratio: f64,
    target: Option<String>,
    #[serde(skip)]
    is_met: Option<bool>,
}

impl Line {
    /// A line of rates, where more is better: ours to raw.
    pub(crate) fn of_rates(work: &Work, ours: f64, raw: f64) -> Self {
        let ratio = ours / raw;
        Self {
            target: work.at_least.map(|share| format!("≥ {:.0} %", share * 100.0)),
            is_met: work.at_least.map(|share| ratio >= share),
            ..Self::new(work, work.full_name(), (ours, raw), ratio)
        }
    }

    /// A line of milliseconds, where fewer are better: raw to ours.
    pub(crate) fn of_delays(
        work: &Work,
        share: f64,
        ours: f64,
        raw: f64,
        at_most: Option<f64>,
    ) -> Self {
        let name = format!("{}, p{:.0}", work.full_name(), share * 100.0);
        Self {
            target: at_most.map(|most| format!("≤ {most} ms")),
            is_met: at_most.map(|most| ours <= most),
            ..Self::new(work, name, (ours, raw), raw / ours)
        }
    }

    /// A line of sizes, where less is better: raw to ours.
    pub(crate) fn of_sizes(work: &Work, ours: f64, raw: f64) -> Self {
        Self::new(work, work.full_name(), (ours, raw), raw / ours)
    }

    fn new(work: &Work, name: String, (ours, raw): (f64, f64), ratio: f64) -> Self {
        Self {
            work: name,
            store: work.place.store,
            clients: work.clients,
            flush: work.place.flush,
            ours,
            raw,
            unit: work.unit,
            ratio,
            target: None,
            is_met: None,
        }
    }
}

/// Prints the table, and writes `versus.json`, unless nothing was measured.
pub(crate) fn publish(lines: &[Line], target: &Path) {
    if lines.is_empty() {
        return;
    }
    let mut table = Table::new();
    table.load_preset(NOTHING);
    table.set_header([
        "work", "store", "clients", "flush", "ours", "raw", "unit", "ratio", "target", "",
    ]);
    for line in lines {
        table.add_row([
            line.work.clone(),
            line.store.to_owned(),
            line.clients.to_owned(),
            line.flush.to_owned(),
            number(line.ours),
            number(line.raw),
            line.unit.to_owned(),
            format!("{:.0} %", line.ratio * 100.0),
            line.target.clone().unwrap_or_default(),
            match line.is_met {
                None => String::new(),
                Some(true) => "met".to_owned(),
                Some(false) => "MISSED".to_owned(),
            },
        ]);
    }
    for column in [4, 5, 7] {
        table.column_mut(column).unwrap().set_cell_alignment(CellAlignment::Right);
    }
    println!("\n{table}\n");
    let file = target.join("versus.json");
    fs::write(&file, serde_json::to_vec_pretty(lines).unwrap()).unwrap();
    println!("written to {}", file.display());
}

fn number(number: f64) -> String {
    if number < 1.0 {
        format!("{number:.3}")
    } else if number < 100.0 {
        format!("{number:.2}")
    } else {
        format!("{number:.0}")
    }
}
