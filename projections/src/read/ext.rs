//! Extension methods of an open store: its views, and the policies of their reads.

use highwater_core::{Highwater, domain::View};

use super::{ViewReader, shared::ReadSide};
use crate::policy::Policies;

/// Adds the read side to an open store.
pub trait Views {
    /// Returns the reader of a view. A worker feeds the view, in this process ([`Worker`](crate::worker::Worker)) or in
    /// another.
    fn view<V: View>(&self) -> ViewReader<V>;

    /// Returns the policies by which named operations read, and the history of their changes (O4).
    fn policies(&self) -> Policies;
}

impl Views for Highwater {
    fn view<V: View>(&self) -> ViewReader<V> {
        ViewReader::new(self)
    }

    fn policies(&self) -> Policies {
        Policies::new(self, &ReadSide::of(self).policies)
    }
}
