//! Switches that disturb the workers from the page, to show the difference between eventual and strong reads: a worker
//! is slowed down, stopped, or made to fail on the events of a key. A real bank has none of this.
//!
//! | File | What is in it |
//! |---|---|
//! | `throttled_source` | a feed that is slowed down or stopped |
//! | `broken_accounts` | accounts whose events can't be applied |
//! | `endpoint` | the switches over HTTP |
//! | `workers` | the workers that the page's switches control: local or remote |

pub mod broken_accounts;
mod endpoint;
mod throttled_source;
mod workers;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use endpoint::endpoint;
pub use throttled_source::ThrottledSource;
#[cfg(feature = "kafka")]
pub use workers::RemoteSwitches;
pub use workers::{ControlledWorkers, WorkerUnreachable};

/// The setting of the switches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// The pace of the workers.
    pub pace: Pace,
    /// The accounts whose events can't be applied: the next event of each parks its key.
    #[serde(default)]
    pub broken: BTreeSet<String>,
}

/// The pace of a worker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pace {
    /// No limit.
    #[default]
    Full,
    /// One event per second in each shard.
    Slow,
    /// No events. The worker keeps its shards, so no other worker takes over.
    Stopped,
}

impl Pace {
    /// Returns the minimum time per event; `None` if no event is applied.
    const fn per_event(self) -> Option<Duration> {
        match self {
            Self::Full => Some(Duration::ZERO),
            Self::Slow => Some(Duration::from_secs(1)),
            Self::Stopped => None,
        }
    }
}

/// The switches of the workers of this process. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Switches(Arc<watch::Sender<Setting>>);

impl Switches {
    /// Returns the current setting.
    #[must_use]
    pub fn setting(&self) -> Setting {
        self.0.borrow().clone()
    }

    /// Changes the setting.
    pub fn set(&self, setting: Setting) {
        broken_accounts::set(&setting.broken);
        self.0.send_replace(setting);
    }

    fn watch(&self) -> watch::Receiver<Setting> {
        self.0.subscribe()
    }
}
