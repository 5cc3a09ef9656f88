//! The clock and the ids of the machine: the only place that reads them.

use std::time::Duration;

use async_trait::async_trait;
use highwater_core::{
    CommandId, EventId,
    port::{Clock, Ids},
};
use jiff::Timestamp;
use uuid::Uuid;

/// The clock of this machine; `sleep` is tokio's.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock port's adapter")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// UUIDv7: random, and in the order in which this process created them.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIds;

impl Ids for SystemIds {
    fn event_id(&self) -> EventId {
        EventId::from_uuid(new_uuid())
    }

    fn command_id(&self) -> CommandId {
        CommandId::from_uuid(new_uuid())
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the id port's adapter")]
fn new_uuid() -> Uuid {
    Uuid::now_v7()
}
