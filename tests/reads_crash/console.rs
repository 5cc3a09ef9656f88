//! The group and the topic of the views, as Kafka's own tools see and change them.

use std::{collections::BTreeMap, time::Instant};

use highwater::{Highwater, View};

use crate::fixture::{CrashFixture, RECOVERY_TIMEOUT};

const GROUPS: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";

/// The ids of the members of a group, by their names. Members without a name are not in it.
pub(crate) type Members = BTreeMap<String, String>;

impl CrashFixture {
    /// Returns the members of the group of a view.
    pub(crate) fn members<V: View>(&self, bank: &Highwater) -> Members {
        let group = format!("highwater.{}.{}", bank.log().log_id(), V::NAME);
        let arguments = format!("--describe --members --timeout 60000 --group {group}");
        members(&self.console(GROUPS, &arguments))
    }

    /// Waits until the group of a view has so many members with a name.
    pub(crate) fn until_members<V: View>(&self, bank: &Highwater, count: usize) -> Members {
        let began = Instant::now();
        loop {
            let members = self.members::<V>(bank);
            if members.len() == count {
                return members;
            }
            assert!(
                began.elapsed() < RECOVERY_TIMEOUT,
                "the group has no {count} names: {members:?}"
            );
        }
    }

    /// Returns the id that the topic has for the broker: another topic of its name has another one.
    pub(crate) fn topic_id(&self) -> Option<String> {
        let described = self.console(TOPICS, "--describe --if-exists --topic bank");
        let (_, id) = described.split_once("TopicId:")?;
        id.split_whitespace().next().map(str::to_owned)
    }

    /// Deletes the topic, and waits until the relay has created another one.
    pub(crate) fn replace_topic(&self) {
        let (deleted, began) = (self.topic_id(), Instant::now());
        assert!(deleted.is_some(), "there is no topic");
        self.console(TOPICS, "--delete --topic bank");
        while self.topic_id().is_none_or(|id| Some(id) == deleted) {
            assert!(began.elapsed() < RECOVERY_TIMEOUT, "the relay doesn't recreate the topic");
        }
    }

    fn console(&self, class: &str, arguments: &str) -> String {
        let servers = self.brokers.servers();
        self.runtime.block_on(self.brokers.tool(&servers, class, arguments, ""))
    }
}

/// Parses a table with a title for each column. The column of the names is left out if no member has one.
fn members(table: &str) -> Members {
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let titles = lines.find(|line| line.first() == Some(&"GROUP")).unwrap_or_default();
    let column = |title| titles.iter().position(|found| *found == title);
    let Some((name, id)) = column("GROUP-INSTANCE-ID").zip(column("CONSUMER-ID")) else {
        return Members::new();
    };
    let rows = lines.filter(|line| line.len() == titles.len());
    rows.map(|line| (line[name].to_owned(), line[id].to_owned())).collect()
}
