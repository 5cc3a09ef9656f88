//! A metric's name, labels, unit and meaning.

use ::metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Unit, with_recorder};

/// A metric: its name is stable, and its labels have few values.
///
/// ```
/// use highwater_core::metrics::{COMMAND_DURATION, Kind};
///
/// assert_eq!(COMMAND_DURATION.name, "highwater_command_duration_seconds");
/// assert_eq!(COMMAND_DURATION.kind, Kind::Histogram);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// The unit of its values.
    pub unit: Unit,
    /// Its meaning.
    pub help: &'static str,
}

/// The kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number that only grows.
    Counter,
    /// A number that goes up and down.
    Gauge,
    /// A distribution of values.
    Histogram,
}

const METADATA: Metadata<'static> = Metadata::new("highwater", Level::INFO, None);

impl Metric {
    /// Creates a counter of occurrences.
    #[must_use]
    pub const fn counter(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, kind: Kind::Counter, labels, unit: Unit::Count, help }
    }

    /// Creates a gauge: a number as it is now.
    #[must_use]
    pub const fn gauge(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, kind: Kind::Gauge, labels, unit: Unit::Count, help }
    }

    /// Creates a histogram of sizes.
    #[must_use]
    pub const fn sizes(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, kind: Kind::Histogram, labels, unit: Unit::Count, help }
    }

    /// Creates a histogram of durations.
    #[must_use]
    pub const fn seconds(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, kind: Kind::Histogram, labels, unit: Unit::Seconds, help }
    }

    /// Sets the unit to seconds.
    #[must_use]
    pub const fn in_seconds(self) -> Self {
        Self { unit: Unit::Seconds, ..self }
    }

    /// Registers a counter with these values of the labels, in their order, and describes it to the
    /// recorder. Keep the handle: every call looks it up by name.
    pub fn count(&self, values: &[&str]) -> Counter {
        with_recorder(|recorder| {
            recorder.describe_counter(self.name.into(), Some(self.unit), self.help.into());
            recorder.register_counter(&self.key(values), &METADATA)
        })
    }

    /// Registers a gauge, as [`Metric::count`] does a counter.
    pub fn level(&self, values: &[&str]) -> Gauge {
        with_recorder(|recorder| {
            recorder.describe_gauge(self.name.into(), Some(self.unit), self.help.into());
            recorder.register_gauge(&self.key(values), &METADATA)
        })
    }

    /// Registers a histogram, as [`Metric::count`] does a counter.
    pub fn distribution(&self, values: &[&str]) -> Histogram {
        with_recorder(|recorder| {
            recorder.describe_histogram(self.name.into(), Some(self.unit), self.help.into());
            recorder.register_histogram(&self.key(values), &METADATA)
        })
    }

    fn key(&self, values: &[&str]) -> Key {
        debug_assert_eq!(self.labels.len(), values.len(), "the labels of {}", self.name);
        let labels = self.labels.iter().zip(values);
        let labels = labels.map(|(name, value)| Label::new(*name, (*value).to_owned()));
        Key::from_parts(self.name, labels.collect::<Vec<_>>())
    }
}
