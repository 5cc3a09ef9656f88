//! One shard: page, effect, commit; all in one transaction (R1).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::{BoxFuture, Either, select};
use highwater_core::{
    Envelope, Error, Result,
    domain::ViewName,
    error::{Conflict, Unavailable},
    port::{Claim, ClaimMode, Feed, FeedPage, Progress, ViewCommit},
};
use jiff::Timestamp;
use tracing::{Instrument as _, field};

use super::{Parking, ShardContext};
use crate::{
    job::{Apply, Changes, Job},
    metrics::Held,
    trace::Traces,
};

/// How often a shard with parked keys asks whether one is to be tried again.
const LOOK: Duration = Duration::from_secs(1);

/// The work on one shard. It ends with an error: another worker has the shard now, or somebody must
/// look. What may pass is tried for ever.
pub(crate) struct ShardWork {
    pub(super) context: ShardContext,
    pub(super) claim: Claim,
    pub(super) apply: Box<dyn Apply>,
    pub(super) parking: Parking,
    held: Held,
    job: Arc<dyn Job>,
    claiming: ClaimMode,
    /// When parked keys are to be looked at again.
    next_look: Timestamp,
}

impl ShardWork {
    /// Claims the shard; `None` if somebody else has it.
    pub(super) async fn claim(
        job: &Arc<dyn Job>,
        context: ShardContext,
        claiming: ClaimMode,
    ) -> Result<Option<Self>> {
        let Some(claim) = context.claim(claiming).await? else { return Ok(None) };
        let (apply, job) = (job.shard(&context), Arc::clone(job));
        let parking = Parking::load(&context).await?;
        let next_look = context.clock.now();
        let held = context.meter.hold(claim.shard, &claim.progress);
        held.parked(parking.len());
        Ok(Some(Self { context, claim, apply, parking, held, job, claiming, next_look }))
    }

    /// Works until an error. Dropping it is safe at any point: a commit under way is done or not.
    pub(crate) async fn run(mut self, mut feed: Box<dyn Feed>) -> Result<()> {
        let limit = self.batch(self.context.options.batch);
        let mut page = self.next(&mut *feed, limit).await?;
        loop {
            self.context.reporter.running();
            let ahead = if page.more {
                Some(self.take_and_read_on(&page, feed.next(limit)).await?)
            } else {
                self.take(&page).await?;
                None
            };
            feed.committed(&self.claim.progress);
            page = match ahead {
                Some(Ok(page)) => page,
                Some(Err(error)) => {
                    self.recover(error, &mut self.waits()).await?;
                    self.next(&mut *feed, limit).await?
                }
                None => self.next(&mut *feed, limit).await?,
            };
        }
    }

    /// The next page; what may pass is tried again.
    async fn next(&mut self, feed: &mut dyn Feed, limit: usize) -> Result<FeedPage> {
        let mut waits = self.waits();
        loop {
            match self.await_page(feed.next(limit)).await? {
                Ok(page) => return Ok(page),
                Err(error) => self.recover(error, &mut waits).await?,
            }
        }
    }

    /// Gives a page its effect while the next is being read. If that fails nobody waits for the read:
    /// there may be nothing to read for long.
    async fn take_and_read_on(
        &mut self,
        page: &FeedPage,
        mut next: BoxFuture<'_, Result<FeedPage>>,
    ) -> Result<Result<FeedPage>> {
        let early = {
            let take = std::pin::pin!(async {
                // What the read has started can send its request before the work has the thread.
                tokio::task::yield_now().await;
                self.take(page).await
            });
            match select(&mut next, take).await {
                Either::Left((next, take)) => return take.await.map(|()| next),
                Either::Right((taken, _)) => taken,
            }
        };
        early?;
        self.await_page(next).await
    }

    /// Waits for a page; sees to parked keys in the meantime, and before.
    async fn await_page(
        &mut self,
        mut next: BoxFuture<'_, Result<FeedPage>>,
    ) -> Result<Result<FeedPage>> {
        loop {
            if self.parking.is_empty() {
                return Ok(next.await);
            }
            let now = self.context.clock.now();
            let wait = self.next_look.duration_since(now).try_into().unwrap_or(Duration::ZERO);
            if wait > Duration::ZERO {
                let look = self.context.clock.sleep(wait);
                if let Either::Left((next, _)) = select(&mut next, look).await {
                    return Ok(next);
                }
            }
            self.next_look = self.context.clock.now() + LOOK;
            if let Err(error) = self.retry_parked().await {
                self.recover(error, &mut self.waits()).await?;
            }
        }
    }

    /// Gives a page its effect. After an error that may pass nobody knows what has been committed: the
    /// shard is claimed anew, and tells.
    pub(super) async fn take(&mut self, page: &FeedPage) -> Result<()> {
        let (view, shard) = (&self.context.view, self.claim.shard);
        let (events, through) = (page.events.len(), page.through);
        let span = tracing::info_span!("page", %view, %shard, events, %through);
        self.take_within(page).instrument(span).await
    }

    async fn take_within(&mut self, page: &FeedPage) -> Result<()> {
        let as_of = page.as_of.unwrap_or(self.claim.progress.as_of);
        // A feed that repeats may end a page before what is done already.
        let position = page.through.max(self.claim.progress.position);
        let to = Progress { position, as_of, cursor: page.cursor.clone() };
        let mut waits = self.waits();
        self.held.repeated(self.first_new(page));
        loop {
            let events = page.events.get(self.first_new(page)..).unwrap_or_default();
            match self.step(events, to.clone()).await {
                Ok(()) => return Ok(()),
                Err(error) => self.recover(error, &mut waits).await?,
            }
            if self.claim.progress.position >= to.position {
                return Ok(());
            }
        }
    }

    /// The place of the first event that hasn't had its effect.
    fn first_new(&self, page: &FeedPage) -> usize {
        let done = self.claim.progress.position;
        page.events.partition_point(|event| event.position <= done)
    }

    /// The effect of some events and the progress, in one transaction.
    pub(super) async fn attempt(&mut self, events: &[Envelope], to: Progress) -> Result<()> {
        self.parking.unstage();
        let _traces = self.traces(events);
        let changes = match self.parking.passes_all(events) {
            true => Changes::default(),
            false => self.apply.apply(events, &mut self.parking).await?,
        };
        self.commit(changes, to).await?;
        self.held.applied(events.len());
        Ok(())
    }

    /// Lets the events' effect and its commit be seen in their traces.
    fn traces(&self, events: &[Envelope]) -> Traces {
        let (view, shard) = (&self.context.view, self.claim.shard);
        Traces::of(events, |event| {
            let (position, trace_id) = (event.position, field::Empty);
            tracing::info_span!(parent: None, "commit", %view, %shard, %position, trace_id)
        })
    }

    pub(super) async fn commit(&mut self, changes: Changes, to: Progress) -> Result<()> {
        let mut commit = ViewCommit::new(self.context.view.clone(), &self.claim, to.clone());
        commit.rows = changes.rows;
        commit.hook = changes.attachment;
        commit.parked = self.parking.staged();
        let began = Instant::now();
        let committed = self.context.views.commit_view(commit).await;
        self.held.tried_to_commit(began.elapsed());
        committed?;
        self.held.stands(&to);
        self.held.parked(self.parking.len());
        self.parking.committed(to.position);
        self.claim.progress = to;
        if changes.applied {
            self.apply.committed();
        }
        Ok(())
    }

    /// How many events go in one transaction at the most, if so many are wished for.
    pub(super) fn batch(&self, wished: usize) -> usize {
        self.job.batch(wished)
    }

    fn waits(&self) -> Waits {
        Box::new(self.context.options.backoff.waits())
    }

    /// Waits, and takes the shard again, until that works.
    async fn recover(&mut self, mut error: Error, waits: &mut Waits) -> Result<()> {
        loop {
            pause(&self.context, error, waits).await?;
            match self.claim_again().await {
                Ok(()) => return Ok(()),
                Err(again) => error = again,
            }
        }
    }

    /// Takes the shard again, with what is committed of it. What was in memory is forgotten.
    async fn claim_again(&mut self) -> Result<()> {
        let Some(claim) = self.context.claim(self.claiming).await? else {
            let (view, shard) = (self.context.view.to_string(), self.claim.shard);
            let (epoch, actual) = (self.claim.epoch, self.claim.epoch);
            return Err(Conflict::Fenced { view, shard, epoch, actual }.into());
        };
        self.parking = Parking::load(&self.context).await?;
        self.apply = self.job.shard(&self.context);
        self.claim = claim;
        Ok(())
    }
}

/// The waits between tries.
type Waits = Box<dyn Iterator<Item = Duration> + Send>;

/// Waits after an error that may pass, and lets it be seen; any other ends the work.
async fn pause(context: &ShardContext, error: Error, waits: &mut Waits) -> Result<()> {
    let is_of_ownership =
        matches!(error.conflict(), Some(Conflict::Fenced { .. } | Conflict::Sharding { .. }));
    if !may_pass(&error, &context.view) || is_of_ownership {
        return Err(error);
    }
    tracing::warn!(view = %context.view, shard = %context.share.shard, %error, "trying again");
    context.reporter.retrying(&error);
    context.clock.sleep(waits.next().unwrap_or(context.options.backoff.longest)).await;
    Ok(())
}

/// Whether it is worth another try. The view itself was opened when the worker was started: if it is gone it
/// has been renamed by a newer program, or removed, and would be made anew under its former name. Another
/// view, which an effect reads, may only not be there yet.
pub(super) fn may_pass(error: &Error, view: &ViewName) -> bool {
    let gone = match error {
        Error::Unavailable(unavailable) => match &**unavailable {
            Unavailable::ViewMissing { view } => Some(view.as_str()),
            _ => None,
        },
        _ => None,
    };
    error.is_retryable() && gone != Some(view.as_str())
}

/// Whether another worker has the shard now.
pub(super) fn is_fenced(error: &Error) -> bool {
    matches!(error.conflict(), Some(Conflict::Fenced { .. }))
}
