//! How fresh a request wants its answer, and how long it waits for that.

use std::time::Duration;

use highwater::{
    Fallback, Operation, ReadRequest, View, http::ReadConditions,
};
use jiff::SignedDuration;
use serde::Deserialize;

/// Nobody is waited for longer than this, whatever is asked.
const LONGEST: Duration = Duration::from_secs(10);

/// How stale a bounded read may be unless it says so.
const BOUND: Duration = Duration::from_secs(2);

/// How fresh a read wants its answer: `?level=bounded&staleness=500ms&within=1s&fallback=serve_stale`. A
/// client that leaves that to the bank, as clients should, says nothing of it.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Asked {
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
    /// After what the token of the request stands for.
    After,
    Strong,
}

impl Asked {
    /// The read as it was asked for; what isn't said is as the operation's policy has it.
    pub(super) fn of<V: View, A>(
        self,
        lookup: ReadRequest<V, A>,
        operation: &Operation,
        after: &ReadConditions,
    ) -> ReadRequest<V, A> {
        let mut lookup = match self.level {
            None => lookup.by(operation).after(after),
            Some(Level::Eventual) => lookup,
            Some(Level::Bounded) => lookup.bounded(self.staleness.map_or(BOUND, length)),
            Some(Level::After) => lookup.after(after),
            Some(Level::Strong) => lookup.strong(),
        };
        if let Some(fallback) = self.fallback {
            lookup = lookup.or(fallback);
        }
        if let Some(budget) = self.within {
            lookup = lookup.within(budgeted(budget));
        }
        lookup
    }
}

/// How long a command waits until the view has it: `?wait=500ms`. Without that it doesn't.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Waits {
    wait: Option<SignedDuration>,
}

impl Waits {
    pub(super) fn budget(self) -> Option<Duration> {
        self.wait.map(budgeted)
    }
}

fn budgeted(time: SignedDuration) -> Duration {
    length(time).min(LONGEST)
}

/// A time that has passed before it began is none.
fn length(time: SignedDuration) -> Duration {
    time.try_into().unwrap_or_default()
}
