//! The relay: it publishes the log on Kafka, in order.
//!
//! | File | What is in it |
//! |---|---|
//! | `options` | how it is set up |
//! | `lead` | one leader at a time, by a lease in the view store |
//! | `publish` | reads the log and sends it, events and marks |
//! | `marks` | when which partition is due for one |
//! | `chains` | what was published last into each partition |
//! | `producer` | sends records, and counts those that are acknowledged |
//! | `checkpoint` | moves the progress over what is acknowledged |
//! | `ensure` | makes topics, or checks them |
//! | `status` | how it fares |

mod chains;
mod checkpoint;
mod ensure;
mod lead;
mod marks;
mod options;
mod producer;
mod publish;
mod status;

use std::{sync::Arc, time::Duration};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use futures_util::future::{Either, select};
use highwater_core::{
    Query, Result,
    domain::ViewName,
    port::{Clock, EventStore, ViewStore, WorkerId},
};
use tokio::sync::watch;

use self::{lead::Ending, status::Reporter};
use super::{Kafka, Topics, admin::Blueprint};
use crate::metrics::RelayMeter;

pub use status::RelayStatus;

/// Publishes the log of a store on Kafka, in order, for ever.
///
/// There may be any number of relays of one name: one leads, the others wait until its lease runs
/// out. Their checkpoint is in the view store. Nothing is ever passed over: a relay that can't publish
/// an event tries again until it can, and [says so](Relay::status).
///
/// ```no_run
/// # use highwater_core::{Highwater, Result};
/// use highwater_projections::kafka::{Kafka, Relay, Topics};
///
/// # async fn example(bank: &Highwater) -> Result<()> {
/// let relay = Relay::new(bank, Kafka::at("127.0.0.1:9092"), Topics::one("bank")).named("bank");
/// relay.run(std::future::pending()).await
/// # }
/// ```
pub struct Relay {
    kafka: Kafka,
    topics: Topics,
    log: Arc<dyn EventStore>,
    views: Arc<dyn ViewStore>,
    clock: Arc<dyn Clock>,
    worker: WorkerId,
    name: String,
    source: Option<String>,
    query: Query,
    blueprint: Blueprint,
    mark_interval: Duration,
    idle_interval: Duration,
    lease: Duration,
    page: usize,
    reporter: Reporter,
}

/// Between tries: from 100 ms to 10 s.
fn waits() -> impl Iterator<Item = Duration> {
    let longest = Duration::from_secs(10);
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(longest)
        .without_max_times()
        .with_jitter()
        .build()
        .chain(std::iter::repeat(longest))
}

impl Relay {
    /// Publishes until `shutdown`. What is under way then is waited for, up to five seconds; what is
    /// not acknowledged in time is published again by whoever leads next, and consumers drop it.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if it can't work as it is set up. Everything else
    /// is tried again.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<()> {
        let view = self.validated()?;
        let (stop, stopped) = watch::channel(false);
        let work = std::pin::pin!(self.keep_on(&view, stopped));
        match select(work, std::pin::pin!(shutdown)).await {
            Either::Left(((), _)) => Ok(()),
            Either::Right(((), work)) => {
                stop.send_replace(true);
                work.await;
                Ok(())
            }
        }
    }

    /// What is measured of it.
    fn meter(&self) -> &RelayMeter {
        self.reporter.meter(&self.name)
    }

    fn validated(&self) -> Result<ViewName> {
        self.kafka.validate()?;
        self.topics.validate()?;
        self.query.validate()?;
        ViewName::new(&format!("relay_{}", self.name))
    }

    async fn keep_on(&self, view: &ViewName, mut stopped: watch::Receiver<bool>) {
        self.meter().is("waiting");
        let mut pauses = waits();
        loop {
            let error = match self.lead(view, &mut stopped).await {
                Ok(Ending::Stopped) => return,
                Ok(Ending::Displaced) => {
                    tracing::warn!(relay = self.name, "another relay leads now; waiting");
                    pauses = waits();
                    continue;
                }
                Err(ended) => {
                    if ended.has_published {
                        pauses = waits();
                    }
                    ended.error
                }
            };
            tracing::error!(relay = self.name, %error, code = %error.code(), "relay; trying again");
            self.reporter.failing(&error, self.clock.now());
            let pause = self.clock.sleep(pauses.next().unwrap_or_default());
            if let Either::Left(_) = select(std::pin::pin!(stopping(&mut stopped)), pause).await {
                return;
            }
        }
    }
}

/// Returns when it is time to stop, or nobody is left who could say so.
async fn stopping(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Relay");
        debug.field("name", &self.name).field("kafka", &self.kafka).field("topics", &self.topics);
        debug.finish_non_exhaustive()
    }
}
