//! The required content of an error, and the secrets that it must not contain.

use std::{
    error::Error as _,
    fmt::{self, Write as _},
    sync::{Mutex, Once, PoisonError},
};

use highwater_core::{Code, Error, NextStep};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

/// The password of every user in these tests. It must appear in no error and no log.
pub(super) const SECRET: &str = "hunter2-battery-staple";

/// Asserts that the error has this code and this next step, that its text has all the words, and that neither it, nor its
/// sources, nor anything logged so far shows the password.
#[track_caller]
pub(super) fn check(error: &Error, code: Code, next: NextStep, words: &[&str]) {
    assert_eq!((error.code(), error.next_step()), (code, next), "{error:?}");
    for word in words {
        assert!(error.to_string().contains(word), "no {word:?} in: {error}");
    }
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(under) = source {
        write!(text, " {under} {under:?}").unwrap();
        source = under.source();
    }
    assert!(!text.contains(SECRET), "the error shows the password: {text}");
    assert!(!logged().contains(SECRET), "the log shows the password");
}

static LOG: Mutex<String> = Mutex::new(String::new());

/// Returns everything that any library has logged in this process so far, at every level.
pub(super) fn logged() -> String {
    LOG.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Starts to record the log.
pub(super) fn record_log() {
    static RECORDING: Once = Once::new();
    RECORDING.call_once(|| tracing::subscriber::set_global_default(LogRecorder).unwrap());
}

struct LogRecorder;

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

fn record(record: impl FnOnce(&mut Text)) {
    let mut text = Text(String::new());
    record(&mut text);
    let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    log.push_str(&text.0);
    log.push('\n');
}

impl Subscriber for LogRecorder {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        record(|text| span.record(text));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        record(|text| values.record(text));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        record(|text| event.record(text));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
