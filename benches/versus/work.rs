//! What is measured, in words.

use std::fmt;

/// A store, and what it does to be sure.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) store: &'static str,
    pub(crate) flush: &'static str,
}

impl Place {
    pub(crate) fn commands(self, name: &'static str, clients: &'static str) -> Work {
        Work { name, place: self, clients, unit: "commands/s", elements: 1, at_least: None }
    }

    /// Each time that the work is done, it is about so many events.
    pub(crate) fn events(self, name: &'static str, events: u64) -> Work {
        Work { name, place: self, clients: "1", unit: "events/s", elements: events, at_least: None }
    }

    pub(crate) fn delivery(self) -> Work {
        let name = "delivery of a command to a waiting follower";
        Work { name, place: self, clients: "1", unit: "ms", elements: 1, at_least: None }
    }
}

/// One work. Its words are what it can be chosen by, and the name of its folder.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    pub(crate) clients: &'static str,
    pub(crate) unit: &'static str,
    /// How many of the unit it is to do the work once.
    pub(crate) elements: u64,
    /// The least share of the raw engine's rate.
    pub(crate) at_least: Option<f64>,
}

impl Work {
    pub(crate) fn at_least(self, share: f64) -> Self {
        Self { at_least: Some(share), ..self }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, {}", self.place.store, self.place.flush, self.name)
    }
}
