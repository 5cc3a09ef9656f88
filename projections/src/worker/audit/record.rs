//! The findings of an auditor, for status and metrics.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use highwater_core::{domain::ViewName, port::Clock, value::ShardId};
use jiff::Timestamp;

use crate::{
    metrics::{
        AUDIT_COVERAGE, AUDIT_DRIFTED, AUDIT_WINDOW, DRIFTED_ROWS, REPAIRED_ROWS, VERIFIED_ROWS,
    },
    projection::{Drift, Findings},
};

/// The number of drifted keys that are remembered.
const MAX_KEYS: usize = 10_000;

/// The number of drifted rows that are logged of one comparison.
const MAX_LOGGED: usize = 10;

/// The findings of the auditor of a view in this worker.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct AuditStatus {
    /// The time within which every key is to be compared once; `None` if the view is not audited.
    pub window: Option<Duration>,
    /// The share of the keys of each shard in this worker that were compared within the last window, from 0 to 1.
    pub coverage: BTreeMap<ShardId, f64>,
    /// The number of rows that were compared.
    pub compared: u64,
    /// The number of rows among them that were not the fold of their events; a row is counted at each comparison.
    pub found: u64,
    /// The keys whose rows were not the fold of their events when they were last compared, and have not been repaired since;
    /// at most 10,000.
    pub drifted: Vec<String>,
    /// The time at which the first of them was found.
    pub drifted_since: Option<Timestamp>,
    /// The number of rows that were repaired.
    pub repaired: u64,
}

/// Records what an auditor and the shards find. Cheap to clone.
#[derive(Clone)]
pub(in crate::worker) struct AuditRecord(Arc<AuditFindings>);

struct AuditFindings {
    projection: ViewName,
    clock: Arc<dyn Clock>,
    totals: Mutex<AuditTotals>,
}

#[derive(Default)]
struct AuditTotals {
    window: Option<Duration>,
    coverage: BTreeMap<ShardId, f64>,
    compared: u64,
    found: u64,
    drifted: BTreeMap<String, ShardId>,
    drifted_since: Option<Timestamp>,
    repaired: u64,
}

impl AuditRecord {
    pub(in crate::worker) fn new(projection: &ViewName, clock: &Arc<dyn Clock>) -> Self {
        let projection = projection.clone();
        let clock = Arc::clone(clock);
        Self(Arc::new(AuditFindings { projection, clock, totals: Mutex::default() }))
    }

    /// Returns the findings so far.
    pub(in crate::worker) fn status(&self) -> AuditStatus {
        let totals = self.totals();
        AuditStatus {
            window: totals.window,
            coverage: totals.coverage.clone(),
            compared: totals.compared,
            found: totals.found,
            drifted: totals.drifted.keys().cloned().collect(),
            drifted_since: totals.drifted_since,
            repaired: totals.repaired,
        }
    }

    /// Notes that the view is audited within this window.
    pub(super) fn begun(&self, window: Duration) {
        self.totals().window = Some(window);
        AUDIT_WINDOW.level(&[self.projection()]).set(window.as_secs_f64());
    }

    /// Notes the share of the keys that were compared within the last window. A shard that is not held any more is left out:
    /// nothing would take that back.
    pub(super) fn covered(
        &self,
        mut coverage: BTreeMap<ShardId, f64>,
        held: impl FnOnce() -> BTreeSet<ShardId>,
    ) {
        let mut totals = self.totals();
        let held = held();
        coverage.retain(|shard, _| held.contains(shard));
        for (shard, share) in &coverage {
            AUDIT_COVERAGE.level(&[self.projection(), &shard.to_string()]).set(*share);
        }
        totals.coverage = coverage;
    }

    /// Notes the findings about some rows, and warns of those that differ. Those of a shard that is not held any more are its
    /// next worker's.
    pub(super) fn compared(
        &self,
        findings: &Findings,
        held: impl FnOnce() -> BTreeSet<ShardId>,
        shard_of: impl Fn(&str) -> ShardId,
    ) {
        let rows = findings.compared() as u64;
        VERIFIED_ROWS.count(&[self.projection()]).increment(rows);
        DRIFTED_ROWS.count(&[self.projection()]).increment(findings.drift.len() as u64);
        self.warn(&findings.drift);
        let mut totals = self.totals();
        totals.compared += rows;
        totals.found += findings.drift.len() as u64;
        for key in findings.undecided.iter().chain(&findings.right) {
            totals.drifted.remove(key);
        }
        let held = held();
        for Drift { key, .. } in &findings.drift {
            let shard = shard_of(key);
            if totals.drifted.len() < MAX_KEYS && held.contains(&shard) {
                totals.drifted.insert(key.clone(), shard);
            }
        }
        self.update(totals);
    }

    fn warn(&self, drift: &[Drift]) {
        let view = &self.0.projection;
        for found in drift.iter().take(MAX_LOGGED) {
            let Drift { key, position, kind, .. } = found;
            // Values may be personal data, and belong into no log.
            let fields = found.field_names();
            tracing::warn!(%view, key, %position, kind = kind.name(), ?fields, "drift: the row is not the fold of its events");
        }
        if drift.len() > MAX_LOGGED {
            let more = drift.len() - MAX_LOGGED;
            tracing::warn!(%view, more, "drift of more rows");
        }
    }

    /// Notes rows that the shard has written again.
    pub(super) fn repaired(&self, drift: &[Drift]) {
        let view = &self.0.projection;
        for Drift { key, position, kind, .. } in drift.iter().take(MAX_LOGGED) {
            tracing::warn!(%view, key, %position, kind = kind.name(), "repaired");
        }
        REPAIRED_ROWS.count(&[self.projection()]).increment(drift.len() as u64);
        let mut totals = self.totals();
        totals.repaired += drift.len() as u64;
        for drift in drift {
            totals.drifted.remove(&drift.key);
        }
        self.update(totals);
    }

    /// Notes rows that were right when their shard looked again.
    pub(super) fn found_right(&self, keys: &[String]) {
        let mut totals = self.totals();
        for key in keys {
            totals.drifted.remove(key);
        }
        self.update(totals);
    }

    /// Forgets a shard that this worker does not hold any more.
    pub(super) fn released(&self, shard: ShardId) {
        let mut totals = self.totals();
        if totals.window.is_none() {
            return;
        }
        totals.coverage.remove(&shard);
        totals.drifted.retain(|_, other| *other != shard);
        let labels = &[self.projection(), &shard.to_string()];
        AUDIT_COVERAGE.level(labels).set(0.0);
        self.update(totals);
    }

    /// Updates what follows from the drifted rows.
    fn update(&self, mut totals: MutexGuard<'_, AuditTotals>) {
        match totals.drifted.is_empty() {
            true => totals.drifted_since = None,
            false => {
                totals.drifted_since.get_or_insert_with(|| self.0.clock.now());
            }
        }
        AUDIT_DRIFTED.level(&[self.projection()]).set(totals.drifted.len() as f64);
    }

    fn projection(&self) -> &str {
        self.0.projection.as_str()
    }

    fn totals(&self) -> MutexGuard<'_, AuditTotals> {
        self.0.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
