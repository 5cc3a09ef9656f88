//! The metrics of Highwater (O2), through the facade of the crate `metrics`. A program that collects them
//! installs a recorder before it opens a store; the service (feature `service`) does.

pub use highwater_core::metrics::{Kind, Metric, Unit};

/// Every metric.
///
/// ```
/// let names: Vec<_> = highwater::metrics::all().map(|metric| metric.name).collect();
/// assert!(names.contains(&"highwater_projection_lag_seconds"));
/// ```
pub fn all() -> impl Iterator<Item = Metric> {
    let of_projections = highwater_projections::metrics::ALL;
    [highwater_core::metrics::ALL, highwater_stores::metrics::ALL, of_projections]
        .into_iter()
        .flatten()
        .copied()
}
