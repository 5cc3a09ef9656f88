//! A value together with its freshness.

use std::ops::Deref;

use super::Level;
use crate::value::Freshness;

/// What an answer stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Basis {
    /// The view, which was as far as the read asked for.
    View,
    /// The view, and the events that it lacked, folded over it from the log. As good as the view.
    Folded,
    /// The view, which was *not* as far as the read asked for: its fallback is to be served all the same, or
    /// its key is parked. The caller's own may be folded over it, if that was asked for.
    Stale,
    /// The view, and events of the caller's own folded over it. What others did in between is missing.
    Optimistic,
}

impl Basis {
    /// Its name, as metrics have it.
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

/// A value that says how fresh it is. It dereferences to the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading<T> {
    value: T,
    freshness: Freshness,
    basis: Basis,
    level: Level,
}

impl<T> Reading<T> {
    /// A value as of then, of which nothing was demanded.
    pub const fn new(value: T, freshness: Freshness) -> Self {
        Self { value, freshness, basis: Basis::View, level: Level::Eventual }
    }

    /// The same on another basis than the view alone.
    #[must_use]
    pub fn with_basis(mut self, basis: Basis) -> Self {
        self.basis = basis;
        self
    }

    /// The same, asked for at another level.
    #[must_use]
    pub fn with_level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// How fresh it was asked to be: of a named operation what its policy said at that moment. What it
    /// [stands on](Self::basis) says whether it is.
    pub const fn level(&self) -> Level {
        self.level
    }

    /// How fresh it is.
    pub const fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// What it stands on.
    pub const fn basis(&self) -> Basis {
        self.basis
    }

    /// Whether it is less than what the read asked for.
    pub fn is_stale(&self) -> bool {
        self.basis == Basis::Stale
    }

    /// The value alone.
    pub fn into_value(self) -> T {
        self.value
    }

    /// Another value that is as fresh.
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
