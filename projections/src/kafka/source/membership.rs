//! The consumer group of a view, and the name of a worker in it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use highwater_core::port::{Clock, WorkerId};
use rdkafka::{
    consumer::{Consumer as _, StreamConsumer},
    groups::GroupMemberInfo,
};

use super::rebalance::RebalanceContext;

/// The time for the brokers to describe a group.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(1);
/// The interval at which a member looks for members of the group under its former name.
const FORMER_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The number of times that the brokers may leave open if a member has left.
const MAX_UNANSWERED: usize = 2;
/// The longest name of a member that Kafka takes.
const MAX_INSTANCE_LENGTH: usize = 249;

type GroupConsumer = StreamConsumer<RebalanceContext>;

/// A worker as a member of the group of a view.
#[derive(Debug, Clone)]
pub(super) struct GroupMember {
    /// The name of the group; the log is part of it.
    pub(super) group: String,
    /// The name that the group had before the log was part of it.
    pub(super) former_group: String,
    /// The name of the member (static membership): the group knows a member that comes back by it, and
    /// doesn't wait for the one that was lost.
    pub(super) instance: Option<String>,
    /// True if the application has given the name: the member then keeps its partitions when it ends.
    pub(super) is_named: bool,
}

impl GroupMember {
    /// Names a member after the application's name, or after its worker.
    pub(super) fn new(
        group: String,
        former_group: String,
        named: Option<&str>,
        worker: &WorkerId,
    ) -> Self {
        let is_named = named.is_some();
        let instance = named.map(str::to_owned).or_else(|| instance_of(worker));
        Self { group, former_group, instance, is_named }
    }

    /// Leaves the group, and waits until the group has confirmed it: a member with a name would keep its
    /// partitions if its client were only closed. Blocks.
    ///
    /// A client that the group has fenced is no member: the name is that of the client that follows it. An
    /// offset that is committed late is enough for that, if the client has lost its place in an outage.
    pub(super) fn leave(&self, consumer: &GroupConsumer, timeout: Duration) {
        let Some(instance) = self.instance.as_deref().filter(|_| !self.is_named) else { return };
        if consumer.client().fatal_error().is_some() {
            return;
        }
        let until = Instant::now() + timeout;
        let mut unanswered = 0;
        consumer.unsubscribe();
        while Instant::now() < until && unanswered < MAX_UNANSWERED {
            // Serves the callbacks of the client. There are no records: nothing is read any more.
            let _ = consumer.recv().now_or_never();
            match has_member(consumer, &self.group, |member| is_instance(member, instance)) {
                Some(true) => {}
                Some(false) => return,
                None => unanswered += 1,
            }
        }
    }

    /// Waits until no worker of an earlier version reads the topic in the group of the former name. Both
    /// groups would give out every partition, and each worker would take the shards from the other again
    /// and again. Safe to cancel.
    pub(super) async fn former_members_gone(
        &self,
        consumer: &Arc<GroupConsumer>,
        topic: &Arc<str>,
        clock: &dyn Clock,
    ) {
        loop {
            let (consumer, topic) = (Arc::clone(consumer), Arc::clone(topic));
            let group = self.former_group.clone();
            let looking = move || has_member(&consumer, &group, |member| reads(member, &topic));
            match tokio::task::spawn_blocking(looking).await {
                Ok(Some(true)) => {}
                // The epochs of the shards keep the view right even if there is one.
                _ => return,
            }
            let group = &self.former_group;
            tracing::info!(group, "waiting for the workers of an earlier version to stop");
            clock.sleep(FORMER_POLL_INTERVAL).await;
        }
    }
}

/// Returns the name of a worker in a group; `None` if Kafka doesn't take it.
fn instance_of(worker: &WorkerId) -> Option<String> {
    let name = worker.as_str();
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let is_allowed = name.len() <= MAX_INSTANCE_LENGTH && name.chars().all(is_allowed);
    is_allowed.then(|| name.to_owned())
}

/// Returns true if a group has such a member; `None` if the brokers don't say it.
fn has_member(
    consumer: &GroupConsumer,
    group: &str,
    is_such: impl Fn(&GroupMemberInfo) -> bool,
) -> Option<bool> {
    let groups = consumer.fetch_group_list(Some(group), DESCRIBE_TIMEOUT).ok()?;
    let mut groups = groups.groups().iter().filter(|found| found.name() == group);
    Some(groups.any(|found| found.members().iter().any(&is_such)))
}

/// Returns true if a member has this name. The broker makes its id of the name and a UUID.
fn is_instance(member: &GroupMemberInfo, instance: &str) -> bool {
    member.id().strip_prefix(instance).is_some_and(|rest| rest.starts_with('-'))
}

/// Returns true if a member subscribes to a topic. While the group rebalances the broker doesn't say to
/// which.
fn reads(member: &GroupMemberInfo, topic: &str) -> bool {
    let Some(subscription) = member.metadata().filter(|metadata| !metadata.is_empty()) else {
        return true;
    };
    // The topics of a subscription are texts after their lengths.
    let length = u16::try_from(topic.len()).unwrap_or_default().to_be_bytes();
    let named = [&length, topic.as_bytes()].concat();
    subscription.windows(named.len()).any(|part| part == named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(named: Option<&str>, worker: &str) -> GroupMember {
        let worker = WorkerId::new(worker).unwrap();
        GroupMember::new("new".into(), "former".into(), named, &worker)
    }

    #[test]
    fn a_member_has_the_name_of_its_worker_unless_the_application_names_it() {
        let own = member(None, "0190-a.b_c");
        assert_eq!((own.instance.as_deref(), own.is_named), (Some("0190-a.b_c"), false));
        let named = member(Some("pod-1"), "0190");
        assert_eq!((named.instance.as_deref(), named.is_named), (Some("pod-1"), true));
        assert_eq!(member(None, "~onlooker").instance, None);
    }
}
