//! The task beside the shards: a sample when a shard is taken up, then one page of keys after the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    ops::Bound,
    time::Duration,
};

use highwater_core::{
    Error, Position, Result,
    domain::{DefinitionHash, KeyedBy, ViewName},
    error::Conflict,
    port::{KeyRange, ViewState},
    value::{ShardId, Sharding},
};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    coverage::Coverage,
    held::HeldShards,
    record::AuditRecord,
    repair::RepairOrder,
    ring::{Ring, RingPage, RingStart},
};
use crate::{
    options::OnDrift,
    projection::{Findings, FoldAfresh, FreshRows, Pace, shard_of},
    worker::context::WorkerContext,
};

/// The longest wait before the auditor begins: a shard that was taken up catches up first.
const START_DELAY: Duration = Duration::from_secs(1);
/// The least window: a shorter one would leave no pause between two comparisons.
const MIN_WINDOW: Duration = Duration::from_millis(10);
/// The longest wait after an error.
const RETRY_DELAY: Duration = Duration::from_secs(10);
/// The pause between two steps of a repair.
const REPAIR_PAUSE: Duration = Duration::from_millis(5);
/// The number of rows of a page, if the events of a row are read with its stream.
const STREAM_ROWS: usize = 100;
/// The number of rows that are compared at a time, if the events of a row are read with its stream: what is found is
/// reported soon.
const STREAM_CHUNK: usize = 10;
/// The number of rows of a page, if all events of the view are read for the page.
const LOG_ROWS: usize = 5_000;
/// The number of events that are read at a time.
const EVENTS: usize = 1_000;

/// The most events that are read in a second on average, if all events of the view are read for a page: comparing stays in
/// the background, whatever the window. Rows that are not reached within it are missing in the coverage.
const MAX_EVENT_RATE: u64 = 10_000;

/// Compares the rows of the shards that a projection holds in this worker.
pub(in crate::worker) struct ShardAuditor {
    pub(in crate::worker) view: ViewName,
    pub(in crate::worker) keyed: KeyedBy,
    /// Folds rows of the view afresh.
    pub(in crate::worker) fold: FoldAfresh,
    pub(in crate::worker) context: WorkerContext,
    pub(in crate::worker) sharding: Sharding,
    /// The definition by which the shards are claimed.
    pub(in crate::worker) definition: Option<DefinitionHash>,
    pub(in crate::worker) on_drift: OnDrift,
    pub(in crate::worker) held: HeldShards,
    pub(in crate::worker) record: AuditRecord,
}

/// The place of the auditor in its circle.
struct Round {
    window: Duration,
    ring: Ring,
    start: RingStart,
    coverage: Coverage,
}

impl ShardAuditor {
    /// Compares for ever. Each wait ends at once when the task is aborted.
    pub(in crate::worker) async fn run(self, window: Duration) {
        let window = window.max(MIN_WINDOW);
        self.record.begun(window);
        sleep(START_DELAY.min(window / 100)).await;
        let start = RingStart::Random(self.random());
        let coverage = Coverage::new(window);
        let mut round = Round { window, ring: Ring::default(), start, coverage };
        loop {
            self.held.until_any().await;
            if let Err(error) = self.step(&mut round).await {
                self.report(&error);
                self.update_coverage(&mut round);
                sleep(RETRY_DELAY.min(window / 10)).await;
            }
        }
    }

    /// Samples the shards that were taken up, and compares a page. A shard that is taken up meanwhile begins with the same
    /// page.
    async fn step(&self, round: &mut Round) -> Result<()> {
        self.sample().await?;
        if round.ring.pages.is_empty() {
            let start = mem::replace(&mut round.start, RingStart::First);
            let views = &*self.context.views;
            round.ring = Ring::divide(views, &self.view, self.page_rows(), start).await?;
        }
        let Some(page) = round.ring.pages.front() else { return Ok(()) };
        let shards = self.held.begin();
        // A little faster than needed: the rest is for what takes longer than planned.
        let budget = round.window.mul_f64(round.ring.share * 0.9);
        let budget = budget.max(self.least_time(round.ring.head));
        tokio::select! {
            audited = self.audit(page, &shards, round.ring.head, budget) => audited?,
            () = self.held.until_new() => return Ok(()),
        }
        round.start = page.next_start();
        round.ring.pages.pop_front();
        round.coverage.add(Instant::now(), round.ring.share, self.held.still(shards));
        self.update_coverage(round);
        Ok(())
    }

    /// Returns the time that a page must take at least.
    fn least_time(&self, head: Position) -> Duration {
        match self.keyed {
            KeyedBy::Stream(_) => Duration::ZERO,
            KeyedBy::Key => Duration::from_millis(head.get() * 1_000 / MAX_EVENT_RATE),
        }
    }

    fn update_coverage(&self, round: &mut Round) {
        let held = self.held.all();
        self.record.covered(round.coverage.of(&held, Instant::now()), || self.held.all());
    }

    /// Compares the rows of a page, and those that the events of its part of the log give and the view lacks. Takes as long
    /// as `budget`.
    async fn audit(
        &self,
        page: &RingPage,
        shards: &BTreeSet<ShardId>,
        head: Position,
        budget: Duration,
    ) -> Result<()> {
        let end = Instant::now() + budget;
        let events = page.through.get().saturating_sub(page.after.get());
        let mut pace = Pace::over(budget / 5, events / EVENTS as u64 + 2);
        let mut keys = self.keys_with_rows(&page.keys, shards).await?;
        let mut after = page.after;
        loop {
            after = self.add_missing_keys(after, page, shards, &mut keys, &mut pace).await?;
            let steps = self.steps(&keys, head);
            let left = end.saturating_duration_since(Instant::now());
            self.compare(mem::take(&mut keys), &mut Pace::over(left / 5 * 4, steps)).await?;
            if after >= page.through {
                break;
            }
        }
        sleep_until(end).await;
        Ok(())
    }

    /// Returns the keys of the range that have a row, and belong to these shards.
    async fn keys_with_rows(
        &self,
        keys: &KeyRange,
        shards: &BTreeSet<ShardId>,
    ) -> Result<BTreeSet<String>> {
        let mut found = BTreeSet::new();
        let mut range = keys.clone();
        loop {
            let page = self.context.views.read_range(&self.view, &range, self.page_rows()).await?;
            self.check(&page.state)?;
            let last = page.rows.last().filter(|_| page.more).map(|(key, _)| key.clone());
            let keys = page.rows.into_iter().map(|(key, _)| key);
            found.extend(keys.filter(|key| shards.contains(&self.shard_of(key))));
            match last {
                Some(last) => range.from = Bound::Excluded(last),
                None => return Ok(found),
            }
        }
    }

    /// Adds keys of events that have no row, until they are enough for a comparison. Returns the position up to which the
    /// log was read.
    async fn add_missing_keys(
        &self,
        mut after: Position,
        page: &RingPage,
        shards: &BTreeSet<ShardId>,
        keys: &mut BTreeSet<String>,
        pace: &mut Pace,
    ) -> Result<Position> {
        let mut fresh = self.fresh_rows()?;
        let mut added = 0;
        while after < page.through && added < self.page_rows() {
            let read = fresh.keys_after(after, EVENTS).await?;
            let events =
                read.keys.into_iter().take_while(|(position, _)| *position <= page.through);
            let of_events = events.flat_map(|(_, keys)| keys);
            let own: BTreeSet<String> =
                of_events.filter(|key| shards.contains(&self.shard_of(key))).collect();
            let own: Vec<String> = own.difference(keys).cloned().collect();
            let stored = match own.is_empty() {
                true => Vec::new(),
                false => self.context.views.read_view(&self.view, &own).await?.rows,
            };
            let rows = own.into_iter().zip(stored);
            let missing = rows.filter(|(_, row)| row.value.is_none()).map(|(key, _)| key);
            let before = keys.len();
            keys.extend(missing);
            added += keys.len() - before;
            // The log ends before the view: the shards report that.
            if read.through <= after {
                return Ok(page.through);
            }
            after = read.through;
            pace.wait().await;
        }
        Ok(after)
    }

    /// Compares the rows of keys, and repairs those that differ if that is configured. Returns the number of rows that
    /// were compared.
    pub(super) async fn compare(&self, keys: BTreeSet<String>, pace: &mut Pace) -> Result<usize> {
        let keys: Vec<String> = keys.into_iter().collect();
        let mut compared = 0;
        let chunk = match self.keyed {
            KeyedBy::Stream(_) => STREAM_CHUNK,
            KeyedBy::Key => LOG_ROWS,
        };
        for keys in keys.chunks(chunk) {
            let stored = self.context.views.read_view(&self.view, keys).await?;
            self.check(&stored.state)?;
            let rows: Vec<_> = keys.iter().cloned().zip(stored.rows).collect();
            let mut fresh = self.fresh_rows()?;
            let findings = fresh.compare(&rows, &stored.state, pace).await?;
            self.record.compared(&findings, || self.held.all(), |key| self.shard_of(key));
            compared += findings.compared();
            if self.on_drift == OnDrift::Repair && !findings.repairs.is_empty() {
                self.repair(findings, fresh).await?;
            }
        }
        Ok(compared)
    }

    /// Lets the shards of drifted rows write them again. A row whose shard has gone is found by its next worker.
    async fn repair(&self, found: Findings, mut fresh: Box<dyn FreshRows>) -> Result<()> {
        // The comparison may have taken long: a shard is to fold only the last events, while its own wait.
        let keys: Vec<String> = found.repairs.into_iter().map(|(key, _)| key).collect();
        let stored = self.context.views.read_view(&self.view, &keys).await?;
        self.check(&stored.state)?;
        let rows: Vec<_> = keys.into_iter().zip(stored.rows).collect();
        let found = fresh.compare(&rows, &stored.state, &mut Pace::every(REPAIR_PAUSE)).await?;
        let mut by_shard: BTreeMap<ShardId, Vec<String>> = BTreeMap::new();
        for (key, _) in found.repairs {
            by_shard.entry(self.shard_of(&key)).or_default().push(key);
        }
        for (shard, keys) in by_shard {
            let Some(orders) = self.held.orders(shard) else { continue };
            let (order, answer) = RepairOrder::new(keys, fresh);
            if orders.send(order).await.is_err() {
                break;
            }
            match answer.await {
                Ok(folded) => fresh = folded,
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// Returns an error if the rows are not those that this program folds.
    pub(super) fn check(&self, state: &ViewState) -> Result<()> {
        if state.sharding != self.sharding {
            let view = self.view.to_string();
            let expected = self.sharding;
            return Err(Conflict::Sharding { view, expected, actual: state.sharding }.into());
        }
        match self.definition.is_none_or(|own| state.definition == Some(own)) {
            true => Ok(()),
            false => Err(Conflict::Definition { view: self.view.to_string() }.into()),
        }
    }

    /// Logs an error after which the auditor tries again. One of a store is reported by the shards, too.
    fn report(&self, error: &Error) {
        let view = &self.view;
        match error.is_retryable() {
            true => tracing::debug!(%view, %error, "not audited now; trying again"),
            false => tracing::warn!(%view, %error, "the view can't be audited; trying again"),
        }
    }

    /// Returns the number of steps in which these rows are folded afresh.
    fn steps(&self, keys: &BTreeSet<String>, head: Position) -> u64 {
        match self.keyed {
            KeyedBy::Stream(_) => keys.len() as u64,
            KeyedBy::Key => head.get() / EVENTS as u64 + 1,
        }
    }

    fn page_rows(&self) -> usize {
        match self.keyed {
            KeyedBy::Stream(_) => STREAM_ROWS,
            KeyedBy::Key => LOG_ROWS,
        }
    }

    pub(super) fn shard_of(&self, key: &str) -> ShardId {
        shard_of(self.sharding, self.keyed, key)
    }

    pub(super) fn fresh_rows(&self) -> Result<Box<dyn FreshRows>> {
        (self.fold)(&self.context.log, &self.view)
    }

    /// A number by the clock, so that each start begins elsewhere.
    pub(super) fn random(&self) -> u64 {
        let now = self.context.clock.now().as_nanosecond().unsigned_abs();
        u64::try_from(now % u128::from(u64::MAX)).unwrap_or_default()
    }
}
