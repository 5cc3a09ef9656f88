//! Rows that are folded again from the log, and committed to their shards.
//!
//! A repair takes the shard of a row for one commit, as a worker would take it over: it claims the shard, which fences
//! its worker, commits the row under the epoch and at the position of its claim, and releases the shard. So nothing comes
//! between the fold and the commit, the row has exactly the events before the position, and the worker goes on from there
//! without the rows that it had in memory. Most of the log is read before the claim.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    future::IntoFuture,
    mem,
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use highwater_core::{
    Error, Position, Result,
    domain::{View, ViewName},
    error::Conflict,
    port::{Claim, ClaimMode, ShardClaim, StoredRow, ViewCommit, ViewState, WorkerId},
    value::{Epoch, ShardId},
};
use tokio::runtime::Handle;

use super::{report::UnverifiedKey, snapshot::read_snapshot};
use crate::{
    direct::LEASE,
    metrics::REPAIRED_ROWS,
    projection::{Drift, KeysFold, Pace, encode_folded, find_drift, position_of, shard_of},
    read::{RowScope, ViewReader, ViewSource},
};

/// The number of rows that are folded and committed at a time.
const MAX_ROWS: usize = 1_000;
/// The number of attempts to commit: the worker of a shard may take it back meanwhile.
const ATTEMPTS: u32 = 10;
/// The pause between two attempts.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// The outcome of a repair.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RepairReport {
    /// The rows that were written or deleted, each as it was before, in the order of their keys.
    pub repaired: Vec<Drift>,
    /// The number of rows that were right.
    pub unchanged: u64,
    /// The keys whose rows can't be folded from the log, and were left as they are.
    pub unverified: Vec<UnverifiedKey>,
}

/// A repair of rows before it is awaited.
///
/// ```
/// # use highwater_core::{Highwater, Result, domain::View};
/// # use highwater_projections::read::Views as _;
/// # async fn example<Balances: View>(bank: &Highwater) -> Result<()> {
/// let balances = bank.view::<Balances>();
/// let report = balances.verify().await?;
/// let repair = balances.repair(report.drifted_keys()).await?;
/// println!("{} rows repaired", repair.repaired.len());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing is repaired until it is awaited"]
pub struct RepairRequest<V> {
    reader: ViewReader<V>,
    keys: BTreeSet<String>,
}

impl<V: View> RepairRequest<V> {
    pub(super) fn new(reader: &ViewReader<V>, keys: BTreeSet<String>) -> Self {
        Self { reader: reader.clone(), keys }
    }

    async fn run(self) -> Result<RepairReport> {
        let worker = WorkerId::unique(&**self.reader.highwater().ids());
        let source = self.reader.source()?;
        let mut report = RepairReport::default();
        let keys: Vec<String> = self.keys.into_iter().collect();
        for keys in keys.chunks(MAX_ROWS) {
            let fold = KeysFold::<V>::new(source.highwater.log(), &source.view)?;
            let mut repair = Repair { source: &source, worker: &worker, fold };
            repair.run(keys, &mut report).await?;
        }
        report.repaired.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(report)
    }
}

impl<V: View> IntoFuture for RepairRequest<V> {
    type Output = Result<RepairReport>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Folds the rows again, and commits those that differ: a row that its events don't give is deleted. The row of a
    /// parked key gets the events before the first one that waits. Without a worker the rows are written, too. A repair
    /// that was interrupted can be repeated.
    ///
    /// The worker of a shard is fenced by the commit, and goes on within a fifth of its lease.
    ///
    /// # Errors
    /// [`Unavailable`](highwater_core::Error::Unavailable), after which some rows may have been repaired; with code
    /// [`VIEW_MISSING`](highwater_core::Code::VIEW_MISSING) if the view has never been opened.
    /// [`Conflict`](highwater_core::Error::Conflict) if workers took a shard back again and again.
    /// [`Corrupt`](highwater_core::Error::Corrupt) if the rows are those of another program.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<V: View> fmt::Debug for RepairRequest<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RepairRequest")
            .field("view", &V::NAME)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

/// A repair under way.
struct Repair<'a, V> {
    source: &'a ViewSource,
    worker: &'a WorkerId,
    fold: KeysFold<V>,
}

/// A shard that is taken for one commit. A repair that is dropped meanwhile gives it back, too.
struct TakenShard {
    /// `None` when the shard has been released.
    source: Option<ViewSource>,
    /// The name under which the generation is stored.
    view: ViewName,
    shard: ShardId,
    epoch: Epoch,
}

impl TakenShard {
    async fn release(mut self) -> Result<()> {
        let released = match &self.source {
            Some(source) => release(source, &self.view, self.shard, self.epoch).await,
            None => Ok(()),
        };
        self.source = None;
        released
    }
}

impl Drop for TakenShard {
    fn drop(&mut self) {
        let Some(source) = self.source.take() else { return };
        let Self { shard, epoch, .. } = *self;
        let view = self.view.clone();
        // Outside a runtime the shard is free when its lease has run out.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { drop(release(&source, &view, shard, epoch).await) });
        }
    }
}

async fn release(source: &ViewSource, view: &ViewName, shard: ShardId, epoch: Epoch) -> Result<()> {
    source.highwater.views().release_shard(view, shard, epoch).await
}

/// The rows of one snapshot with their verdicts.
struct JudgedRows {
    /// The name under which the generation is stored.
    view: ViewName,
    state: ViewState,
    verdicts: Verdicts,
}

/// The verdicts on some rows.
#[derive(Default)]
struct Verdicts {
    drift: Vec<Drift>,
    /// The row to write for each drifted one; `None` to delete it.
    rows: Vec<(String, Option<Bytes>)>,
    unchanged: u64,
    unverified: Vec<UnverifiedKey>,
}

impl<V: View> Repair<'_, V> {
    /// Repairs rows of any shards.
    async fn run(&mut self, keys: &[String], report: &mut RepairReport) -> Result<()> {
        let mut attempts = 0;
        let mut left: BTreeSet<String> = keys.iter().cloned().collect();
        while !left.is_empty() {
            match self.try_run(&mut left, report).await {
                Err(error) if error.is_conflict() && attempts < ATTEMPTS => {
                    attempts += 1;
                    tracing::debug!(view = %self.source.view, %error, "repairing again");
                    self.source.highwater.clock().sleep(RETRY_DELAY).await;
                }
                outcome => outcome?,
            }
        }
        Ok(())
    }

    /// Repairs the rows of one shard after the other, and removes their keys from those that are left.
    async fn try_run(
        &mut self,
        left: &mut BTreeSet<String>,
        report: &mut RepairReport,
    ) -> Result<()> {
        let JudgedRows { view, state, verdicts } =
            self.judge(left.iter().cloned().collect()).await?;
        let mut by_shard: BTreeMap<ShardId, Vec<String>> = BTreeMap::new();
        for drift in verdicts.drift {
            let shard = shard_of(state.sharding, V::KEYED_BY, &drift.key);
            by_shard.entry(shard).or_default().push(drift.key);
        }
        left.retain(|key| by_shard.values().any(|keys| keys.contains(key)));
        report.unchanged += verdicts.unchanged;
        report.unverified.extend(verdicts.unverified);
        for (shard, keys) in by_shard {
            let verdicts = self.repair_shard(&view, &state, shard, &keys).await?;
            left.retain(|key| !keys.contains(key));
            report.repaired.extend(verdicts.drift);
            report.unchanged += verdicts.unchanged;
            report.unverified.extend(verdicts.unverified);
        }
        Ok(())
    }

    /// Takes the shard for one commit.
    async fn repair_shard(
        &mut self,
        view: &ViewName,
        state: &ViewState,
        shard: ShardId,
        keys: &[String],
    ) -> Result<Verdicts> {
        let views = self.source.highwater.views();
        let claim = ShardClaim {
            view: view.clone(),
            sharding: state.sharding,
            shard,
            worker: self.worker.clone(),
            mode: ClaimMode::Always,
            lease: LEASE,
            definition: state.definition,
        };
        // With this mode the claim is given in any case.
        let Some(claim) = views.claim_shard(claim).await? else { return Ok(Verdicts::default()) };
        let taken = TakenShard {
            source: Some(self.source.clone()),
            view: view.clone(),
            shard,
            epoch: claim.epoch,
        };
        let committed = self.commit(view, &claim, keys).await;
        let released = taken.release().await;
        committed.and_then(|verdicts| released.map(|()| verdicts))
    }

    /// Commits the rows at the position of the claim: no other worker moves the shard meanwhile.
    async fn commit(
        &mut self,
        view: &ViewName,
        claim: &Claim,
        keys: &[String],
    ) -> Result<Verdicts> {
        let JudgedRows { view: judged, state, mut verdicts } = self.judge(keys.to_vec()).await?;
        if judged != *view {
            // This program has found another generation meanwhile.
            return Err(Conflict::Definition { view: view.to_string() }.into());
        }
        if verdicts.rows.is_empty() {
            return Ok(verdicts);
        }
        let views = self.source.highwater.views();
        let mut commit = ViewCommit::new(view.clone(), claim, claim.progress.clone());
        commit.rows = mem::take(&mut verdicts.rows);
        views.commit_view(commit).await?;
        REPAIRED_ROWS.count(&[self.source.view.as_str()]).increment(verdicts.drift.len() as u64);
        for Drift { key, kind, position, .. } in &verdicts.drift {
            tracing::warn!(%view, key, %position, %kind, "repaired");
        }
        // A commit removes the record of a stop, but the worker has stopped still.
        if let Some(stop) = state.stops.iter().find(|stop| stop.shard == claim.shard) {
            views.stop_shard(view, claim.epoch, stop.clone()).await?;
        }
        Ok(verdicts)
    }

    /// Reads rows, and compares each with the fold of its events.
    async fn judge(&mut self, keys: Vec<String>) -> Result<JudgedRows> {
        let snapshot = read_snapshot::<V>(self.source, &RowScope::Keys(keys.into())).await?;
        let state = ViewState::clone(&snapshot.state);
        let position =
            |(key, row): &(String, StoredRow)| (key.clone(), position_of::<V>(&state, key, row));
        let targets: BTreeMap<String, Position> = snapshot.rows.iter().map(position).collect();
        self.fold.fold_to(&targets, &mut Pace::none()).await?;
        let mut verdicts = Verdicts::default();
        for (key, stored) in snapshot.rows.iter() {
            let position = targets.get(key).copied().unwrap_or_default();
            self.judge_row(key, stored, position, &mut verdicts);
        }
        Ok(JudgedRows { view: snapshot.stored_name().clone(), state, verdicts })
    }

    fn judge_row(
        &self,
        key: &str,
        stored: &StoredRow,
        position: Position,
        verdicts: &mut Verdicts,
    ) {
        let view = &self.source.view;
        let unverified =
            |position, error: Error| UnverifiedKey { key: key.to_owned(), position, error };
        let row = self.fold.row(key);
        if let Some((position, error)) = row.and_then(|row| row.failure.clone()) {
            verdicts.unverified.push(unverified(position, error));
            return;
        }
        let folded = encode_folded(view, key, row.and_then(|row| row.value.clone()));
        let folded = match folded {
            Ok(folded) => folded,
            Err(error) => return verdicts.unverified.push(unverified(position, error)),
        };
        match find_drift::<V>(view, key, stored.value.as_ref(), folded.as_ref(), position) {
            Some(drift) => match self.fold.unreadable_before(position) {
                Some((lacking, error)) => verdicts.unverified.push(unverified(lacking, error)),
                None => {
                    verdicts.drift.push(drift);
                    verdicts.rows.push((key.to_owned(), folded));
                }
            },
            None => verdicts.unchanged += 1,
        }
    }
}
