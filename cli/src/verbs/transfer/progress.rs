//! A bar on a terminal, or a line every few seconds.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

/// The time between two lines.
const INTERVAL: Duration = Duration::from_secs(5);

/// The progress of an export or an import, on the standard error.
pub(super) struct Progress {
    doing: &'static str,
    total: u64,
    bar: Option<ProgressBar>,
    printed: Instant,
}

impl Progress {
    /// Begins, with the number of what there is to do.
    pub(super) fn new(doing: &'static str, total: u64) -> Self {
        let bar = io::stderr().is_terminal().then(|| bar(doing, total));
        Self { doing, total, bar, printed: Instant::now() }
    }

    pub(super) fn reached(&mut self, done: u64) {
        match &self.bar {
            Some(bar) => bar.set_position(done),
            None if self.printed.elapsed() >= INTERVAL => {
                self.printed = Instant::now();
                let Self { doing, total, .. } = self;
                // A standard error that is closed is no reason to end.
                let _ = writeln!(io::stderr(), "{doing}: {done} of {total}");
            }
            None => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(doing: &'static str, total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total).with_message(doing);
    let style = "{msg} {wide_bar} {pos} of {len}, {eta} left";
    match ProgressStyle::with_template(style) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
