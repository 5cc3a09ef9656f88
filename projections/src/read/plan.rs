//! The execution of a read: read a snapshot, check it, wait, fall back (R3).

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::{Either, pending, select};
use highwater_core::{
    Code, Error, PartitionId, Position, Result, Token,
    consistency::{Basis, Fallback, Level, Operation, ReadPolicy, Reading, Variant},
    domain::View,
    error::{Corrupt, Source, Unavailable},
    value::{Freshness, Pending, Target},
};
use jiff::Timestamp;
use tokio::time::timeout;

use super::{
    overlay::Overlay,
    requirement::Requirement,
    rows::{RowPage, RowSet, decode_row},
    scope::RowScope,
    shared::ReadSide,
    source::{ViewSnapshot, ViewSource},
    token::{check_log, check_position},
};
use crate::projection::{is_key_sharding_known, progress_of};

/// The longest wait for the shared read before this read makes its own.
const SHARED_READ_TIMEOUT: Duration = Duration::from_secs(10);

/// A read that is being executed.
pub(super) struct ReadPlan {
    pub(super) source: ViewSource,
    pub(super) scope: RowScope,
    pub(super) token: Token,
    pub(super) policy: ReadPolicy,
    pub(super) operation: Option<(Operation, Variant)>,
    pub(super) started_at: Timestamp,
}

impl ReadPlan {
    /// Executes the read. Outcome and duration of a named operation are measured.
    pub(super) async fn execute<V: View>(&self) -> Result<Reading<RowPage<V>>> {
        let Some((operation, variant)) = self.operation else { return self.read().await };
        let started = Instant::now();
        let answer = self.read().await;
        let labels = [operation.name(), variant.name(), self.policy.level.name()];
        self.shared().meter.answered(labels, outcome(&answer), started.elapsed());
        answer
    }

    async fn read<V: View>(&self) -> Result<Reading<RowPage<V>>> {
        check_log(&self.token, self.source.highwater.log().log_id())?;
        let snapshot = match self.first_snapshot().await {
            Err(error) if self.may_serve_stale(&error) => return self.serve_stale().await,
            snapshot => snapshot?,
        };
        check_position(&self.token, snapshot.head)?;
        let requirement = self.requirement(&snapshot);
        let before = self.source.freshness(&snapshot, &self.scope);
        if self.policy.level == Level::Strong && self.is_foldable(&snapshot) {
            return self.read_strong(snapshot, before).await;
        }
        if requirement.is_met_by(&before) {
            return self.met(snapshot, requirement);
        }
        if self.policy.level == Level::Eventual {
            // It is being rebuilt, which takes longer than a read waits.
            return self.fall_back(requirement, before).await;
        }
        match self.wait(requirement).await? {
            Some(snapshot) => self.met(snapshot, requirement),
            None => self.fall_back(requirement, before).await,
        }
    }

    fn shared(&self) -> Arc<ReadSide> {
        ReadSide::of(&self.source.highwater)
    }

    /// Reads the first snapshot; for a strong read with the head, which may be in a store that is unreachable.
    async fn first_snapshot(&self) -> Result<ViewSnapshot> {
        let highwater = &self.source.highwater;
        if self.policy.level != Level::Strong || highwater.has_views_with_the_log() {
            return self.source.read(&self.scope).await;
        }
        let read = pin!(self.source.read_with_head(&self.scope));
        match select(read, highwater.clock().sleep(self.policy.budget)).await {
            Either::Left((snapshot, _)) => snapshot,
            Either::Right(_) => {
                let reason = Source::new("no answer within the budget of the read");
                Err(Unavailable::unreachable("reading the head of the log", reason).into())
            }
        }
    }

    /// Returns true if the view is served although the log can't be read.
    fn may_serve_stale(&self, error: &Error) -> bool {
        let is_strong = self.policy.level == Level::Strong;
        is_strong && self.policy.fallback == Fallback::ServeStale && error.is_unavailable()
    }

    async fn serve_stale<V: View>(&self) -> Result<Reading<RowPage<V>>> {
        self.decode(self.shared_snapshot().await?, Basis::Stale)
    }

    /// Reads the view as it is now, together with all other reads that want that: many budgets may end at the same
    /// time. If the shared read takes too long, this one reads for itself.
    async fn shared_snapshot(&self) -> Result<ViewSnapshot> {
        match timeout(SHARED_READ_TIMEOUT, self.batched(Requirement::default())).await {
            Ok(snapshot) => snapshot,
            Err(_) => self.source.read(&self.scope).await,
        }
    }

    /// Reads a snapshot that meets a requirement, together with all other reads of the view.
    async fn batched(&self, requirement: Requirement) -> Result<ViewSnapshot> {
        let batcher = self.shared().batcher(&self.source.definition);
        batcher.read(&self.source, &self.scope, requirement).await
    }

    /// The progress that the view must have. A range can't be folded, so its *strong* read waits for the head.
    fn requirement(&self, snapshot: &ViewSnapshot) -> Requirement {
        let token = self.token.position(PartitionId::LOG);
        match self.policy.level {
            Level::Eventual => Requirement { is_complete: true, ..Requirement::default() },
            Level::Bounded(bound) => {
                Requirement { position: token, bound: Some(bound), is_complete: true }
            }
            Level::Strong => {
                let head = snapshot.head.unwrap_or_default();
                Requirement { position: token.max(head), bound: None, is_complete: true }
            }
            _ => Requirement { position: token, bound: None, is_complete: true },
        }
    }

    /// Returns true if the events that the rows lack can be folded over them: the position up to which each row has
    /// its events must be known, and every event of theirs.
    fn is_foldable(&self, snapshot: &ViewSnapshot) -> bool {
        matches!(self.scope, RowScope::Keys(_))
            && !snapshot.has_unknown_types
            && is_key_sharding_known(snapshot.state.sharding, self.source.keyed_by)
    }

    fn remaining_budget(&self) -> Duration {
        self.policy.budget.saturating_sub(self.elapsed())
    }

    fn elapsed(&self) -> Duration {
        self.source.now().duration_since(self.started_at).try_into().unwrap_or_default()
    }

    /// Waits until the view meets the requirement; `None` if it doesn't within the budget.
    async fn wait(&self, requirement: Requirement) -> Result<Option<ViewSnapshot>> {
        let batched = pin!(self.batched(requirement));
        let foreign_token = pin!(self.watch_for_foreign_token());
        let budget = self.source.highwater.clock().sleep(self.remaining_budget());
        let (outcome, waited) = match select(select(batched, foreign_token), budget).await {
            Either::Left((Either::Left((Ok(snapshot), _)), _)) => ("reached", Ok(Some(snapshot))),
            Either::Left((Either::Left((Err(error), _)) | Either::Right((error, _)), _)) => {
                ("failed", Err(error))
            }
            Either::Right(_) => ("late", Ok(None)),
        };
        self.shared().waits.waited(self.policy.level.name(), outcome, self.elapsed());
        waited
    }

    /// Resolves with an error if the token is beyond the head. With views in another store than the log the head is
    /// read beside the wait, only for this. A log that is unreachable does not end the wait.
    async fn watch_for_foreign_token(&self) -> Error {
        let highwater = &self.source.highwater;
        if !highwater.has_views_with_the_log()
            && let Ok(head) = highwater.log().head().await
            && let Err(error) = check_position(&self.token, Some(head))
        {
            return error;
        }
        pending().await
    }

    async fn fall_back<V: View>(
        &self,
        requirement: Requirement,
        before: Freshness,
    ) -> Result<Reading<RowPage<V>>> {
        match self.policy.fallback {
            Fallback::ServeStale => {
                let snapshot = self.shared_snapshot().await?;
                let freshness = self.source.freshness(&snapshot, &self.scope);
                match requirement.is_met_by(&freshness) {
                    true => self.met(snapshot, requirement),
                    false => self.decode(snapshot, Basis::Stale),
                }
            }
            Fallback::Fold => {
                let snapshot = self.source.read_with_head(&self.scope).await?;
                if !self.is_foldable(&snapshot) {
                    return Err(self.stale_read(before, before));
                }
                self.fold(&snapshot).await
            }
            Fallback::Fail => {
                let last = self.shared().batcher(&self.source.definition).last_snapshot();
                let last = last.filter(|last| last.read_at >= self.started_at);
                // It is without rows: a key that was parked before still is.
                let last = last.map(|last| {
                    let freshness = self.source.freshness(&last, &self.scope);
                    freshness.with_parked(before.parked_since)
                });
                Err(self.stale_read(before, last.unwrap_or(before)))
            }
        }
    }

    fn stale_read(&self, before: Freshness, reached: Freshness) -> Error {
        if let Some(complete_at) = reached.complete_at {
            return self.rebuilding(before, reached, complete_at);
        }
        let target = match self.policy.level {
            Level::Bounded(bound) => Target::Bounded(bound),
            Level::Strong => Target::Head,
            _ => Target::Token(self.token.clone()),
        };
        let pending = Pending::new(self.source.view.as_str(), target, reached);
        Unavailable::StaleRead(pending.since(&before, self.source.now())).into()
    }

    /// The error of a view that is not complete yet. If it did not move meanwhile, the rate is that since it was made.
    fn rebuilding(&self, before: Freshness, reached: Freshness, complete_at: Position) -> Error {
        let target = Target::Complete(complete_at);
        let pending = Pending::new(self.source.view.as_str(), target, reached);
        let mut pending = pending.since(&before, self.source.now());
        let applied = reached.position.get();
        if pending.estimate.is_none() && applied > 0 && !reached.is_stopped() {
            let made_at = self.source.definition.generation().created_at;
            let meanwhile: Duration =
                reached.read_at.duration_since(made_at).try_into().unwrap_or_default();
            let share = pending.missing() as f64 / applied as f64;
            let rest = Duration::try_from_secs_f64(meanwhile.as_secs_f64() * share);
            pending.estimate = rest.ok();
        }
        Unavailable::Rebuilding(pending).into()
    }

    /// Answers from a snapshot that meets the requirement, unless a parked key holds back what is required.
    fn met<V: View>(
        &self,
        snapshot: ViewSnapshot,
        requirement: Requirement,
    ) -> Result<Reading<RowPage<V>>> {
        let freshness = self.source.freshness(&snapshot, &self.scope);
        if !requirement.is_held_back(&freshness) {
            // A policy may say not to wait for the token.
            let has_seen_token = freshness.position >= self.token.position(PartitionId::LOG);
            return self.decode(snapshot, if has_seen_token { Basis::View } else { Basis::Stale });
        }
        match (self.policy.level, self.policy.fallback) {
            // The answer says so, and a wait would not help.
            (Level::ReadYourWrites, _) | (_, Fallback::ServeStale) => {
                self.decode(snapshot, Basis::Stale)
            }
            _ => Err(self.parked(&snapshot)),
        }
    }

    fn parked(&self, snapshot: &ViewSnapshot) -> Error {
        let (key, since) = snapshot.parked_key().unwrap_or_default();
        Corrupt::Parked { view: self.source.view.to_string(), key: key.to_owned(), since }.into()
    }

    /// Answers with every event up to the head: the rows as they are if they lack nothing, otherwise with the
    /// missing events folded over them.
    async fn read_strong<V: View>(
        &self,
        snapshot: ViewSnapshot,
        freshness: Freshness,
    ) -> Result<Reading<RowPage<V>>> {
        if freshness.is_current() {
            return self.decode(snapshot, Basis::View);
        }
        if freshness.parked_since.is_some() {
            return match self.policy.fallback {
                Fallback::ServeStale => self.decode(snapshot, Basis::Stale),
                Fallback::Fail | Fallback::Fold => Err(self.parked(&snapshot)),
            };
        }
        let budget = self.source.highwater.clock().sleep(self.remaining_budget());
        let folded = match select(pin!(self.fold(&snapshot)), budget).await {
            Either::Left((folded, _)) => folded,
            Either::Right(_) if self.policy.fallback == Fallback::ServeStale => {
                return self.serve_stale().await;
            }
            Either::Right(_) => return Err(self.stale_read(freshness, freshness)),
        };
        match folded {
            Err(error) if self.may_serve_stale(&error) => self.decode(snapshot, Basis::Stale),
            folded => folded,
        }
    }

    /// Folds the events up to the head over the rows of a snapshot.
    async fn fold<V: View>(&self, snapshot: &ViewSnapshot) -> Result<Reading<RowPage<V>>> {
        if snapshot.parked_key().is_some() {
            return Err(self.parked(snapshot));
        }
        let head = snapshot.head.unwrap_or_default();
        let mut overlay = Overlay::<V>::new(&self.source);
        for (key, row) in &*snapshot.rows {
            let progress = progress_of(&snapshot.state, self.source.keyed_by, key);
            overlay.insert(key, decode_row(&self.source.view, key, row)?, progress.position);
        }
        overlay.fold_log(head).await?;
        let mut rows = Vec::with_capacity(snapshot.rows.len());
        for (key, _) in &*snapshot.rows {
            rows.extend(overlay.remove(key)?.0.map(|row| (key.clone(), row)));
        }
        let Freshness { read_at, position, .. } = self.source.freshness(snapshot, &self.scope);
        let position = position.max(head);
        let freshness = Freshness::new(position, read_at, read_at, Some(position))
            .with_log(self.source.highwater.log().log_id());
        let page = RowPage { rows: RowSet { rows, parked: Vec::new() }, next: None };
        Ok(self.reading(page, freshness, Basis::Folded))
    }

    fn decode<V: View>(&self, snapshot: ViewSnapshot, basis: Basis) -> Result<Reading<RowPage<V>>> {
        let freshness = self.source.freshness(&snapshot, &self.scope);
        if freshness.is_rebuilding() {
            return Err(self.stale_read(freshness, freshness));
        }
        Ok(self.reading(RowPage::decode(&self.source.view, snapshot)?, freshness, basis))
    }

    fn reading<T>(&self, value: T, freshness: Freshness, basis: Basis) -> Reading<T> {
        Reading::new(value, freshness).with_basis(basis).with_level(self.policy.level)
    }
}

/// The outcome of a read, as the label of the metric names it.
fn outcome<T>(answer: &Result<Reading<T>>) -> &'static str {
    match answer {
        Ok(reading) => reading.basis().name(),
        Err(error) => match error.code() {
            Code::STALE_READ | Code::REBUILDING => "pending",
            Code::PARKED => "parked",
            _ => "failed",
        },
    }
}
