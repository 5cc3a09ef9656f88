//! One leader at a time, by a lease in the view store. Who should lead is what the lease says; who may
//! move the checkpoint is what the epoch says. A relay that doesn't know yet that it has been displaced
//! does no harm: it repeats what consumers have.

use std::time::Duration;

use futures_util::future::{Either, select, try_join};
use highwater_core::{
    Error, Result,
    domain::{ViewName, ViewSpec},
    port::{Claim, ClaimMode, ShardClaim},
    value::{ShardId, Sharding},
};
use tokio::sync::{mpsc, watch};

use super::{
    Relay,
    chains::Chains,
    checkpoint::{Checkpoint, UNDER_WAY},
    producer::Producer,
    publish::Publisher,
    stopping,
};

/// How long what is under way at a shutdown is waited for.
const GRACE: Duration = Duration::from_secs(5);

/// Why a relay leads no longer.
pub(super) enum Ending {
    /// It was told to stop.
    Stopped,
    /// Another leads.
    Displaced,
}

/// What ended the lead of a relay before its time.
pub(super) struct Ended {
    pub(super) error: Error,
    /// Whether it had published something before.
    pub(super) has_published: bool,
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self { error, has_published: false }
    }
}

impl Relay {
    /// Waits until this relay leads, and publishes then.
    pub(super) async fn lead(
        &self,
        view: &ViewName,
        stopped: &mut watch::Receiver<bool>,
    ) -> Result<Ending, Ended> {
        let claim = {
            let claimed = std::pin::pin!(self.claim(view));
            match select(claimed, std::pin::pin!(stopping(stopped))).await {
                Either::Left((claim, _)) => claim?,
                Either::Right(_) => return Ok(Ending::Stopped),
            }
        };
        tracing::info!(relay = self.name, from = %claim.progress.position, epoch = %claim.epoch, "leading");
        let (epoch, from) = (claim.epoch, claim.progress.position);
        let leading = self.meter().leads(&claim.progress);
        let mut checkpoint = Checkpoint { relay: self, view, claim, leading: &leading };
        let outcome = self.publish(&mut checkpoint, stopped).await;
        let has_published = checkpoint.claim.progress.position > from;
        // If this fails, others wait for the lease to run out.
        if let Err(error) = self.views.release_shard(view, ShardId::FIRST, epoch).await {
            tracing::debug!(relay = self.name, %error, "giving up the lead");
        }
        match outcome {
            Err(error) if error.is_conflict() => Ok(Ending::Displaced),
            outcome => outcome.map_err(|error| Ended { error, has_published }),
        }
    }

    async fn claim(&self, view: &ViewName) -> Result<Claim> {
        self.views.open_view(&ViewSpec::without_rows(view.clone()), Sharding::SINGLE).await?;
        loop {
            let (shard, claiming) = (ShardId::FIRST, ClaimMode::IfFree);
            let (layout, worker, lease) = (Sharding::SINGLE, &self.worker, self.lease);
            let claimed = self.views.claim_shard(ShardClaim {
                view: view.clone(),
                sharding: layout,
                shard,
                worker: worker.clone(),
                mode: claiming,
                lease,
            });
            if let Some(claim) = claimed.await? {
                return Ok(claim);
            }
            self.reporter.waiting();
            self.clock.sleep(self.lease / 5).await;
        }
    }

    async fn publish(
        &self,
        checkpoint: &mut Checkpoint<'_>,
        stopped: &mut watch::Receiver<bool>,
    ) -> Result<Ending> {
        let (view, from) = (checkpoint.view, checkpoint.claim.progress.clone());
        let leading = checkpoint.leading;
        let mut chains = Chains::from_cursor(&from.cursor)?;
        let limit = self.ensure(&mut chains).await?;
        let producer = Producer::new(&self.kafka, limit)?;
        let (sender, batches) = mpsc::channel(UNDER_WAY);
        let publisher = Publisher::new(self, &producer, chains, &from, sender);
        let mut stop = stopped.clone();
        // Its end drops the sender, and the checkpoint ends when it has seen to what was sent.
        let publishing = async {
            tokio::select! {
                outcome = publisher.run() => outcome,
                () = stopping(&mut stop) => Ok(()),
            }
        };
        let outcome = tokio::select! {
            outcome = try_join(publishing, checkpoint.run(batches)) => outcome.map(|_| Ending::Stopped),
            error = producer.failure() => Err(error),
            () = self.displaced(view) => Ok(Ending::Displaced),
            () = self.out_of_grace(stopped) => Ok(Ending::Stopped),
            () = self.report(producer.trouble()) => Ok(Ending::Stopped),
            () = leading.look(&*self.log, &*self.clock) => Ok(Ending::Stopped),
        };
        self.reporter.is_about(producer.too_large());
        outcome
    }

    /// Gives signs of life, until another leads. That the store can't be asked is no reason to stop:
    /// if another leads meanwhile, the checkpoint fails.
    async fn displaced(&self, view: &ViewName) {
        loop {
            self.clock.sleep(self.lease / 5).await;
            match self.views.heartbeat(view, &self.worker, self.lease).await {
                Ok(roll) => match roll.holders.first() {
                    Some(Some(holder)) if *holder == self.worker => {}
                    _ => return,
                },
                Err(error) => tracing::warn!(relay = self.name, %error, "a sign of life failed"),
            }
        }
    }

    async fn out_of_grace(&self, stopped: &mut watch::Receiver<bool>) {
        stopping(stopped).await;
        self.clock.sleep(GRACE).await;
        tracing::warn!(relay = self.name, "stopping before everything is acknowledged");
    }

    /// Lets it be seen that the broker is gone, for as long as this is polled.
    async fn report(&self, mut trouble: watch::Receiver<Option<Error>>) {
        while trouble.changed().await.is_ok() {
            let error = trouble.borrow_and_update().clone();
            if let Some(error) = error {
                tracing::warn!(relay = self.name, %error, "publishing; trying again");
                self.reporter.failing(&error, self.clock.now());
            }
        }
    }
}
