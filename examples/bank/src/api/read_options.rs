//! The query parameters of reads and commands: freshness and waiting times.

use std::time::Duration;

use highwater::{
    View,
    consistency::{Fallback, Operation},
    http::ReadConditions,
    read::ReadRequest,
};
use jiff::SignedDuration;
use serde::Deserialize;

/// The limit on the waiting time of a request.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// The default bound of a bounded read.
const DEFAULT_STALENESS: Duration = Duration::from_secs(2);

/// The freshness of a read: `?level=bounded&staleness=500ms&within=1s&fallback=serve_stale`. A client should send none of
/// them, and leave the choice to the bank.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ReadOptions {
    level: Option<Level>,
    staleness: Option<SignedDuration>,
    within: Option<SignedDuration>,
    fallback: Option<Fallback>,
}

/// The level of a read (R3).
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Level {
    Eventual,
    Bounded,
    /// Read your writes: after the token of the request.
    After,
    Strong,
}

impl ReadOptions {
    /// Applies the options to a read. Without a level the operation's policy decides.
    pub(super) fn apply<V: View, S>(
        self,
        read: ReadRequest<V, S>,
        operation: &Operation,
        conditions: &ReadConditions,
    ) -> ReadRequest<V, S> {
        let mut read = match self.level {
            None => read.by(operation).after(conditions),
            Some(Level::Eventual) => read,
            Some(Level::Bounded) => {
                read.bounded(self.staleness.map_or(DEFAULT_STALENESS, non_negative))
            }
            Some(Level::After) => read.after(conditions),
            Some(Level::Strong) => read.strong(),
        };
        if let Some(fallback) = self.fallback {
            read = read.or(fallback);
        }
        if let Some(budget) = self.within {
            read = read.within(self::budget(budget));
        }
        read
    }
}

/// The time that a command waits until the view has applied it: `?wait=500ms`. By default it doesn't wait.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WaitOption {
    wait: Option<SignedDuration>,
}

impl WaitOption {
    pub(super) fn budget(self) -> Option<Duration> {
        self.wait.map(self::budget)
    }
}

fn budget(time: SignedDuration) -> Duration {
    non_negative(time).min(MAX_WAIT)
}

/// Converts a negative time to zero.
fn non_negative(time: SignedDuration) -> Duration {
    time.try_into().unwrap_or_default()
}
