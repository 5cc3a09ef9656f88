//! The methods by which a reader of a view verifies, repairs and explains its rows.

use std::fmt::Display;

use highwater_core::domain::View;

use super::{Auditor, HistoryRequest, RepairRequest, VerifyRequest};
use crate::read::ViewReader;

impl<V: View> ViewReader<V> {
    /// Compares the rows of the view with the fold of their events in the log, while workers go on (R6).
    pub fn verify(&self) -> VerifyRequest<V> {
        VerifyRequest::new(self)
    }

    /// Folds the rows of these keys again from the log, and writes those that differ (R6). Each is committed to its
    /// shard in order with the events that workers apply.
    pub fn repair(&self, keys: impl IntoIterator<Item = impl Display>) -> RepairRequest<V> {
        RepairRequest::new(self, keys.into_iter().map(|key| key.to_string()).collect())
    }

    /// Compares rows of the view with the log again and again, beside workers (R6).
    pub fn audit(&self) -> Auditor<V> {
        Auditor::new(self)
    }

    /// Explains the row of a key: the events that made it, step by step, and what each changed (R6).
    pub fn why(&self, key: impl Display) -> HistoryRequest<V> {
        HistoryRequest::new(self, key.to_string())
    }
}
