//! The logs of a service, as JSON or as text.

use highwater_test_support::bank::banks;
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    service_process::{Role, ServiceProcess, ServiceSpec},
    shutdown::url,
};

const LEVELS: [&str; 5] = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"];

/// Parses the lines of a JSON log: each is an object with time, level, target and message.
pub(crate) fn objects(log: &str) -> Vec<Value> {
    let object = |line: &str| {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let text = |name: &str| object[name].as_str().unwrap_or_else(|| panic!("{name}: {line}"));
        text("timestamp").parse::<Timestamp>().unwrap();
        assert!(LEVELS.contains(&text("level")), "{line}");
        assert!(!text("target").is_empty(), "{line}");
        assert!(object["fields"]["message"].is_string(), "{line}");
        object
    };
    log.lines().map(object).collect()
}

/// Returns the log of a service from its start to its end.
fn logged(store: &str, log: &'static str) -> (String, String) {
    let mut serving =
        ServiceProcess::start(&ServiceSpec { log, ..ServiceSpec::new(Role::Worker, store, "20s") });
    serving.terminate();
    assert!(serving.wait().success(), "{}", serving.output());
    (serving.log(), serving.address.to_string())
}

#[test]
fn o5_every_line_of_a_json_log_is_an_object_with_time_level_target_and_fields() {
    for bank in banks() {
        let Some(url) = url(&bank) else { continue };
        let (log, address) = logged(&url, "json");
        let objects = objects(&log);
        let of = |message: &str| {
            let is = |object: &&Value| object["fields"]["message"] == message;
            objects.iter().find(is).unwrap_or_else(|| panic!("{message}: {log}"))
        };
        let answering = of("answering at /live, /ready and /metrics");
        assert_eq!(
            (&answering["level"], &answering["fields"]["address"]),
            (&"INFO".into(), &address.into())
        );
        assert!(
            answering["target"].as_str().unwrap().starts_with("highwater_projections::service")
        );
        assert!(objects.iter().any(|object| object["fields"]["message"] == "SIGTERM"), "{log}");
    }
}

#[test]
fn o5_every_line_of_a_text_log_begins_with_time_level_and_target() {
    for bank in banks() {
        let Some(url) = url(&bank) else { continue };
        let (log, address) = logged(&url, "text");
        for line in log.lines() {
            let mut words = line.split_whitespace();
            words.next().unwrap().parse::<Timestamp>().unwrap();
            assert!(LEVELS.contains(&words.next().unwrap()), "{line}");
            assert!(words.any(|word| word.ends_with(':')), "{line}");
            assert!(!line.contains('\x1b'), "colours are for terminals: {line}");
        }
        let answering = format!(": answering at /live, /ready and /metrics address={address}");
        assert!(log.lines().any(|line| line.ends_with(&answering)), "{log}");
    }
}
