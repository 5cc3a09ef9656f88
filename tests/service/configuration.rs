//! The configuration of a service: the error for a wrong key names the key and its place.

use std::{fs, time::Duration};

use highwater::{
    Code,
    service::{Config, LogFormat},
    worker::{OnChange, OnDrift, OnFailure},
};
use highwater_test_support::process;

fn load(toml: &str) -> highwater::Result<Config> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("worker.toml");
    fs::write(&file, toml).unwrap();
    Config::load(&file, "HIGHWATER_NO_SUCH_PREFIX")
}

#[test]
fn o5_a_configuration_is_read_from_a_file() {
    let config = load(
        r#"
        store = "sqlite:bank.db"
        drain = "1m 30s"
        [http]
        listen = "127.0.0.1:0"
        [log]
        format = "json"
        level = "info,sqlx=warn"
        [projections.balances]
        shards = 4
        batch = 100
        on_failure = { park = 7 }
        [projections.owners]
        on_failure = "skip"
        on_change = "stop"
        audit = "12h"
        on_drift = "repair"
        [projections.copies]
        audit = "off"
        "#,
    )
    .unwrap();
    assert_eq!(config.store.expose(), "sqlite:bank.db");
    assert_eq!(config.drain, Duration::from_secs(90));
    assert_eq!(config.log.format, LogFormat::Json);
    let balances = config.options("balances");
    assert_eq!((balances.shards, balances.batch), (4, 100));
    assert_eq!(balances.on_failure, OnFailure::Park { at_most: 7 });
    assert_eq!(config.options("owners").on_failure, OnFailure::Skip);
    assert_eq!(balances.on_change, OnChange::Rebuild);
    assert_eq!(config.options("owners").on_change, OnChange::Stop);
    let owners = config.options("owners");
    assert_eq!(owners.audit_window, Some(Duration::from_secs(12 * 60 * 60)));
    assert_eq!((owners.on_drift, balances.on_drift), (OnDrift::Repair, OnDrift::Warn));
    assert_eq!(balances.audit_window, Some(Duration::from_secs(24 * 60 * 60)));
    assert_eq!(config.options("copies").audit_window, None);
    let default = highwater::worker::ProjectionOptions::default();
    assert_eq!(config.options("others"), default.on_change(OnChange::Rebuild));
}

#[test]
fn o5_a_service_listens_on_loopback_by_default() {
    let config = load("store = 'memory:'").unwrap();
    assert!(config.http.listen.ip().is_loopback());
    assert_eq!(config, Config::of("memory:"));
}

#[test]
fn o5_every_wrong_key_is_refused_with_name_and_place_and_without_its_value() {
    for (toml, key) in [
        ("drain = '1s'", "store"),
        ("store = ['hunter2']", "store"),
        ("store = 'x'\nhunter = 'hunter2'", "hunter"),
        ("store = 'x'\ndrain = 'hunter2'", "drain"),
        ("store = 'x'\ndrain = '-5s'", "drain"),
        ("store = 'x'\n[http]\nlisten = 'hunter2'", "http.listen"),
        ("store = 'x'\n[http]\nport = 9464", "http.port"),
        ("store = 'x'\nlog = 'hunter2'", "log"),
        ("store = 'x'\n[log]\nformat = 'hunter2'", "log.format"),
        ("store = 'x'\n[log]\ncolour = true", "log.colour"),
        ("store = 'x'\n[projections.a]\nshards = -1", "projections.a.shards"),
        ("store = 'x'\n[projections.a]\nshards = 'hunter2'", "projections.a.shards"),
        ("store = 'x'\n[projections.a]\nbatches = 1", "projections.a.batches"),
        ("store = 'x'\n[projections.a]\non_failure = 'hunter2'", "projections.a.on_failure"),
        ("store = 'x'\n[projections.a]\non_change = 'hunter2'", "projections.a.on_change"),
        ("store = 'x'\n[projections.a]\naudit = 'hunter2'", "projections.a.audit"),
        ("store = 'x'\n[projections.a]\naudit = '0s'", "projections.a.audit"),
        ("store = 'x'\n[projections.a]\naudit = true", "projections.a.audit"),
        ("store = 'x'\n[projections.a]\non_drift = 'hunter2'", "projections.a.on_drift"),
        (
            "store = 'x'\n[projections.a]\non_failure = { park = 'hunter2' }",
            "projections.a.on_failure",
        ),
        #[cfg(feature = "kafka")]
        ("store = 'x'\n[kafka]\ntopic = 'bank'", "kafka.servers"),
        #[cfg(feature = "kafka")]
        ("store = 'x'\n[relay]\nretention = 'hunter2'", "relay.retention"),
        #[cfg(feature = "otlp")]
        ("store = 'x'\n[otlp]\nservice = 'bank'", "otlp.endpoint"),
        #[cfg(feature = "otlp")]
        ("store = 'x'\n[otlp]\nendpoint = 'x'\nservice = 'x'\nlevel = ['hunter2']", "otlp.level"),
    ] {
        let error = load(toml).unwrap_err();
        assert_eq!(error.code(), Code::BAD_CONFIGURATION, "{toml}");
        let said = format!("{error} {error:?}");
        assert!(said.contains(&format!("the key {key}")), "{toml}: {error}");
        assert!(!said.contains("hunter2"), "{toml}: {said}");
        let is_missing = said.contains("is missing");
        assert!(is_missing || said.contains("worker.toml"), "{toml}: {error}");
    }
}

#[test]
fn o5_a_file_that_is_missing_or_no_toml_is_refused_with_its_name() {
    let error = Config::load("no/such/file.toml", "X").unwrap_err();
    assert!(error.to_string().contains("no/such/file.toml"), "{error}");
    let error = load("store = \"hunter2").unwrap_err();
    assert!(error.to_string().contains("worker.toml"), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
}

#[test]
fn o5_a_secret_is_never_shown() {
    let config = load("store = 'postgres://bank:hunter2@host/bank'").unwrap();
    assert!(config.store.expose().contains("hunter2"));
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[cfg(feature = "kafka")]
#[test]
fn o5_settings_of_kafka_reach_it_and_are_never_shown() {
    let config = load(
        "store = 'x'\n[kafka]\nservers = 'broker:9092'\ntopic = 'bank'\n[kafka.settings]\n\
         'sasl.password' = 'hunter2'\nlinger_ms = '5'",
    )
    .unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    let (kafka, _) = config.kafka().unwrap();
    let shown = format!("{kafka:?}");
    assert!(shown.contains("sasl.password") && shown.contains("linger.ms"), "{shown}");
}

#[cfg(feature = "otlp")]
#[test]
fn o5_all_spans_from_info_on_are_exported_unless_the_section_says_otherwise() {
    let section =
        "store = 'x'\n[log]\nlevel = 'error'\n[otlp]\nendpoint = 'http://x'\nservice = 'bank'";
    let otlp = load(section).unwrap().otlp.unwrap();
    assert_eq!((&*otlp.level, otlp.sample), ("info", 1.0));
    let otlp = load(&format!("{section}\nlevel = 'warn,bank=debug'")).unwrap().otlp.unwrap();
    assert_eq!(otlp.level, "warn,bank=debug");
}

const PREFIX: &str = "HIGHWATER_TEST_CONFIGURED";

/// Reads the configuration from the environment of another process, and prints it.
#[test]
fn reads_its_environment() {
    if process::task::<()>().is_some() {
        match Config::from_environment(PREFIX) {
            Ok(config) => println!("FOUND {} {:?}", config.store.expose(), config.options("a")),
            Err(error) => println!("REFUSED {error}"),
        }
    }
}

fn found(variables: &[(&str, &str)]) -> String {
    let mut command = process::child("configuration::reads_its_environment", &());
    for (name, value) in variables {
        command.env(format!("{PREFIX}_{name}"), value);
    }
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

#[test]
fn o5_the_environment_is_read_and_numeric_text_stays_text() {
    let out = found(&[
        ("STORE", "007"),
        ("PROJECTIONS__A__SHARDS", "3"),
        ("PROJECTIONS__A__ON_FAILURE__PARK", "9"),
    ]);
    assert!(out.contains("FOUND 007 ") && out.contains("shards: 3"), "{out}");
    assert!(out.contains("Park { at_most: 9 }"), "{out}");
}

#[test]
fn o5_a_wrong_variable_of_the_environment_is_named() {
    for (name, value) in [
        ("HTTP__LISTEN", "hunter2"),
        ("HTTP__PROT", "hunter2"),
        ("DRAIN", "hunter2"),
        ("PROJECTIONS__A__SHARDS", "hunter2"),
        ("STOER", "hunter2"),
    ] {
        let out = found(&[("STORE", "memory:"), (name, value)]);
        assert!(out.contains("REFUSED the key "), "{out}");
        assert!(out.contains(&format!("{PREFIX}_{name}")), "{out}");
        assert!(!out.contains("hunter2"), "{out}");
    }
}
