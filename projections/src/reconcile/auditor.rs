//! The continuous comparison of a view with the log.

use std::{fmt, pin::pin, time::Duration};

use highwater_core::{Error, Result, domain::View};

use super::{report::VerifyReport, verify::VerifyRequest};
use crate::read::ViewReader;

/// The pause between two comparisons, unless another one is set.
const PAUSE: Duration = Duration::from_secs(60);
/// The number of events whose rows are compared each time, unless another one is set.
const EVENTS: usize = 100;

/// Compares rows of a view with the log, again and again: in a process of workers, or in one of its own (R6).
///
/// Drift is logged and counted (`highwater_drifted_rows_total`), and repaired if that is configured. For a view that is not
/// keyed by stream each comparison reads every event of the view, a sample as well as all rows: set a longer pause.
///
/// ```
/// # use std::time::Duration;
/// # use highwater_core::{Highwater, Result, domain::View};
/// # use highwater_projections::read::Views as _;
/// # async fn example<Balances: View>(bank: &Highwater, shutdown: impl Future<Output = ()>) -> Result<()> {
/// let auditor = bank.view::<Balances>().audit().sample(500).every(Duration::from_secs(10));
/// auditor.repair_drift().run(shutdown).await
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing is compared until it runs"]
pub struct Auditor<V> {
    reader: ViewReader<V>,
    /// The number of events whose rows are compared each time; `None` for every row.
    events: Option<usize>,
    pause: Duration,
    repairs: bool,
}

impl<V: View> Auditor<V> {
    pub(super) fn new(reader: &ViewReader<V>) -> Self {
        Self { reader: reader.clone(), events: Some(EVENTS), pause: PAUSE, repairs: false }
    }

    /// Sets the number of events, spread over the log, whose rows are compared each time; 100 unless set.
    pub fn sample(mut self, events: usize) -> Self {
        self.events = Some(events);
        self
    }

    /// Compares every row each time.
    pub fn all_rows(mut self) -> Self {
        self.events = None;
        self
    }

    /// Sets the pause between two comparisons; a minute unless set.
    pub fn every(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Repairs the drift that is found.
    pub fn repair_drift(mut self) -> Self {
        self.repairs = true;
        self
    }

    /// Compares until `shutdown`. A repair that is under way then is finished.
    ///
    /// # Errors
    /// Those of a comparison that a later one would give, too: the rows are those of another program. All others are
    /// logged, and the next comparison comes after the pause.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<()> {
        let mut shutdown = pin!(shutdown);
        loop {
            let verified = tokio::select! {
                verified = self.verify() => verified,
                () = &mut shutdown => return Ok(()),
            };
            if let Err(error) = self.judge(verified).await {
                if !is_passing(&error) {
                    return Err(error);
                }
                tracing::warn!(view = V::NAME, %error, "not audited; trying again");
            }
            tokio::select! {
                () = self.reader.highwater().clock().sleep(self.pause) => {}
                () = &mut shutdown => return Ok(()),
            }
        }
    }

    async fn verify(&self) -> Result<VerifyReport> {
        let request = VerifyRequest::new(&self.reader);
        match self.events {
            Some(events) => request.sample(events).await,
            None => request.await,
        }
    }

    /// Repairs the drift that was found, if that is configured.
    async fn judge(&self, verified: Result<VerifyReport>) -> Result<()> {
        let report = verified?;
        if self.repairs && !report.is_equal() {
            self.reader.repair(report.drifted_keys()).await?;
        }
        Ok(())
    }
}

impl<V: View> fmt::Debug for Auditor<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auditor")
            .field("view", &V::NAME)
            .field("events", &self.events)
            .field("pause", &self.pause)
            .field("repairs", &self.repairs)
            .finish_non_exhaustive()
    }
}

/// Returns true if a later comparison may succeed. A view that is missing may be opened by a worker yet.
fn is_passing(error: &Error) -> bool {
    error.is_unavailable() || error.is_conflict()
}
