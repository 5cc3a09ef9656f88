//! Policies from a file: the file has its own history, and each change that a process applies is
//! one log line and one count (O2, O4).

use std::{
    fs, io,
    path::Path,
    sync::{Arc, Mutex},
};

use highwater::{
    Views as _,
    consistency::Operation,
    stores::{self, MemoryStore},
};
use serde_json::Value;

use crate::meter::measured;

const SHOW: Operation = Operation::standard("account.show");

/// The lines of a log, as JSON.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// Returns the fields of each line at *info* that is about policies.
    fn of_policies(&self) -> Vec<Value> {
        let lines = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let about = |line: &Value| {
            line["level"] == "INFO" && line["target"].as_str().unwrap().contains("policy")
        };
        lines.filter(about).map(|mut line| line["fields"].take()).collect()
    }
}

fn filed(by: &str, level: &str) -> String {
    format!(
        "by = '{by}'\nwhy = 'a test'\n[operations.\"account.show\"]\npolicy = {{ level = '{level}' }}"
    )
}

/// Writes the file atomically, because its follower must not read half of it.
fn write(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(&beside, path).unwrap();
}

#[test]
fn o2_o4_a_policy_file_is_counted_and_logged_when_it_is_loaded_and_when_it_is_edited() {
    measured(async |meter| {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber =
            tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
        let _default = tracing::subscriber::set_default(subscriber);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policies.toml");
        let bank = stores::on(MemoryStore::default()).build();
        let policies = bank.policies();
        policies.register(&[SHOW]).unwrap();
        let changes = "highwater_policy_changes_total{source=file}";

        // Only the caller is notified of a refused change.
        write(&path, &filed("eve", "strnog"));
        policies.load(&path).unwrap_err();
        assert_eq!((meter.value(changes), lines.of_policies()), (0.0, Vec::new()));

        let first = filed("ann", "strong");
        write(&path, &first);
        policies.load(&path).unwrap();
        // Loading the same file again is no change.
        policies.load(&path).unwrap();
        assert_eq!(meter.value(changes), 1.0);

        let _following = policies.follow().await.unwrap();
        let second = filed("bob", "eventual");
        write(&path, &second);
        meter.until(changes, 2.0).await;

        let logged = lines.of_policies();
        let file = path.display().to_string();
        let line = |message: &str, by: &str, rules: &str| {
            serde_json::json!({
                "message": message, "file": file, "by": by, "why": "a test", "rules": rules,
            })
        };
        let expected = [
            line("policies are taken from a file", "ann", &first),
            line("policies have changed", "bob", &second),
        ];
        assert_eq!(logged, expected);
        // The history in the store contains only changes made through the program.
        assert!(policies.history(10).await.unwrap().is_empty());
    });
}
