//! The comparison of a view with the log, while traffic goes on.

use std::{
    collections::BTreeSet,
    fmt::{self, Display},
    future::IntoFuture,
    ops::Bound,
};

use futures_util::future::BoxFuture;
use highwater_core::{
    Position, Result,
    domain::View,
    port::{KeyRange, StoredRow, ViewState},
};

use super::{
    range_pass::{RangePass, RowPair},
    report::{UnverifiedKey, VerifyReport},
    snapshot::read_snapshot,
};
use crate::{
    metrics::{DRIFTED_ROWS, VERIFIED_ROWS},
    projection::{Drift, KeysFold, LogFold, Pace, encode_folded, find_drift, position_of},
    read::{RowScope, ViewReader, ViewSource},
};

/// The number of rows of a view that are read at a time.
const ROW_PAGE_SIZE: usize = 500;
/// The number of named keys that are read and folded at a time.
const MAX_KEYS: usize = 5_000;
/// The number of folded rows in memory, unless another one is set.
const MAX_ROWS: usize = 100_000;
/// The number of findings of each kind that are listed, unless another one is set.
const LIMIT: usize = 1_000;

/// A verification of a view before it is awaited. Awaited as it is, it compares every row; its methods choose fewer.
///
/// ```
/// # use highwater_core::{Highwater, Result, domain::View};
/// # use highwater_projections::read::Views as _;
/// # async fn example<Balances: View>(bank: &Highwater) -> Result<()> {
/// let balances = bank.view::<Balances>();
/// let report = balances.verify().await?;
/// for drift in &report.drift {
///     println!("{drift}");
/// }
/// let some = balances.verify().keys(["alice", "bob"]).await?;
/// let sampled = balances.verify().sample(100).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing is compared until it is awaited"]
pub struct VerifyRequest<V> {
    reader: ViewReader<V>,
    selection: KeySelection,
    max_rows: usize,
    limit: usize,
}

/// The keys that are compared.
#[derive(Debug, Clone)]
enum KeySelection {
    All,
    Named(BTreeSet<String>),
    /// The keys of so many events, spread over the log.
    Sampled(usize),
}

impl<V: View> VerifyRequest<V> {
    pub(super) fn new(reader: &ViewReader<V>) -> Self {
        let selection = KeySelection::All;
        Self { reader: reader.clone(), selection, max_rows: MAX_ROWS, limit: LIMIT }
    }

    /// Compares the rows of these keys only. For a view keyed by stream only their streams are read, otherwise every
    /// event of the view.
    pub fn keys(mut self, keys: impl IntoIterator<Item = impl Display>) -> Self {
        let keys = keys.into_iter().map(|key| key.to_string()).collect();
        self.selection = KeySelection::Named(keys);
        self
    }

    /// Compares the rows of so many events, which are spread evenly over the log and are others each time. So a row with
    /// many events is likelier to be compared, and one without events is not found. For a view keyed by stream the cost
    /// depends on the number of events of these rows alone.
    pub fn sample(mut self, events: usize) -> Self {
        self.selection = KeySelection::Sampled(events);
        self
    }

    /// Sets the number of folded rows in memory, beside those of one page of events; 100,000 unless set. A view with more
    /// rows is compared in several passes, each of which reads the events of the view from the beginning of the log.
    pub fn max_rows(mut self, rows: usize) -> Self {
        self.max_rows = rows.max(1);
        self
    }

    /// Sets the number of findings of each kind that are listed; 1,000 unless set. All are counted.
    pub fn limit(mut self, findings: usize) -> Self {
        self.limit = findings;
        self
    }

    async fn run(self) -> Result<VerifyReport> {
        let source = self.reader.source()?;
        let report = VerifyReport::new(self.limit);
        let mut comparison = Comparison { source, report, unreadable: BTreeSet::new() };
        match self.selection {
            KeySelection::All => comparison.compare_all::<V>(self.max_rows).await?,
            KeySelection::Named(keys) => {
                comparison.compare_keys::<V>(keys, self.max_rows).await?;
            }
            KeySelection::Sampled(events) => {
                let keys = comparison.sample_keys::<V>(events).await?;
                comparison.compare_keys::<V>(keys, self.max_rows).await?;
            }
        }
        Ok(comparison.into_report())
    }
}

impl<V: View> IntoFuture for VerifyRequest<V> {
    type Output = Result<VerifyReport>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Compares rows with the fold of their events, each at the position of its shard, while workers go on.
    ///
    /// # Errors
    /// [`Unavailable`](highwater_core::Error::Unavailable), with code
    /// [`VIEW_MISSING`](highwater_core::Code::VIEW_MISSING) if the view has never been opened;
    /// [`Conflict`](highwater_core::Error::Conflict) if the view is resharded meanwhile: verify it again;
    /// [`Corrupt`](highwater_core::Error::Corrupt) if its rows are those of another program, or the log ends before
    /// the progress of the view.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<V: View> fmt::Debug for VerifyRequest<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyRequest")
            .field("view", &V::NAME)
            .field("selection", &self.selection)
            .finish_non_exhaustive()
    }
}

/// A comparison under way.
struct Comparison {
    source: ViewSource,
    report: VerifyReport,
    unreadable: BTreeSet<Position>,
}

impl Comparison {
    fn into_report(self) -> VerifyReport {
        let Self { mut report, unreadable, source } = self;
        let projection = &[source.view.as_str()];
        VERIFIED_ROWS.count(projection).increment(report.compared);
        DRIFTED_ROWS.count(projection).increment(report.drifted);
        report.unreadable = unreadable.into_iter().take(report.limit).collect();
        report.from = report.from.min(report.through);
        report
    }

    async fn compare_all<V: View>(&mut self, max_rows: usize) -> Result<()> {
        let mut from = Some(Bound::Unbounded);
        while let Some(next) = from {
            let mut pass = RangePass::<V>::new(&self.source, next, max_rows)?;
            self.report.passes += 1;
            while self.compare_page(&mut pass).await? {}
            self.unreadable.extend(pass.unreadable());
            from = pass.next();
        }
        Ok(())
    }

    /// Compares a page of rows at its own position. Returns true if the pass has more.
    async fn compare_page<V: View>(&mut self, pass: &mut RangePass<V>) -> Result<bool> {
        let range = KeyRange { from: pass.from().clone(), to: pass.to() };
        let page = read_snapshot::<V>(&self.source, &RowScope::Range(range, ROW_PAGE_SIZE)).await?;
        pass.fold_to(&page.state).await?;
        let (pairs, has_more) = pass.take(&page);
        pairs.into_iter().for_each(|pair| self.compare(&page.state, pair));
        Ok(has_more)
    }

    async fn compare_keys<V: View>(
        &mut self,
        keys: BTreeSet<String>,
        max_rows: usize,
    ) -> Result<()> {
        let keys: Vec<String> = keys.into_iter().collect();
        for keys in keys.chunks(max_rows.min(MAX_KEYS)) {
            let mut fold = KeysFold::<V>::new(self.source.highwater.log(), &self.source.view)?;
            self.report.passes += 1;
            let page = read_snapshot::<V>(&self.source, &RowScope::Keys(keys.into())).await?;
            let position = |(key, row): &(String, StoredRow)| {
                (key.clone(), position_of::<V>(&page.state, key, row))
            };
            let targets = page.rows.iter().map(position).collect();
            fold.fold_to(&targets, &mut Pace::none()).await?;
            self.unreadable.extend(fold.unreadable());
            for (key, stored) in page.rows.iter().cloned() {
                let folded = fold.take(&key);
                self.compare(&page.state, RowPair { key, stored, folded });
            }
        }
        Ok(())
    }

    /// Returns the keys of so many events, spread over the log as far as the view has it.
    async fn sample_keys<V: View>(&mut self, events: usize) -> Result<BTreeSet<String>> {
        let state = read_snapshot::<V>(&self.source, &RowScope::AllShards).await?.state;
        let events = u64::try_from(events).unwrap_or(u64::MAX);
        let step = (state.least().position.get() / events.max(1)).max(1);
        let now = self.source.highwater.clock().now().as_nanosecond().unsigned_abs();
        let first = u64::try_from(now % u128::from(step)).unwrap_or_default();
        let log = self.source.highwater.log();
        let mut fold = LogFold::<V>::new(log, &self.source.view)?;
        let mut keys = BTreeSet::new();
        for after in (0..events).map(|number| first.saturating_add(number.saturating_mul(step))) {
            if after >= state.least().position.get() {
                break;
            }
            keys.extend(fold.keys_after(Position::new(after)).await?);
        }
        Ok(keys)
    }

    /// Adds the finding about one row to the report.
    fn compare<V: View>(&mut self, state: &ViewState, pair: RowPair<V>) {
        let RowPair { key, stored, folded } = pair;
        if let Some(since) = stored.parked_since {
            self.report.add_parked(&key, since);
            return;
        }
        let position = position_of::<V>(state, &key, &stored);
        let folded = folded.unwrap_or_default();
        if let Some((position, error)) = folded.failure {
            self.report.add_unverified(UnverifiedKey { key, position, error });
            return;
        }
        let view = &self.source.view;
        let folded = match encode_folded(view, &key, folded.value) {
            Ok(folded) => folded,
            Err(error) => {
                self.report.add_unverified(UnverifiedKey { key, position, error });
                return;
            }
        };
        if stored.value.is_none() && folded.is_none() {
            return;
        }
        self.report.add_compared(position);
        let drift = find_drift::<V>(view, &key, stored.value.as_ref(), folded.as_ref(), position);
        if let Some(drift) = drift {
            if self.report.drift.len() < self.report.limit {
                let Drift { key, kind, .. } = &drift;
                tracing::warn!(%view, key, %position, %kind, "drift");
            }
            self.report.add_drift(drift);
        }
    }
}
