//! One line for each work; all of them as a table and as a file.

use std::{fs, path::Path};

use comfy_table::{CellAlignment, Table, presets::NOTHING};
use serde::Serialize;

/// What was measured, beside the raw engine.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    pub(crate) work: String,
    pub(crate) store: &'static str,
    pub(crate) clients: String,
    pub(crate) flush: &'static str,
    pub(crate) ours: f64,
    pub(crate) raw: Option<f64>,
    pub(crate) unit: &'static str,
    pub(crate) ratio: Option<f64>,
    pub(crate) target: Option<String>,
    #[serde(skip)]
    pub(crate) is_met: Option<bool>,
}

/// Prints the table, and writes `target/versus.json`.
pub(crate) fn publish(lines: &[Line]) {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    table.set_header([
        "work", "store", "clients", "flush", "ours", "raw", "unit", "ratio", "target", "",
    ]);
    for line in lines {
        table.add_row([
            line.work.clone(),
            line.store.to_owned(),
            line.clients.clone(),
            line.flush.to_owned(),
            number(line.ours),
            line.raw.map_or_else(String::new, number),
            line.unit.to_owned(),
            line.ratio.map_or_else(String::new, |ratio| format!("{:.0} %", ratio * 100.0)),
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
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("versus.json");
    fs::write(&file, serde_json::to_vec_pretty(lines).unwrap()).unwrap();
    println!("written to {}", file.display());
}

fn number(number: f64) -> String {
    if number < 100.0 { format!("{number:.2}") } else { format!("{number:.0}") }
}
