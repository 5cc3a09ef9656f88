//! The log of a reshard that has to wait.

use std::sync::{Arc, Mutex};

use highwater::{
    Worker,
    worker::{ProjectionOptions, ProjectionState},
};
use highwater_test_support::bank::{Balance, banks};
use serde_json::Value;

/// The lines of a log, as JSON.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(line)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// Returns the fields of the lines with this text, at this level.
    fn find(&self, level: &str, text: &str) -> Vec<Value> {
        let lines = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let is = |line: &Value| {
            let message = line["fields"]["message"].as_str();
            line["level"] == level && message.is_some_and(|message| message.contains(text))
        };
        lines.filter(is).map(|mut line| line["fields"].take()).collect()
    }
}

#[tokio::test]
async fn a_reshard_that_waits_names_the_workers_that_it_waits_for_once() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(move || writer.clone())
        .finish();
    let _default = tracing::subscriber::set_default(subscriber);
    for (round, bank) in (1..).zip(banks()) {
        let bank = bank.open().await;
        let start = async |shards| {
            let options = ProjectionOptions::default().shards(shards);
            Worker::new(&bank).view_with::<Balance>(options).start().await.unwrap()
        };
        let old = start(2).await;
        let view = highwater::domain::ViewName::new("balances").unwrap();
        let probe = highwater::port::WorkerId::new("probe").unwrap();
        let holder = loop {
            let members = bank.views().heartbeat(&view, &probe, std::time::Duration::ZERO).await;
            if let [Some(holder), Some(_)] = &members.unwrap().holders[..] {
                break holder.clone();
            }
            tokio::task::yield_now().await;
        };
        let polls = lines.find("DEBUG", "still waiting to reshard").len();
        let new = start(3).await;
        while lines.find("DEBUG", "still waiting to reshard").len() < polls + 3 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        let waits = lines.find("INFO", "waiting to reshard until");
        assert_eq!(waits.len(), round, "{waits:?}");
        let wait = &waits[round - 1];
        assert_eq!(wait["workers"], holder.as_str());
        assert_eq!((&wait["from"], &wait["to"]), (&"streams/2".into(), &"streams/3".into()));
        old.stop().await.unwrap();
        new.statuses()[0].clone().until(|state| matches!(state, ProjectionState::Running)).await;
        assert_eq!(lines.find("INFO", "resharding").len(), round);
        new.stop().await.unwrap();
    }
}
