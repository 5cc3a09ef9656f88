//! The shipped dashboard and alert rules use existing metrics (O3).

use std::{collections::BTreeSet, fs, path::PathBuf};

use highwater::metrics::{Kind, all};
use highwater_test_support::services::promtool;
use serde_json::Value;

fn shipped(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/operations").join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(shipped(name)).unwrap()
}

/// Returns the series in Prometheus; a histogram has three.
fn series() -> BTreeSet<String> {
    let of = |metric: highwater::metrics::Metric| -> Vec<String> {
        match metric.kind {
            Kind::Histogram => {
                ["_bucket", "_count", "_sum"].map(|end| format!("{}{end}", metric.name)).into()
            }
            Kind::Counter | Kind::Gauge => vec![metric.name.to_owned()],
        }
    };
    all().flat_map(of).collect()
}

/// Returns the series that a query uses.
fn asked_for(query: &str) -> BTreeSet<String> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("highwater_")).map(str::to_owned).collect()
}

/// Returns each alert with its query.
fn alerts() -> Vec<(String, String)> {
    let rules: Value = serde_saphyr::from_str(&read("alerts.yml")).unwrap();
    let groups = rules["groups"].as_array().unwrap();
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    rules
        .map(|rule| {
            for wanted in ["/labels/severity", "/annotations/summary", "/annotations/description"] {
                assert!(rule.pointer(wanted).is_some_and(Value::is_string), "{rule}: {wanted}");
            }
            (text(&rule["alert"]), text(&rule["expr"]))
        })
        .collect()
}

/// Returns each panel with its queries.
fn panels() -> Vec<(String, Vec<String>)> {
    let dashboard: Value = serde_json::from_str(&read("dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let panels = panels.filter(|panel| panel["type"] != "row").map(|panel| {
        let targets = panel["targets"].as_array().unwrap().iter();
        let queries = targets.map(|target| target["expr"].as_str().unwrap().to_owned());
        (panel["title"].as_str().unwrap().to_owned(), queries.collect())
    });
    panels.collect()
}

#[test]
fn o3_alert_rules_use_metrics_that_exist() {
    let (alerts, series) = (alerts(), series());
    assert!(alerts.len() >= 10);
    for (alert, query) in &alerts {
        let asked = asked_for(query);
        assert!(!asked.is_empty() && asked.is_subset(&series), "{alert}: {asked:?}");
    }
}

#[test]
fn o3_every_alert_has_a_runbook_section() {
    let page = read("alerts.md");
    let sections: BTreeSet<_> =
        page.lines().filter_map(|line| line.strip_prefix("### ")).map(str::to_owned).collect();
    let alerts: BTreeSet<_> = alerts().into_iter().map(|(alert, _)| alert).collect();
    assert_eq!(sections, alerts);
}

#[test]
fn o3_the_dashboard_uses_metrics_that_exist_and_omits_none() {
    let series = series();
    let mut shown = BTreeSet::new();
    for (title, queries) in panels() {
        for query in queries {
            let asked = asked_for(&query);
            assert!(!asked.is_empty() && asked.is_subset(&series), "{title}: {asked:?}");
            shown.extend(asked);
        }
    }
    let is_shown = |name: &str| shown.iter().any(|series| series.starts_with(name));
    let missing: Vec<_> = all().map(|metric| metric.name).filter(|name| !is_shown(name)).collect();
    assert!(missing.is_empty(), "no panel shows {missing:?}");
}

#[test]
fn o3_every_alert_has_a_test_in_which_it_fires() {
    let shows: Value = serde_saphyr::from_str(&read("alerts.test.yml")).unwrap();
    let shows = shows["tests"].as_array().unwrap().iter();
    let cases = shows.flat_map(|show| show["alert_rule_test"].as_array().unwrap());
    let fires = cases.filter(|case| !case["exp_alerts"].as_array().unwrap().is_empty());
    let fired: BTreeSet<_> = fires.map(|case| case["alertname"].as_str().unwrap()).collect();
    let alerts = alerts();
    let alerts: BTreeSet<_> = alerts.iter().map(|(alert, _)| alert.as_str()).collect();
    assert_eq!(fired, alerts);
}

#[test]
fn o3_promtool_accepts_the_alert_rules_and_they_fire_when_they_should() {
    for arguments in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts.test.yml"]] {
        let test = "o3_promtool_accepts_the_alert_rules";
        let Some(mut promtool) = promtool(test) else { return };
        let outcome = promtool.args(arguments).current_dir(shipped("")).output().unwrap();
        let said = String::from_utf8_lossy(&outcome.stdout).into_owned();
        assert!(outcome.status.success(), "{said}{}", String::from_utf8_lossy(&outcome.stderr));
    }
}
