//! What is measured, in words.

use std::fmt;

/// A store, and what it does to be sure.
#[derive(Clone, Copy)]
pub struct Place {
    pub store: &'static str,
    pub flush: &'static str,
}

impl Place {
    pub fn commands(self, name: &'static str, clients: &'static str) -> Work {
        Work { name, place: self, clients, unit: "commands/s", elements: 1, at_least: None }
    }

    /// Each time that the work is done, it is about so many events.
    pub fn events(self, name: &'static str, events: u64) -> Work {
        Work { name, place: self, clients: "1", unit: "events/s", elements: events, at_least: None }
    }

    /// Commands at a rate.
    pub fn pace(self, name: &'static str, rate: &'static str) -> Work {
        Work { name, place: self, clients: rate, unit: "ms", elements: 1, at_least: None }
    }

    pub fn delivery(self) -> Work {
        let name = "delivery of a command to a waiting follower";
        Work { name, place: self, clients: "1", unit: "ms", elements: 1, at_least: None }
    }
}

/// One work. Its words are what it can be chosen by, and the name of its folder.
#[derive(Clone, Copy)]
pub struct Work {
    pub name: &'static str,
    pub place: Place,
    pub clients: &'static str,
    pub unit: &'static str,
    /// How many of the unit it is to do the work once.
    pub elements: u64,
    /// The least share of the raw engine's rate.
    pub at_least: Option<f64>,
}

impl Work {
    pub fn at_least(self, share: f64) -> Self {
        Self { at_least: Some(share), ..self }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, {}", self.place.store, self.place.flush, self.name)
    }
}
