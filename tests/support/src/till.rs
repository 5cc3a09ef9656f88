//! A domain whose answers say on which state they were decided.

use highwater::{
    Position, Version,
    port::{EventStore, ReadFrom},
    prelude::*,
};
use serde::{Deserialize, Serialize};

use crate::answers::{
    Answer, AnsweredCommand, Era, StoredChange, StoredStreams, wrong_answers_over_failovers,
};

#[derive(Event, Debug, Clone, PartialEq)]
#[event(prefix = "till")]
pub enum TillEvent {
    Changed { cents: i64 },
}

#[derive(Aggregate, Default, Clone, Debug, PartialEq)]
#[aggregate(event = TillEvent, snapshot(every = 25))]
pub struct Till {
    pub events: u64,
    pub balance: i64,
}

impl Till {
    fn apply(&mut self, event: &TillEvent) {
        let TillEvent::Changed { cents } = event;
        self.events += 1;
        self.balance += cents;
    }
}

/// Changes the balance, which must not fall below zero.
#[derive(Command, Debug, Clone)]
pub struct Change {
    pub cents: i64,
}

impl Decide<Change> for Till {
    fn decide(&self, change: &Change, _: &Context) -> Decision<TillEvent> {
        if self.balance + change.cents < 0 {
            let refused = Rejection::new("too_little", "there is too little in the till");
            return Err(refused.with("events", self.events).with("balance", self.balance));
        }
        Ok(vec![TillEvent::Changed { cents: change.cents }])
    }
}

/// Looks into the till, and changes nothing.
#[derive(Command, Debug, Clone)]
pub struct Look;

impl Decide<Look> for Till {
    fn decide(&self, _: &Look, _: &Context) -> Decision<TillEvent> {
        Ok(Vec::new())
    }
}

/// Returns what an answer says; `None` if it is no answer, because the store was unavailable or the outcome isn't known.
///
/// # Panics
/// If the error is none of these.
pub fn answer_of(outcome: highwater::Result<Receipt>) -> Option<Answer> {
    let error = match outcome {
        Ok(receipt) => {
            let version = receipt.versions().next().map(|(_, version)| version.get());
            let unchanged = Answer::Unchanged { position: receipt.position().get() };
            return Some(version.map_or(unchanged, |version| Answer::Appended { version }));
        }
        Err(error) => error,
    };
    if let Some(refused) = error.rejection() {
        let value = |name| refused.value(name).and_then(serde_json::Value::as_i64).unwrap();
        let version = value("events").cast_unsigned();
        return Some(Answer::Refused { version, balance: value("balance") });
    }
    if let Some(conflict) = error.conflict() {
        return Some(Answer::Conflict { version: conflict.actual_version().unwrap().get() });
    }
    assert!(error.is_retryable(), "{error}");
    None
}

/// Reads the events of all tills, whose keys are numbers.
///
/// # Panics
/// If the recorded times decrease along the log (W3).
pub async fn stored(log: &dyn EventStore) -> StoredStreams {
    let mut streams = StoredStreams::new();
    let mut after = Position::START;
    let mut recorded_at = Timestamp::MIN;
    loop {
        let page = log.read_log(&Query::all(), ReadFrom::After(after), 1_000).await.unwrap();
        for envelope in &page.events {
            assert!(
                envelope.recorded_at >= recorded_at,
                "{envelope:?} is older than {recorded_at}"
            );
            recorded_at = envelope.recorded_at;
            let events = streams.entry(envelope.stream.key().parse().unwrap()).or_default();
            let mut balance = events.last().map_or(0, |last| last.balance);
            for TillEvent::Changed { cents } in envelope.decode::<TillEvent>().unwrap() {
                balance += cents;
            }
            events.push(StoredChange { position: envelope.position.get(), balance });
        }
        after = page.through;
        if !page.more {
            return streams;
        }
    }
}

/// A random command on a till.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TillStep {
    Change(i64),
    /// Adds a cent if the till is at this version.
    AddAt(u64),
    Look,
}

impl TillStep {
    /// Chooses a step for a till whose version was this one at some time.
    pub fn choose(random: &mut fastrand::Rng, version: u64) -> Self {
        match random.u32(..10) {
            0..3 => Self::Change(random.i64(1..=5)),
            3..7 => Self::Change(random.i64(-20..=-1)),
            7..9 => Self::Look,
            _ => Self::AddAt(version),
        }
    }

    pub async fn execute(self, tills: &Highwater, till: u64) -> Option<Answer> {
        answer_of(self.send(tills, till).await)
    }

    /// Executes the step, and returns its outcome as it is.
    ///
    /// # Errors
    /// Those of the command.
    pub async fn send(self, tills: &Highwater, till: u64) -> highwater::Result<Receipt> {
        let till = tills.aggregate::<Till>(till);
        match self {
            Self::Change(cents) => till.execute(Change { cents }).await,
            Self::AddAt(version) => {
                let add = Request::new(Change { cents: 1 });
                till.execute(add.expecting(Version::new(version))).await
            }
            Self::Look => till.execute(Look).await,
        }
    }
}

/// Asserts that no answer is wrong, and that there are enough of each kind.
pub fn assert_right_answers(eras: &[Era], answers: &[AnsweredCommand], least: usize) {
    let wrong = wrong_answers_over_failovers(eras, answers);
    let named: Vec<String> =
        wrong.iter().take(20).map(|(command, wrong)| format!("{wrong}: {command:?}")).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), answers.len(), named.join("\n"));
    let count = |is: fn(&Answer) -> bool| answers.iter().filter(|one| is(&one.answer)).count();
    let appended = count(|answer| matches!(answer, Answer::Appended { .. }));
    let refused = count(|answer| matches!(answer, Answer::Refused { .. }));
    let unchanged = count(|answer| matches!(answer, Answer::Unchanged { .. }));
    let conflicts = count(|answer| matches!(answer, Answer::Conflict { .. }));
    println!(
        "{appended} appended, {refused} refused, {unchanged} unchanged, {conflicts} conflicts"
    );
    let fewest = appended.min(refused).min(unchanged).min(conflicts);
    assert!(fewest >= least, "too few answers to be conclusive");
}
