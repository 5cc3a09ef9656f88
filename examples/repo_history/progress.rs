//! Progress, for people at a terminal and for logs.

use indicatif::{ProgressBar, ProgressStyle};

use crate::record::Tally;

/// Without a terminal, a line is written after this number of changes.
const LINE_EVERY: u64 = 10_000;

pub(crate) struct Progress {
    bar: ProgressBar,
    next_line: u64,
}

impl Progress {
    /// A bar on standard error, or now and then a line if that is no terminal.
    pub(crate) fn of(commits: u64) -> Self {
        let template = "{bar:30} {human_pos} of {human_len} commits, {msg}, {eta} left";
        let style = ProgressStyle::with_template(template);
        let bar = ProgressBar::new(commits);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, next_line: LINE_EVERY }
    }

    pub(crate) fn show(&mut self, tally: &Tally) {
        if !self.bar.is_hidden() {
            self.bar.set_message(format!("{} changes", tally.changes));
            self.bar.set_position(tally.commits);
        } else if tally.changes >= self.next_line {
            let total = self.bar.length().unwrap_or_default();
            eprintln!("{} of {total} commits, {} changes", tally.commits, tally.changes);
            self.next_line = tally.changes - tally.changes % LINE_EVERY + LINE_EVERY;
        }
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
