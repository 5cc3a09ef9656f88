//! Descriptions of the measurements.

use std::fmt;

/// A store and its durability setting.
#[derive(Clone, Copy)]
pub struct Place {
    pub store: &'static str,
    pub flush: &'static str,
}

impl Place {
    pub fn commands(self, name: &'static str, clients: &'static str) -> Work {
        Work { clients, ..self.work(name, "commands/s") }
    }

    pub fn reads(self, name: &'static str, clients: &'static str) -> Work {
        Work { clients, ..self.work(name, "reads/s") }
    }

    /// The number of events in one repetition.
    pub fn events(self, name: &'static str, events: u64) -> Work {
        Work { elements: events, ..self.work(name, "events/s") }
    }

    /// Commands at a rate.
    pub fn pace(self, name: &'static str, rate: &'static str) -> Work {
        Work { clients: rate, ..self.work(name, "ms") }
    }

    /// The growth of a process's memory.
    pub fn memory(self, name: &'static str) -> Work {
        self.work(name, "MiB")
    }

    pub fn delivery(self) -> Work {
        self.work("delivery of a command to a waiting follower", "ms")
    }

    fn work(self, name: &'static str, unit: &'static str) -> Work {
        let (clients, elements) = ("1", 1);
        Work { name, place: self, clients, unit, elements, at_least: None, under: "" }
    }
}

/// One work. Its text selects it on the command line, and names its folder.
#[derive(Clone, Copy)]
pub struct Work {
    pub name: &'static str,
    pub place: Place,
    pub clients: &'static str,
    pub unit: &'static str,
    /// The number of units in one repetition.
    pub elements: u64,
    /// The least share of the raw engine's rate.
    pub at_least: Option<f64>,
    /// The circumstances, if the work is measured in several.
    pub under: &'static str,
}

impl Work {
    pub fn at_least(self, share: f64) -> Self {
        Self { at_least: Some(share), ..self }
    }

    pub fn under(self, circumstances: &'static str) -> Self {
        Self { under: circumstances, ..self }
    }

    /// Returns its name with the circumstances.
    pub(crate) fn full_name(&self) -> String {
        match self.under {
            "" => self.name.to_owned(),
            under => format!("{}, {under}", self.name),
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, {}", self.place.store, self.place.flush, self.full_name())
    }
}
