//! Judges a journal: events skipped, repeated, out of order. Also rows that are missing, too many or different, and the
//! chains of a topic.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
};

/// A fault in a key of a view, or in a partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) view: String,
    pub(crate) key: String,
    pub(crate) wrong: Wrong,
}

/// The kind of a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// An event had no effect.
    Skipped(u64),
    /// An event had its effect more than once: its position, and how often.
    Repeated(u64, usize),
    /// An event was applied after a later one.
    Disordered(u64),
    /// An event of another key, or one that is not in the log, had an effect.
    Foreign(u64),
    /// A row is missing.
    MissingRow,
    /// There is a row that should not exist.
    RowTooMany,
    /// The row differs although it was folded from the right events in the right order.
    OtherRow,
    /// A record names a wrong predecessor: its position, the named position, and the actual one.
    BrokenChain(u64, u64, u64),
    /// A shard has not caught up with the log: its position, and that of the end.
    Behind(u64, u64),
}

impl Finding {
    pub(crate) fn new(view: &str, key: &str, wrong: Wrong) -> Self {
        Self { view: view.to_owned(), key: key.to_owned(), wrong }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}: {:?}", self.view, self.key, self.wrong)
    }
}

/// Returns the faults of a journal (the applied positions, in order) against the expected positions
/// in log order.
pub(crate) fn of_journal(right: &[u64], seen: &[u64]) -> Vec<Wrong> {
    let belonging: BTreeSet<u64> = right.iter().copied().collect();
    let mut times: HashMap<u64, usize> = HashMap::new();
    let (mut wrong, mut last) = (Vec::new(), 0);
    for &position in seen {
        let times = times.entry(position).or_default();
        *times += 1;
        match *times {
            1 if !belonging.contains(&position) => wrong.push(Wrong::Foreign(position)),
            1 if position < last => wrong.push(Wrong::Disordered(position)),
            1 => last = position,
            _ => {}
        }
    }
    for position in right {
        match times.get(position) {
            None => wrong.push(Wrong::Skipped(*position)),
            Some(1) => {}
            Some(times) => wrong.push(Wrong::Repeated(*position, *times)),
        }
    }
    wrong
}

/// A row that records the positions of its events.
pub(crate) trait Journal {
    fn seen(&self) -> &[u64];
}

/// Returns the findings of the rows of a view.
pub(crate) fn of_rows<R: Journal + PartialEq>(
    view: &str,
    right: &BTreeMap<String, R>,
    found: &BTreeMap<String, R>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for key in right.keys().chain(found.keys()).collect::<BTreeSet<_>>() {
        let wrong = match (right.get(key), found.get(key)) {
            (Some(right), Some(found)) if right == found => continue,
            (Some(right), Some(found)) => {
                let wrong = of_journal(right.seen(), found.seen());
                if wrong.is_empty() { vec![Wrong::OtherRow] } else { wrong }
            }
            (None, _) => vec![Wrong::RowTooMany],
            (_, None) => vec![Wrong::MissingRow],
        };
        findings.extend(wrong.into_iter().map(|wrong| Finding::new(view, key, wrong)));
    }
    findings
}

/// A record of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) position: u64,
    /// The event that it names as its predecessor in its partition.
    pub(crate) previous: u64,
    pub(crate) partition: u32,
    pub(crate) offset: i64,
}

/// Returns the findings of a topic, given the expected positions of its partitions. A repeated
/// record is no fault, because readers recognise it.
pub(crate) fn of_topic(topic: &str, right: &[Vec<u64>], records: &[Record]) -> Vec<Finding> {
    let mut by_partition: BTreeMap<u32, Vec<Record>> = BTreeMap::new();
    for record in records {
        by_partition.entry(record.partition).or_default().push(*record);
    }
    let mut findings = Vec::new();
    for (partition, right) in (0..).zip(right) {
        let mut records = by_partition.remove(&partition).unwrap_or_default();
        records.sort_by_key(|record| record.offset);
        let wrong = of_partition(right, &records);
        let key = partition.to_string();
        findings.extend(wrong.into_iter().map(|wrong| Finding::new(topic, &key, wrong)));
    }
    for record in by_partition.into_values().flatten() {
        let wrong = Wrong::Foreign(record.position);
        findings.push(Finding::new(topic, &record.partition.to_string(), wrong));
    }
    findings
}

fn of_partition(right: &[u64], records: &[Record]) -> Vec<Wrong> {
    let mut before = BTreeSet::new();
    let first: Vec<Record> =
        records.iter().copied().filter(|record| before.insert(record.position)).collect();
    let seen: Vec<u64> = first.iter().map(|record| record.position).collect();
    let mut wrong = of_journal(right, &seen);
    let mut last = 0;
    for Record { position, previous, .. } in first {
        if position > last {
            if previous != last {
                wrong.push(Wrong::BrokenChain(position, previous, last));
            }
            last = position;
        }
    }
    wrong
}
