//! The way from an open store to its views.

use highwater_core::{Highwater, read::View};

use super::ViewReader;

/// Views on an open store.
pub trait Views {
    /// The reader of a view. Reading needs a worker that feeds the view, in this process
    /// ([`Worker`](crate::Worker)) or in another.
    fn view<V: View>(&self) -> ViewReader<V>;
}

impl Views for Highwater {
    fn view<V: View>(&self) -> ViewReader<V> {
        ViewReader::new(self)
    }
}
