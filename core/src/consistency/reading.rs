//! A value together with its freshness.

use std::ops::Deref;

use super::Level;
use crate::value::Freshness;

/// The basis of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Basis {
    /// The view, which was as far as the read asked for.
    View,
    /// The view with the events that it lacked folded over it from the log. As good as the view.
    Folded,
    /// The view, which was *not* as far as the read asked for: the fallback of the read is to serve
    /// it anyway, or its key is parked. The caller's own events may be folded over it, if that was
    /// asked for.
    Stale,
    /// The view with the caller's own events folded over it. Events of other writers in between are
    /// missing.
    Optimistic,
}

impl Basis {
    /// The name, as it is used in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Folded => "folded",
            Self::Stale => "stale",
            Self::Optimistic => "optimistic",
        }
    }
}

/// A value with its freshness. It dereferences to the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading<T> {
    value: T,
    freshness: Freshness,
    basis: Basis,
    level: Level,
}

impl<T> Reading<T> {
    /// Creates a reading of a value for which no freshness was asked.
    pub const fn new(value: T, freshness: Freshness) -> Self {
        Self { value, freshness, basis: Basis::View, level: Level::Eventual }
    }

    /// Sets a basis other than the view alone.
    #[must_use]
    pub fn with_basis(mut self, basis: Basis) -> Self {
        self.basis = basis;
        self
    }

    /// Sets the level that was asked for.
    #[must_use]
    pub fn with_level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// The level that was asked for; for a named operation, that of its policy at the time of the
    /// read. The [basis](Self::basis) shows if the answer meets it.
    pub const fn level(&self) -> Level {
        self.level
    }

    /// The freshness of the value.
    pub const fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// The basis of the value.
    pub const fn basis(&self) -> Basis {
        self.basis
    }

    /// Returns true if the value is less fresh than the read asked for.
    pub fn is_stale(&self) -> bool {
        self.basis == Basis::Stale
    }

    /// Returns the value alone.
    pub fn into_value(self) -> T {
        self.value
    }

    /// Maps the value and keeps its freshness.
    pub fn map<U>(self, map: impl FnOnce(T) -> U) -> Reading<U> {
        let Self { value, freshness, basis, level } = self;
        Reading { value: map(value), freshness, basis, level }
    }
}

impl<T> Deref for Reading<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}
