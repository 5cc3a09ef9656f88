//! Names of metrics are stable: the documentation lists exactly those of the code.

use std::{collections::BTreeSet, fs};

use highwater::metrics::{Kind, Metric, Unit, all};

fn row(metric: &Metric) -> String {
    let kind = match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
    let unit = if metric.unit == Unit::Seconds { "seconds" } else { "" };
    format!("| `{}` | {kind} | {} | {unit} | {} |", metric.name, labels.join(", "), metric.help)
}

#[test]
fn o2_the_book_lists_exactly_the_metrics_of_the_code() {
    let page = format!("{}/docs/operations/metrics.md", env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(page).unwrap();
    let listed: BTreeSet<_> =
        page.lines().filter(|line| line.starts_with("| `highwater_")).collect();
    let rows: Vec<_> = all().map(|metric| row(&metric)).collect();
    let rows: BTreeSet<_> = rows.iter().map(String::as_str).collect();
    let missing: Vec<_> = rows.difference(&listed).collect();
    let unknown: Vec<_> = listed.difference(&rows).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "missing {missing:#?}, unknown {unknown:#?}");
}

#[test]
fn o2_names_are_unique_and_follow_the_rules_of_prometheus() {
    let mut names = BTreeSet::new();
    for metric in all() {
        let name = metric.name;
        assert!(names.insert(name), "{name} is defined twice");
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
        assert_eq!(name.ends_with("_total"), metric.kind == Kind::Counter, "{name}");
        assert_eq!(name.ends_with("_seconds"), metric.unit == Unit::Seconds, "{name}");
        let is_bounded = |label: &&str| {
            [
                "variant",
                "command",
                "kind",
                "level",
                "operation",
                "outcome",
                "projection",
                "relay",
                "result",
                "rule",
                "shard",
            ]
            .contains(label)
                || ["source", "state", "store"].contains(label)
        };
        assert!(metric.labels.iter().all(is_bounded), "{name} has labels {:?}", metric.labels);
    }
}
