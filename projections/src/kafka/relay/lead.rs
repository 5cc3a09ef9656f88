//! One leader at a time, by a lease in the view store. The lease decides which relay should lead; the
//! epoch decides which may move the checkpoint. A relay that doesn't know yet that it has been displaced
//! does no harm: it repeats what consumers have.

use std::{pin::pin, time::Duration};

use futures_util::future::{Either, select, try_join};
use highwater_core::{
    Code, Error, Result,
    domain::{ViewName, ViewSpec},
    port::{Claim, ClaimMode, ShardClaim},
    value::{ShardId, Sharding},
};
use tokio::sync::{mpsc, watch};

use super::{
    chains::PartitionChains,
    checkpoint::{CheckpointCommitter, MAX_BATCHES_IN_FLIGHT},
    producer::Producer,
    publish::LogPublisher,
    settings::{RelaySettings, retry_pauses},
    status::RelayReporter,
    topics::RelayTopics,
};
use crate::heartbeat::Heartbeat;

/// The time that a shutdown waits for what has been sent.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest pause between attempts while a broker or a store can't be reached.
const LONGEST_PAUSE_OF_OUTAGE: Duration = Duration::from_secs(1);

/// The reason why a relay no longer leads.
enum LeadEnd {
    /// The relay is shut down.
    Stopped,
    /// Another relay leads.
    Displaced,
}

/// An error that has ended the lead of a relay.
struct LeadFailure {
    error: Error,
    /// True if the relay has moved the checkpoint before.
    has_published: bool,
}

impl From<Error> for LeadFailure {
    fn from(error: Error) -> Self {
        Self { error, has_published: false }
    }
}

/// A relay that runs.
pub(super) struct Leader {
    pub(super) settings: RelaySettings,
    /// The view that holds the checkpoint.
    pub(super) view: ViewName,
    pub(super) reporter: RelayReporter,
}

impl Leader {
    /// Leads whenever the lease is free, until shutdown. Retries after errors.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if the client refuses its settings: only another start
    /// can change them. What an operator can put right meanwhile, such as a topic or an ACL, is retried.
    pub(super) async fn run(&self, mut stopped: watch::Receiver<bool>) -> Result<()> {
        let RelaySettings { name, clock, .. } = &self.settings;
        let mut pauses = retry_pauses();
        loop {
            let error = match self.lead(&mut stopped).await {
                Ok(LeadEnd::Stopped) => return Ok(()),
                Ok(LeadEnd::Displaced) => {
                    tracing::warn!(relay = name, "another relay leads now; waiting");
                    pauses = retry_pauses();
                    continue;
                }
                Err(failure) => {
                    if failure.has_published {
                        pauses = retry_pauses();
                    }
                    failure.error
                }
            };
            self.reporter.failing(&error, clock.now());
            if error.code() == Code::BAD_CONFIGURATION {
                tracing::error!(relay = name, %error, code = %error.code(), "the relay ends");
                return Err(error);
            }
            tracing::error!(relay = name, %error, code = %error.code(), "the relay failed; retrying");
            let pause = clock.sleep(pause_after(&error, pauses.next().unwrap_or_default()));
            if let Either::Left(_) = select(pin!(shutdown(&mut stopped)), pause).await {
                return Ok(());
            }
        }
    }

    /// Waits for the lease, and publishes while this relay holds it.
    async fn lead(&self, stopped: &mut watch::Receiver<bool>) -> Result<LeadEnd, LeadFailure> {
        let name = &self.settings.name;
        let claim = match select(pin!(self.claim()), pin!(shutdown(stopped))).await {
            Either::Left((claim, _)) => claim?,
            Either::Right(_) => return Ok(LeadEnd::Stopped),
        };
        let epoch = claim.epoch;
        let from = claim.progress.position;
        tracing::info!(relay = name, %from, %epoch, "leading");
        let leading = self.reporter.meter().leads(&claim.progress);
        let mut committer = CheckpointCommitter {
            settings: &self.settings,
            view: &self.view,
            reporter: &self.reporter,
            claim,
            leading: &leading,
        };
        let outcome = self.publish(&mut committer, stopped).await;
        let has_published = committer.claim.progress.position > from;
        // If this fails, other relays wait for the lease to run out.
        let released = self.settings.views.release_shard(&self.view, ShardId::FIRST, epoch).await;
        if let Err(error) = released {
            tracing::debug!(relay = name, %error, "the lease could not be released");
        }
        match outcome {
            Err(error) if error.is_conflict() => Ok(LeadEnd::Displaced),
            outcome => outcome.map_err(|error| LeadFailure { error, has_published }),
        }
    }

    async fn claim(&self) -> Result<Claim> {
        let RelaySettings { views, worker, lease, clock, .. } = &self.settings;
        let sharding = Sharding::SINGLE;
        let spec = ViewSpec::without_rows(self.view.clone());
        views.open_view(&spec, sharding).await?;
        loop {
            let claimed = views.claim_shard(ShardClaim {
                view: self.view.clone(),
                sharding,
                shard: ShardId::FIRST,
                worker: worker.clone(),
                mode: ClaimMode::IfFree,
                lease: *lease,
                definition: None,
            });
            if let Some(claim) = claimed.await? {
                return Ok(claim);
            }
            self.reporter.waiting();
            clock.sleep(*lease / 5).await;
        }
    }

    async fn publish(
        &self,
        committer: &mut CheckpointCommitter<'_>,
        stopped: &mut watch::Receiver<bool>,
    ) -> Result<LeadEnd> {
        let settings = &self.settings;
        let leading = committer.leading;
        let from = committer.claim.progress.clone();
        let mut chains = PartitionChains::from_cursor(&from.cursor)?;
        let limit = RelayTopics(settings).ensure_all(&mut chains).await?;
        let producer = Producer::new(&settings.kafka, limit)?;
        let (sender, batches) = mpsc::channel(MAX_BATCHES_IN_FLIGHT);
        let meter = self.reporter.meter();
        let publisher = LogPublisher::new(settings, meter, &producer, chains, &from, sender);
        let mut stop = stopped.clone();
        // Its end drops the sender; the committer ends when all that was sent is acknowledged.
        let publishing = async {
            tokio::select! {
                outcome = publisher.run() => outcome,
                () = shutdown(&mut stop) => Ok(()),
            }
        };
        let outcome = tokio::select! {
            outcome = try_join(publishing, committer.run(batches)) => outcome.map(|_| LeadEnd::Stopped),
            error = producer.failure() => Err(error),
            () = self.displaced() => Ok(LeadEnd::Displaced),
            () = self.shutdown_timeout(stopped) => Ok(LeadEnd::Stopped),
            () = self.report_outages(producer.outages()) => Ok(LeadEnd::Stopped),
            () = leading.look(&*settings.log, &*settings.clock) => Ok(LeadEnd::Stopped),
        };
        self.reporter.set_oversized(producer.oversized());
        outcome
    }

    /// Sends heartbeats until another relay leads. An error of the store doesn't end the lead: if another
    /// relay leads meanwhile, the commit of the checkpoint fails.
    async fn displaced(&self) {
        let RelaySettings { views, clock, worker, lease, name, .. } = &self.settings;
        let mut heartbeat = Heartbeat::new(views, clock, &self.view, worker, *lease).skip();
        loop {
            match heartbeat.next().await {
                Ok(members) => match members.holders.first() {
                    Some(Some(holder)) if holder == worker => {}
                    _ => return,
                },
                Err(error) => tracing::warn!(relay = name, %error, "a heartbeat failed"),
            }
        }
    }

    async fn shutdown_timeout(&self, stopped: &mut watch::Receiver<bool>) {
        shutdown(stopped).await;
        self.settings.clock.sleep(SHUTDOWN_TIMEOUT).await;
        tracing::warn!(relay = self.settings.name, "stopping before everything is acknowledged");
    }

    /// Reports that the broker is unreachable, as long as this is polled.
    async fn report_outages(&self, mut outages: watch::Receiver<Option<Error>>) {
        while outages.changed().await.is_ok() {
            let error = outages.borrow_and_update().clone();
            if let Some(error) = error {
                tracing::warn!(relay = self.settings.name, %error, "publishing failed; retrying");
                self.reporter.failing(&error, self.settings.clock.now());
            }
        }
    }
}

/// Returns the pause after an error. What passes by itself is tried again soon.
fn pause_after(error: &Error, pause: Duration) -> Duration {
    if error.is_retryable() { pause.min(LONGEST_PAUSE_OF_OUTAGE) } else { pause }
}

/// Waits for the shutdown, or until the sender is dropped.
async fn shutdown(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}
