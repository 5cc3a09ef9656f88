//! What can be done to a worker from the page, so that the seam between eventual and strong can be seen:
//! it is slowed, stopped, and made to fail on the events of a key. A real bank has none of this.
//!
//! | File | What is in it |
//! |---|---|
//! | `feed` | a feed that is slowed or stopped |
//! | `broken` | keys whose events can't be applied |
//! | `door` | the switches over HTTP |
//! | `crew` | the workers that a page's switches reach: here, or elsewhere |

pub mod broken;
mod crew;
mod door;
mod feed;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

#[cfg(feature = "kafka")]
pub use crew::Doors;
pub use crew::{Crew, Unreached};
pub use door::door;
pub use feed::Braked;

/// How the switches stand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// How fast the worker goes.
    pub pace: Pace,
    /// The accounts whose balance can't be kept up: the next event of each parks its key.
    #[serde(default)]
    pub broken: BTreeSet<String>,
}

/// How fast a worker goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pace {
    /// As fast as it can.
    #[default]
    Full,
    /// An event a second in each shard.
    Slow,
    /// Not at all. What it holds it keeps: no other worker takes over.
    Stopped,
}

impl Pace {
    /// How long an event takes, at the least; `None` if it never ends.
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
    /// How they stand.
    #[must_use]
    pub fn setting(&self) -> Setting {
        self.0.borrow().clone()
    }

    /// Sets all of them.
    pub fn set(&self, setting: Setting) {
        broken::are(&setting.broken);
        self.0.send_replace(setting);
    }

    fn watch(&self) -> watch::Receiver<Setting> {
        self.0.subscribe()
    }
}
