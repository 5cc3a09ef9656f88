//! What executing commands needs, and the way into it.

use std::{
    any::Any,
    sync::{Arc, OnceLock},
    time::Instant,
};

use tracing::{Instrument as _, Span, field};

use super::{
    execution::Execution,
    member::{Member, Occasion},
    policy::ConflictPolicy,
    receipt::Receipt,
    slot::Slots,
};
use crate::{
    Result,
    domain::{Fingerprint, Fingerprinter, RequestOptions},
    error::Invalid,
    follow::UnknownEvents,
    metrics::Meter,
    port::{Clock, EventStore, Ids, SnapshotStore, ViewStore},
    trace,
};

/// What executing commands needs from outside.
pub(super) struct Engine {
    pub(super) log: Arc<dyn EventStore>,
    pub(super) snapshots: Arc<dyn SnapshotStore>,
    pub(super) views: Arc<dyn ViewStore>,
    pub(super) views_at: ViewsAt,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn Ids>,
    pub(super) slots: Slots,
    pub(super) unknown: UnknownEvents,
    pub(super) policy: ConflictPolicy,
    /// The state of the read side, which this crate knows nothing of.
    pub(super) read_side: OnceLock<Arc<dyn Any + Send + Sync>>,
    pub(super) meter: Meter,
}

/// Where views are kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ViewsAt {
    /// In the store of the log: what one statement says of both is of one moment.
    TheLog,
    /// In a store that knows nothing of this log.
    Elsewhere,
}

impl Engine {
    /// Executes one command of one or several members, all or nothing.
    pub(super) async fn execute(
        &self,
        members: &[Box<dyn Member>],
        cause: RequestOptions,
        policy: ConflictPolicy,
    ) -> Result<Receipt> {
        let name = match members {
            [member] => member.name(),
            _ => "atomically",
        };
        let fingerprint = members
            .iter()
            .try_fold(Fingerprinter::default(), |so_far, member| member.fingerprint(so_far))?
            .finish();
        let (occasion, span) = self.begin(name, &cause);
        let execution = Execution::new(self, members, cause, occasion, fingerprint)?;
        self.watched(name, span, execution.run(policy)).await
    }

    /// The occasion of a command, and its span. What the command causes is caused by that span, if
    /// there is somebody who knows its place.
    pub(super) fn begin(&self, name: &'static str, cause: &RequestOptions) -> (Occasion, Span) {
        let mut occasion = self.occasion(cause);
        let (id, trace_id) = (occasion.command, field::Empty);
        let span = tracing::info_span!("command", name, %id, trace_id);
        if let Some(trace) = &cause.metadata.trace {
            trace::adopt(&span, trace);
        }
        if let Some(context) = trace::context_of(&span) {
            occasion.metadata.trace = Some(context);
        }
        (occasion, span)
    }

    /// Executes a command within its span, and measures it.
    pub(super) async fn watched(
        &self,
        name: &'static str,
        span: Span,
        run: impl Future<Output = Result<Receipt>>,
    ) -> Result<Receipt> {
        let began = Instant::now();
        let answer = run.instrument(span).await;
        self.meter.answered(name, began.elapsed(), &answer);
        answer
    }

    /// What stays the same over all attempts at one command.
    fn occasion(&self, cause: &RequestOptions) -> Occasion {
        Occasion {
            command: cause.id.unwrap_or_else(|| self.ids.command_id()),
            now: self.clock.now(),
            metadata: cause.metadata.clone(),
        }
    }

    /// The receipt of a command that has been stored before.
    pub(super) async fn recorded(
        &self,
        occasion: &Occasion,
        fingerprint: Fingerprint,
    ) -> Result<Option<Receipt>> {
        match self.log.find_command(occasion.command).await? {
            None => Ok(None),
            Some(recorded) if recorded.fingerprint == fingerprint => {
                let log = self.log.log_id();
                Ok(Some(Receipt::new(log, occasion.command, recorded.appended)))
            }
            Some(_) => Err(Invalid::command_id_reused(occasion.command).into()),
        }
    }
}
