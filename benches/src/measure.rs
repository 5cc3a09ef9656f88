//! One work, measured by criterion on both sides.

use std::{
    cell::RefCell,
    fs,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput, measurement::WallTime,
};
use hdrhistogram::Histogram;
use serde_json::Value;

use crate::{
    delivery::Timed,
    report::{self, Line},
    routine::{Routine, in_a_task, wait},
    work::Work,
};

/// The folder of criterion's reports, in the build folder.
const CRITERION: &str = "criterion";

/// The longest folder name: criterion truncates longer ones, and two works could share one.
const LONGEST_NAME: usize = 64;

pub struct Bench {
    criterion: Criterion,
    target: PathBuf,
    lines: Vec<Line>,
}

impl Bench {
    /// Creates a bench from the command line. `target` is the build folder.
    pub fn from_args(target: &Path) -> Self {
        let criterion = Criterion::default()
            .output_directory(&target.join(CRITERION))
            .without_plots()
            .sample_size(10)
            .nresamples(10_000)
            .warm_up_time(Duration::from_millis(500))
            .measurement_time(Duration::from_secs(3))
            .configure_from_args();
        Self { criterion, target: target.to_owned(), lines: Vec::new() }
    }

    /// Measures a rate. Each side prepares its data once per pass, and returns the routine.
    pub fn versus<R: Routine, O: Routine>(
        &mut self,
        work: Work,
        raw: impl Fn() -> R,
        ours: impl Fn() -> O,
    ) {
        let Some([raw, ours]) = self.measure(&work, raw, ours) else { return };
        let rate = |seconds: f64| work.elements as f64 / seconds;
        self.lines.push(Line::of_rates(&work, rate(ours), rate(raw)));
    }

    /// Measures how long a follower waits. `at_most` has the wanted p50 and p99 in milliseconds.
    pub fn deliver<R: Timed, O: Timed>(
        &mut self,
        work: Work,
        at_most: [Option<f64>; 2],
        raw: impl Fn() -> R,
        ours: impl Fn() -> O,
    ) {
        let (raw_delays, our_delays) = (Delays::default(), Delays::default());
        let sides = (|| raw_delays.kept_of(raw()), || our_delays.kept_of(ours()));
        if self.measure(&work, sides.0, sides.1).is_none() {
            return;
        }
        for (share, most) in [0.5, 0.99].into_iter().zip(at_most) {
            let (ours, raw) = (our_delays.millis(share), raw_delays.millis(share));
            self.lines.push(Line::of_delays(&work, share, ours, raw, most));
        }
    }

    /// Measures the memory that a large work takes beside a small one, in MiB.
    ///
    /// Criterion measures only times: a MiB is passed to it as a millisecond. Each pass measures once.
    pub fn weigh(&mut self, work: Work, small: impl Fn() -> f64, large: impl Fn() -> f64) {
        fn weight(measured: f64) -> impl Routine {
            move |times| Duration::from_secs_f64(measured / 1e3 * times as f64)
        }
        let Some(seconds) = self.measure(&work, || weight(small()), || weight(large())) else {
            return;
        };
        let [small, large] = seconds.map(|seconds| seconds * 1e3);
        self.lines.push(Line::of_sizes(&work, large, small));
    }

    pub fn publish(self) {
        report::publish(&self.lines, &self.target);
    }

    /// Returns the seconds of one repetition, raw and ours; `None` if the work isn't selected.
    ///
    /// Each side is measured twice, in the order raw, ours, ours, raw: a machine that slows down during the run slows
    /// both sides alike.
    fn measure<R: Routine, O: Routine>(
        &mut self,
        work: &Work,
        raw: impl Fn() -> R,
        ours: impl Fn() -> O,
    ) -> Option<[f64; 2]> {
        let name = work.to_string();
        assert!(name.len() <= LONGEST_NAME && !name.contains('/'), "{name} names no folder");
        let folder = self.target.join(CRITERION).join(&name);
        let mut group = self.criterion.benchmark_group(name);
        group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(work.elements));
        let raw_1 = pass(&mut group, &folder, ["raw", "1"], &raw);
        let ours_1 = pass(&mut group, &folder, ["ours", "1"], &ours);
        let ours_2 = pass(&mut group, &folder, ["ours", "2"], &ours);
        let raw_2 = pass(&mut group, &folder, ["raw", "2"], &raw);
        group.finish();
        Some([f64::midpoint(raw_1?, raw_2?), f64::midpoint(ours_1?, ours_2?)])
    }
}

/// Returns criterion's median in seconds; `None` if the pass isn't selected, or runs without analysis.
fn pass<R: Routine>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    folder: &Path,
    [side, number]: [&str; 2],
    open: impl Fn() -> R,
) -> Option<f64> {
    let estimates = folder.join(side).join(number).join("new/estimates.json");
    let mut routine = None;
    group.bench_function(BenchmarkId::new(side, number), |bencher| {
        bencher.iter_custom(routine.get_or_insert_with(|| {
            // Removes the results of an earlier run.
            let _ = fs::remove_file(&estimates);
            open()
        }));
    });
    routine?;
    let estimates: Value = serde_json::from_slice(&fs::read(estimates).ok()?).unwrap();
    Some(estimates["median"]["point_estimate"].as_f64()? / 1e9)
}

/// The time of each delivery of one side, in nanoseconds.
#[derive(Clone)]
struct Delays(Rc<RefCell<Histogram<u64>>>);

impl Default for Delays {
    fn default() -> Self {
        Self(Rc::new(RefCell::new(Histogram::new(3).unwrap())))
    }
}

impl Delays {
    /// Returns a routine that records the time of each of its deliveries.
    fn kept_of<W: Timed>(&self, work: W) -> impl Routine + use<W> {
        let (delays, mut work) = (self.clone(), Some(work));
        move |commands| {
            let working = work.take().unwrap();
            let (working, timing) = wait(in_a_task(working.time(commands)));
            work = Some(working);
            let mut histogram = delays.0.borrow_mut();
            for delay in timing.delays {
                histogram.record(delay.as_nanos() as u64).unwrap();
            }
            timing.took
        }
    }

    fn millis(&self, share: f64) -> f64 {
        self.0.borrow().value_at_quantile(share) as f64 / 1e6
    }
}
