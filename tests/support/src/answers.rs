//! A checker of answers to commands that append nothing: whether each was decided on the newest state that had been
//! acknowledged when the command was sent, or on a later one, and on nothing but what is stored.
//!
//! It knows numbers only: when commands were sent and answered by the clock of their clients, what the answers say, and
//! the events of each stream. It shares nothing with the code that it checks.

use std::{
    collections::BTreeMap,
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use serde::{Deserialize, Serialize};

/// The clock of all clients. It ticks whenever a command is sent or answered.
#[derive(Debug, Default)]
pub struct ClientClock(AtomicU64);

impl ClientClock {
    pub fn tick(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// A command that was answered.
#[derive(Debug, Clone, Copy)]
pub struct AnsweredCommand {
    pub stream: u64,
    pub sent: u64,
    pub answered: u64,
    pub answer: Answer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// An event was appended, which is the stream's event of this number.
    Appended { version: u64 },
    /// The domain refused the command on a state of so many events, and with this balance.
    Refused { version: u64, balance: i64 },
    /// The stream was not at the version that the caller expected, but at this one.
    Conflict { version: u64 },
    /// Nothing follows from the command, as of this position of the log.
    Unchanged { position: u64 },
}

/// An event of a stream: its position in the log, and the balance after it.
#[derive(Debug, Clone, Copy)]
pub struct StoredChange {
    pub position: u64,
    pub balance: i64,
}

/// The events of each stream, in their order.
pub type StoredStreams = BTreeMap<u64, Vec<StoredChange>>;

/// An answer that must not have been given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WrongAnswer {
    /// The command was decided on this version, although the other one had been seen before it was sent.
    Stale { decided_on: u64, seen: u64 },
    /// The answer is as of this position, although the other one had been seen before the command was sent.
    OldPosition { position: u64, seen: u64 },
    /// The answer names a version or a position that the log doesn't have.
    Unstored(u64),
    /// The command was refused on this version with a balance that the stream never had there.
    OtherBalance { version: u64, refused_on: i64 },
}

impl fmt::Display for WrongAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale { decided_on, seen } => {
                write!(f, "decided on version {decided_on} after {seen} had been seen")
            }
            Self::OldPosition { position, seen } => {
                write!(f, "as of position {position} after {seen} had been seen")
            }
            Self::Unstored(number) => write!(f, "names {number}, which the log doesn't have"),
            Self::OtherBalance { version, refused_on } => {
                write!(f, "refused on a balance of {refused_on}, never that of version {version}")
            }
        }
    }
}

/// The time from one fail-over to the next, which takes away the last events of the log.
#[derive(Debug, Clone, Default)]
pub struct Era {
    /// The tick at which it began.
    pub began: u64,
    /// The number of events that each stream had then.
    pub kept: BTreeMap<u64, u64>,
    /// The events of each stream at its end.
    pub streams: StoredStreams,
}

impl Era {
    /// The whole time of a log that never loses an event.
    pub fn whole(streams: StoredStreams) -> Self {
        Self { streams, ..Self::default() }
    }
}

/// Returns the wrong ones of these answers, each with its command. An answer must be right on the log of its own era, in
/// which the events of earlier ones count only if they were kept. No command may be sent in one era and answered in
/// another.
pub fn wrong_answers_over_failovers(
    eras: &[Era],
    answers: &[AnsweredCommand],
) -> Vec<(AnsweredCommand, WrongAnswer)> {
    let ends = eras.iter().skip(1).map(|next| next.began).chain([u64::MAX]);
    let wrong = eras.iter().zip(ends).flat_map(|(era, end)| {
        let of_era = |command: &&AnsweredCommand| (era.began..end).contains(&command.sent);
        // Events that were kept are known from the beginning, as if an answer had told them.
        let kept = era.kept.iter().map(|(stream, version)| AnsweredCommand {
            stream: *stream,
            sent: era.began,
            answered: era.began,
            answer: Answer::Conflict { version: *version },
        });
        let answers: Vec<_> = answers.iter().filter(of_era).copied().chain(kept).collect();
        wrong_answers(&era.streams, &answers)
    });
    wrong.collect()
}

/// Returns the wrong ones of these answers, each with its command.
fn wrong_answers(
    streams: &StoredStreams,
    answers: &[AnsweredCommand],
) -> Vec<(AnsweredCommand, WrongAnswer)> {
    let mut by_stream = BTreeMap::<u64, Vec<&AnsweredCommand>>::new();
    for answer in answers {
        by_stream.entry(answer.stream).or_default().push(answer);
    }
    let head = streams.values().flatten().map(|event| event.position).max().unwrap_or_default();
    let mut wrong = Vec::new();
    for (stream, answers) in by_stream {
        let events = streams.get(&stream).map_or(&[][..], Vec::as_slice);
        let seen = Seen::of(&answers);
        let found = answers.into_iter().filter_map(|command| {
            let seen = seen.before(command.sent);
            check(command.answer, seen, events, head).map(|wrong| (*command, wrong))
        });
        wrong.extend(found);
    }
    wrong
}

/// The highest version that the answers had shown at each tick.
struct Seen(Vec<(u64, u64)>);

impl Seen {
    fn of(answers: &[&AnsweredCommand]) -> Self {
        let mut shown: Vec<(u64, u64)> = Vec::new();
        for command in answers {
            let version = match command.answer {
                Answer::Appended { version }
                | Answer::Refused { version, .. }
                | Answer::Conflict { version } => version,
                Answer::Unchanged { .. } => continue,
            };
            shown.push((command.answered, version));
        }
        shown.sort_unstable();
        let mut highest = 0;
        for (_, version) in &mut shown {
            highest = highest.max(*version);
            *version = highest;
        }
        Self(shown)
    }

    fn before(&self, tick: u64) -> u64 {
        let count = self.0.partition_point(|(answered, _)| *answered < tick);
        count.checked_sub(1).map_or(0, |last| self.0[last].1)
    }
}

fn check(answer: Answer, seen: u64, events: &[StoredChange], head: u64) -> Option<WrongAnswer> {
    let after = |version: u64| match version {
        0 => Some(StoredChange { position: 0, balance: 0 }),
        version => events.get(version as usize - 1).copied(),
    };
    let (version, balance) = match answer {
        Answer::Appended { version } => {
            return after(version).is_none().then_some(WrongAnswer::Unstored(version));
        }
        Answer::Refused { version, balance } => (version, Some(balance)),
        Answer::Conflict { version } => (version, None),
        Answer::Unchanged { position } => return check_position(position, after(seen), head),
    };
    let Some(stored) = after(version) else { return Some(WrongAnswer::Unstored(version)) };
    if version < seen {
        return Some(WrongAnswer::Stale { decided_on: version, seen });
    }
    let other = balance.filter(|balance| *balance != stored.balance);
    other.map(|refused_on| WrongAnswer::OtherBalance { version, refused_on })
}

fn check_position(position: u64, seen: Option<StoredChange>, head: u64) -> Option<WrongAnswer> {
    let seen = seen.map_or(0, |event| event.position);
    if position > head {
        return Some(WrongAnswer::Unstored(position));
    }
    (position < seen).then_some(WrongAnswer::OldPosition { position, seen })
}

#[cfg(test)]
mod tests {
    use super::{
        Answer, AnsweredCommand, Era, StoredChange, StoredStreams, WrongAnswer, wrong_answers,
        wrong_answers_over_failovers,
    };

    /// Three events of stream 1, at positions 1, 3 and 4. The first two were acknowledged at the ticks 2 and 4.
    fn found(sent: u64, answer: Answer) -> Vec<WrongAnswer> {
        let stored = [(1, 5), (3, 7), (4, 2)];
        let stored = stored.map(|(position, balance)| StoredChange { position, balance });
        let streams = StoredStreams::from([(1, stored.to_vec())]);
        let command =
            |sent, answered, answer| AnsweredCommand { stream: 1, sent, answered, answer };
        let appended = |version| Answer::Appended { version };
        let answers =
            [command(1, 2, appended(1)), command(3, 4, appended(2)), command(sent, 100, answer)];
        wrong_answers(&streams, &answers).into_iter().map(|(_, wrong)| wrong).collect()
    }

    fn refused(version: u64, balance: i64) -> Answer {
        Answer::Refused { version, balance }
    }

    #[test]
    fn w5_an_answer_on_what_had_been_acknowledged_or_came_later_is_right() {
        for version in [(2, 7), (3, 2)] {
            assert_eq!(found(5, refused(version.0, version.1)), []);
            assert_eq!(found(5, Answer::Conflict { version: version.0 }), []);
        }
        assert_eq!(found(3, refused(1, 5)), [], "the second was acknowledged after it was sent");
        assert_eq!(found(0, refused(0, 0)), []);
        assert_eq!(found(5, Answer::Unchanged { position: 3 }), []);
        assert_eq!(found(5, Answer::Unchanged { position: 4 }), []);
    }

    #[test]
    fn w5_a_stale_answer_is_found() {
        let stale = |decided_on, seen| [WrongAnswer::Stale { decided_on, seen }];
        assert_eq!(found(5, refused(1, 5)), stale(1, 2));
        assert_eq!(found(5, Answer::Conflict { version: 1 }), stale(1, 2));
        assert_eq!(found(3, refused(0, 0)), stale(0, 1));
        let old = [WrongAnswer::OldPosition { position: 2, seen: 3 }];
        assert_eq!(found(5, Answer::Unchanged { position: 2 }), old);
    }

    #[test]
    fn w5_an_answer_that_shows_a_version_makes_an_older_one_stale() {
        let streams = StoredStreams::from([(1, vec![StoredChange { position: 1, balance: 5 }])]);
        let command =
            |sent, answer| AnsweredCommand { stream: 1, sent, answered: sent + 1, answer };
        let answers = [command(1, refused(1, 5)), command(3, Answer::Conflict { version: 0 })];
        let found = wrong_answers(&streams, &answers);
        assert_eq!(found[0].1, WrongAnswer::Stale { decided_on: 0, seen: 1 });
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn w5_an_answer_on_what_was_never_stored_is_found() {
        assert_eq!(found(5, refused(4, 2)), [WrongAnswer::Unstored(4)]);
        assert_eq!(found(5, Answer::Appended { version: 4 }), [WrongAnswer::Unstored(4)]);
        assert_eq!(found(5, Answer::Unchanged { position: 5 }), [WrongAnswer::Unstored(5)]);
        let other = [WrongAnswer::OtherBalance { version: 2, refused_on: 9 }];
        assert_eq!(found(5, refused(2, 9)), other);
    }
    /// A stream that has three events until a fail-over at tick 10 takes the last of them. It gets another one.
    fn found_over_a_failover(sent: u64, answer: Answer) -> Vec<WrongAnswer> {
        let streams = |balances: [i64; 3]| {
            let stored = (1..).zip(balances);
            let stored = stored.map(|(position, balance)| StoredChange { position, balance });
            StoredStreams::from([(1, stored.collect())])
        };
        let kept = [(1, 2)].into();
        let eras =
            [Era::whole(streams([5, 7, 2])), Era { began: 10, kept, streams: streams([5, 7, 9]) }];
        let command =
            |sent, answer| AnsweredCommand { stream: 1, sent, answered: sent + 1, answer };
        let answers = [command(7, Answer::Appended { version: 3 }), command(sent, answer)];
        let found = wrong_answers_over_failovers(&eras, &answers).into_iter();
        found.map(|(_, wrong)| wrong).collect()
    }

    #[test]
    fn w5_an_answer_after_a_failover_is_right_on_what_was_kept_or_came_later() {
        assert_eq!(found_over_a_failover(11, refused(2, 7)), []);
        assert_eq!(found_over_a_failover(11, refused(3, 9)), []);
        assert_eq!(found_over_a_failover(11, Answer::Unchanged { position: 2 }), []);
        assert_eq!(found_over_a_failover(8, refused(3, 2)), []);
    }

    #[test]
    fn w5_an_answer_after_a_failover_on_what_was_lost_or_older_than_what_was_kept_is_found() {
        let lost = WrongAnswer::OtherBalance { version: 3, refused_on: 2 };
        assert_eq!(found_over_a_failover(11, refused(3, 2)), [lost]);
        assert_eq!(found_over_a_failover(11, refused(4, 2)), [WrongAnswer::Unstored(4)]);
        let stale = WrongAnswer::Stale { decided_on: 1, seen: 2 };
        assert_eq!(found_over_a_failover(11, refused(1, 5)), [stale]);
        let old = WrongAnswer::OldPosition { position: 1, seen: 2 };
        assert_eq!(found_over_a_failover(11, Answer::Unchanged { position: 1 }), [old]);
    }
}
