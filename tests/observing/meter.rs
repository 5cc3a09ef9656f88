//! A recorder of the metrics of this thread.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ::metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};

/// The metrics that were recorded on this thread since the recorder was created.
#[derive(Clone, Default)]
pub(crate) struct Meter(Arc<Mutex<Recorded>>);

#[derive(Default)]
struct Recorded {
    counters: BTreeMap<String, Arc<AtomicU64>>,
    gauges: BTreeMap<String, Arc<AtomicU64>>,
    histograms: BTreeMap<String, Arc<Values>>,
}

/// The number of values, and their sum.
#[derive(Default)]
struct Values {
    count: AtomicU64,
    sum: Mutex<f64>,
}

/// Runs a test on one thread, with a separate recorder.
pub(crate) fn measured<T: Future<Output = ()>>(test: impl FnOnce(Meter) -> T) {
    let meter = Meter::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    ::metrics::with_local_recorder(&meter, || runtime.block_on(test(meter.clone())));
}

impl Meter {
    /// Returns the value of a counter or a gauge, or the number of values of a histogram. The text
    /// has the form `name{label=value,…}`, with the labels in order.
    pub(crate) fn value(&self, text: &str) -> f64 {
        let recorded = self.0.lock().unwrap();
        if let Some(level) = recorded.gauges.get(text) {
            return f64::from_bits(level.load(Ordering::Relaxed));
        }
        let count = recorded.counters.get(text).map(|count| count.load(Ordering::Relaxed));
        let values =
            || recorded.histograms.get(text).map(|values| values.count.load(Ordering::Relaxed));
        count.or_else(values).unwrap_or_default() as f64
    }

    /// Returns the sum of the values of a histogram.
    pub(crate) fn sum(&self, text: &str) -> f64 {
        let recorded = self.0.lock().unwrap();
        recorded.histograms.get(text).map(|values| *values.sum.lock().unwrap()).unwrap_or_default()
    }

    /// Waits until the value equals `wanted`.
    pub(crate) async fn until(&self, text: &str, wanted: f64) {
        self.until_it(text, |value| value == wanted).await;
    }

    /// Waits until the value satisfies the condition.
    pub(crate) async fn until_it(&self, text: &str, is: impl Fn(f64) -> bool) {
        let reached = async {
            while !is(self.value(text)) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let reached = tokio::time::timeout(Duration::from_secs(60), reached).await;
        assert!(reached.is_ok(), "{text} is {}", self.value(text));
    }
}

fn text(key: &Key) -> String {
    let labels = key.labels().map(|label| format!("{}={}", label.key(), label.value()));
    format!("{}{{{}}}", key.name(), labels.collect::<Vec<_>>().join(","))
}

impl Recorder for Meter {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let mut recorded = self.0.lock().unwrap();
        Counter::from_arc(Arc::clone(recorded.counters.entry(text(key)).or_default()))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let mut recorded = self.0.lock().unwrap();
        Gauge::from_arc(Arc::clone(recorded.gauges.entry(text(key)).or_default()))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let mut recorded = self.0.lock().unwrap();
        Histogram::from_arc(Arc::clone(recorded.histograms.entry(text(key)).or_default()))
    }
}

impl HistogramFn for Values {
    fn record(&self, value: f64) {
        *self.sum.lock().unwrap() += value;
        self.count.fetch_add(1, Ordering::Relaxed);
    }
}
