//! The feed loop of one shard: page by page, with retries of transient errors.

use std::{mem, pin::pin, sync::Arc, time::Duration};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Either, select},
};
use highwater_core::{
    Envelope, Error, Position, Result,
    error::Conflict,
    port::{ClaimMode, Feed, FeedPage, Progress},
};
use jiff::Timestamp;
use tracing::Instrument as _;

use super::{
    audit::{RepairOrder, ShardHold},
    context::ClaimContext,
    drain_parked::ParkedDrain,
    failure::{is_about_ownership, is_transient},
    owned_shard::OwnedShard,
    poison::EventApplier,
};
use crate::{heartbeat::wait_until, projection::Job};

/// The interval at which a shard with parked keys looks for requested retries.
const PARKED_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The waits between retries.
type RetryWaits = Box<dyn Iterator<Item = Duration> + Send>;

/// The work on one shard. It ends with an error: another worker owns the shard, or an operator must act.
/// Transient errors are retried for ever.
pub(super) struct ShardTask {
    pub(super) shard: OwnedShard,
    /// The time to look for requested retries of parked keys.
    next_parked_poll: Timestamp,
    /// The parked key whose queued events are being applied.
    draining: Option<String>,
    /// Brings the orders of the auditor, if the shard is one of the membership.
    hold: Option<ShardHold>,
}

impl ShardTask {
    /// Claims the shard; `None` if another worker has it.
    pub(super) async fn claim(
        job: &Arc<dyn Job>,
        context: ClaimContext,
        mode: ClaimMode,
    ) -> Result<Option<Self>> {
        let next_parked_poll = context.worker.clock.now();
        let shard = OwnedShard::claim(job, context, mode).await?;
        Ok(shard.map(|shard| Self { shard, next_parked_poll, draining: None, hold: None }))
    }

    /// Works until an error. Safe to cancel at any point: a commit under way is done or not.
    pub(super) async fn run(mut self, mut feed: Box<dyn Feed>, hold: ShardHold) -> Result<()> {
        self.hold = Some(hold);
        let limit = self.shard.batch_size(self.shard.context.options.batch);
        let mut page = self.next_page(&mut *feed, limit).await?;
        loop {
            let next = if page.more {
                Some(self.process_while_reading(&page, feed.next(limit)).await?)
            } else {
                self.process_page(&page).await?;
                None
            };
            feed.committed(&self.shard.claim.progress);
            page = match next {
                Some(Ok(page)) => page,
                Some(Err(error)) => {
                    self.recover(error, &mut self.waits()).await?;
                    self.next_page(&mut *feed, limit).await?
                }
                None => self.next_page(&mut *feed, limit).await?,
            };
        }
    }

    /// Returns the next page; retries transient errors.
    async fn next_page(&mut self, feed: &mut dyn Feed, limit: usize) -> Result<FeedPage> {
        let mut waits = self.waits();
        loop {
            let next = self.reporting_recovery(feed.next(limit));
            match self.await_page(next).await? {
                Ok(page) => return Ok(page),
                Err(error) => self.recover(error, &mut waits).await?,
            }
        }
    }

    /// Reports that the shard works again after an error, although there is nothing to apply: the feed has waited
    /// for events as long as the longest retry, and the log answers.
    fn reporting_recovery<'f>(
        &self,
        next: BoxFuture<'f, Result<FeedPage>>,
    ) -> BoxFuture<'f, Result<FeedPage>> {
        if !self.shard.context.reporter.is_retrying() {
            return next;
        }
        let context = self.shard.context.clone();
        async move {
            let recovery = pin!(async {
                while context.reporter.is_retrying() {
                    context.sleep(context.options.backoff.max_delay).await;
                    if context.worker.log.head().await.is_ok() {
                        context.reporter.running();
                    }
                }
            });
            match select(next, recovery).await {
                Either::Left((page, _)) => page,
                Either::Right(((), next)) => next.await,
            }
        }
        .boxed()
    }

    /// Processes a page while the next one is read. An error is returned without waiting for the read:
    /// there may be nothing to read for long.
    async fn process_while_reading(
        &mut self,
        page: &FeedPage,
        mut next: BoxFuture<'_, Result<FeedPage>>,
    ) -> Result<Result<FeedPage>> {
        let processed = {
            let process = pin!(async {
                // Lets the read send its request before this work occupies the thread.
                tokio::task::yield_now().await;
                self.process_page(page).await
            });
            match select(&mut next, process).await {
                Either::Left((next, process)) => return process.await.map(|()| next),
                Either::Right((processed, _)) => processed,
            }
        };
        processed?;
        self.await_page(next).await
    }

    /// Waits for a page. Repairs rows and retries parked keys before and meanwhile; a page that is there waits for one
    /// turn of that at most.
    async fn await_page(
        &mut self,
        mut next: BoxFuture<'_, Result<FeedPage>>,
    ) -> Result<Result<FeedPage>> {
        let mut has_failed = false;
        loop {
            while let Some(order) = self.hold.as_mut().and_then(ShardHold::try_next) {
                self.repair(order).await?;
            }
            if self.shard.parking.is_empty() {
                if mem::take(&mut has_failed) {
                    self.shard.context.reporter.running();
                }
                match self.next_order(&mut next).await {
                    Either::Left(page) => return Ok(page),
                    Either::Right(order) => self.repair(order).await?,
                }
                continue;
            }
            let clock = &self.shard.context.worker.clock;
            let wait = wait_until(self.next_parked_poll, clock.now(), PARKED_POLL_INTERVAL);
            if !wait.is_zero()
                && let Either::Left((next, _)) = select(&mut next, clock.sleep(wait)).await
            {
                return Ok(next);
            }
            if let Some(page) = self.retry_parked(&mut next, &mut has_failed).await? {
                return Ok(page);
            }
        }
    }

    /// Waits for a page or an order of the auditor.
    async fn next_order(
        &mut self,
        next: &mut BoxFuture<'_, Result<FeedPage>>,
    ) -> Either<Result<FeedPage>, RepairOrder> {
        let Some(hold) = &mut self.hold else { return Either::Left(next.await) };
        match select(next, pin!(hold.next())).await {
            Either::Left((page, _)) => Either::Left(page),
            Either::Right((order, _)) => Either::Right(order),
        }
    }

    /// Writes drifted rows again. An error that an operator would have to look at leaves the rows as they are, and doesn't
    /// stop the shard.
    async fn repair(&mut self, order: RepairOrder) -> Result<()> {
        let Some(hold) = &self.hold else { return Ok(()) };
        let Err(error) = order.execute(&mut self.shard, hold.record()).await else { return Ok(()) };
        let view = &self.shard.context.view;
        if is_transient(&error, view) || is_about_ownership(&error) {
            self.recover(error, &mut self.waits()).await?;
            self.shard.context.reporter.running();
        } else {
            tracing::warn!(%view, shard = %self.shard.claim.shard, %error, "rows can't be repaired");
        }
        Ok(())
    }

    /// Applies a page of queued events while the next page is awaited. Returns that page if it is there first. After a
    /// failure the first turn that succeeds reports that the shard runs.
    async fn retry_parked(
        &mut self,
        next: &mut BoxFuture<'_, Result<FeedPage>>,
        has_failed: &mut bool,
    ) -> Result<Option<Result<FeedPage>>> {
        let now = self.shard.context.worker.clock.now();
        let (turn, page) = {
            let mut drain = ParkedDrain(&mut self.shard);
            let turn = std::pin::pin!(drain.take_turn(&mut self.draining));
            match select(next, turn).await {
                Either::Left((page, turn)) => (turn.await, Some(page)),
                Either::Right((turn, _)) => (turn, None),
            }
        };
        if turn.is_ok() && mem::take(has_failed) {
            self.shard.context.reporter.running();
        }
        match turn {
            // There may be more to apply, and other keys.
            Ok(true) => self.next_parked_poll = now,
            Ok(false) => self.next_parked_poll = now + PARKED_POLL_INTERVAL,
            Err(error) => {
                self.next_parked_poll = now + PARKED_POLL_INTERVAL;
                self.recover(error, &mut self.waits()).await?;
                *has_failed = true;
            }
        }
        Ok(page)
    }

    /// Applies the events of a page and commits the progress.
    pub(super) async fn process_page(&mut self, page: &FeedPage) -> Result<()> {
        let view = &self.shard.context.view;
        let shard = self.shard.claim.shard;
        let events = page.events.len();
        let through = page.through;
        let span = tracing::info_span!("page", %view, %shard, events, %through);
        self.apply_page(page).instrument(span).await?;
        self.shard.context.reporter.running();
        Ok(())
    }

    /// After a transient error it is unknown what has been committed: the shard is claimed again, which
    /// returns the committed progress.
    async fn apply_page(&mut self, page: &FeedPage) -> Result<()> {
        let committed = &self.shard.claim.progress;
        let to = Progress {
            // A feed that repeats events may end a page before the committed position.
            position: page.through.max(committed.position),
            as_of: page.as_of.unwrap_or(committed.as_of),
            cursor: page.cursor.clone(),
        };
        let mut waits = self.waits();
        self.shard.metrics.repeated(page.events.len() - self.new_events(page).len());
        loop {
            let events = self.new_events(page);
            match EventApplier(&mut self.shard).apply_bisecting(events, to.clone()).await {
                Ok(()) => return Ok(()),
                Err(error) => self.recover(error, &mut waits).await?,
            }
            if self.shard.claim.progress.position >= to.position {
                return Ok(());
            }
        }
    }

    /// Returns the events of a page after the committed position.
    fn new_events<'a>(&self, page: &'a FeedPage) -> &'a [Envelope] {
        let committed = self.shard.claim.progress.position;
        let first = page.events.partition_point(|event| event.position <= committed);
        page.events.get(first..).unwrap_or_default()
    }

    fn waits(&self) -> RetryWaits {
        Box::new(self.shard.context.options.backoff.waits())
    }

    /// Waits and claims the shard again, until that succeeds. Any error that is not transient ends the
    /// work. So does progress that has gone back: the feed has passed the events after it.
    async fn recover(&mut self, mut error: Error, waits: &mut RetryWaits) -> Result<()> {
        let passed = self.shard.claim.progress.position;
        loop {
            wait_to_retry(&self.shard.context, error, waits).await?;
            match self.shard.claim_again().await {
                Ok(()) => return self.check_progress(passed),
                Err(next) => error = next,
            }
        }
    }

    /// Checks that the store has not lost commits of this task, in a fail-over or a restore.
    ///
    /// # Errors
    /// [`Conflict::Checkpoint`], after which the projection joins again and has its shards fed from their progress.
    fn check_progress(&self, passed: Position) -> Result<()> {
        let actual = self.shard.claim.progress.position;
        if actual >= passed {
            return Ok(());
        }
        let view = self.shard.context.view.to_string();
        let shard = self.shard.claim.shard;
        tracing::warn!(view, %shard, %passed, %actual, "the store has lost commits; beginning again from what is left");
        Err(Conflict::Checkpoint { view, expected: passed, actual }.into())
    }
}

/// Reports a transient error and waits; returns any other error.
async fn wait_to_retry(context: &ClaimContext, error: Error, waits: &mut RetryWaits) -> Result<()> {
    if !is_transient(&error, &context.view) || is_about_ownership(&error) {
        return Err(error);
    }
    tracing::warn!(view = %context.view, shard = %context.scope.shard, %error, "trying again");
    context.reporter.retrying(&error);
    context.sleep(waits.next().unwrap_or(context.options.backoff.max_delay)).await;
    Ok(())
}
