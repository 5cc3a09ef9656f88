//! The way from an open store to its views.

use highwater_core::{Highwater, domain::View};

use super::ViewReader;
use crate::policy::Policies;

/// Views on an open store.
pub trait Views {
    /// The reader of a view. Reading needs a worker that feeds the view, in this process
    /// ([`Worker`](crate::Worker)) or in another.
    fn view<V: View>(&self) -> ViewReader<V>;

    /// How named operations are read, and who has changed that (O4).
    fn policies(&self) -> Policies;
}

impl Views for Highwater {
    fn view<V: View>(&self) -> ViewReader<V> {
        ViewReader::new(self)
    }

    fn policies(&self) -> Policies {
        Policies::new(self, &self.extension())
    }
}
