//! A batch of appends, which grows as long as the next append can be checked together with it.

use std::collections::{HashMap, HashSet};

use highwater_core::{
    CommandId, EventId, StreamId, Version,
    port::{Append, StreamAppend},
    value::Expected,
};

use super::group_commit::BatchEntry;

/// The bounds of one transaction, unless a single append exceeds them.
const MAX_APPENDS: usize = 256;
const MAX_EVENTS: usize = 2_000;
const MAX_BYTES: usize = 8 << 20;

#[derive(Default)]
pub(super) struct BatchBuilder {
    pub(super) entries: Vec<BatchEntry>,
    commands: HashSet<CommandId>,
    /// The head of each stream that the batch writes to, as far as it is known before the commit, and
    /// the entry that writes it.
    heads: HashMap<StreamId, (Option<KnownHead>, usize)>,
    /// The last entry of each group. Groups are chains: an entry that joins depends on the last one.
    group_ends: HashMap<usize, usize>,
    events: usize,
    bytes: usize,
    has_hook: bool,
}

impl BatchBuilder {
    /// Returns true if the append can be checked together with the batch. An append with a hook has a
    /// transaction of its own.
    pub(super) fn admits(&self, append: &Append) -> bool {
        self.entries.is_empty()
            || (!self.has_hook
                && append.hook.is_none()
                && self.entries.len() < MAX_APPENDS
                && self.events + append.events().count() <= MAX_EVENTS
                && self.bytes + payload_bytes(append) <= MAX_BYTES
                && !self.commands.contains(&append.command)
                && self.can_check(append))
    }

    /// Returns true if the earlier appends of the batch leave no doubt about the append's expectations.
    fn can_check(&self, append: &Append) -> bool {
        let is_known = append.streams.iter().all(|part| match self.heads.get(&part.stream) {
            None => true,
            Some((head, writer)) => self.ends_group(*writer) && is_chained(part.expected, *head),
        });
        is_known && self.groups(append).len() <= 1 && self.is_condition_free(append)
    }

    /// Returns the groups that the append depends on.
    fn groups(&self, append: &Append) -> HashSet<usize> {
        let writers = append.streams.iter().filter_map(|part| self.heads.get(&part.stream));
        writers
            .filter_map(|(_, writer)| self.entries.get(*writer))
            .map(|entry| entry.group)
            .collect()
    }

    /// Returns true if the entry is the last of its group.
    fn ends_group(&self, entry: usize) -> bool {
        self.entries.get(entry).and_then(|found| self.group_ends.get(&found.group)) == Some(&entry)
    }

    /// Returns true if no event of the batch breaks the append's condition.
    fn is_condition_free(&self, append: &Append) -> bool {
        let Some(condition) = &append.condition else { return true };
        let mut events = self.entries.iter().flat_map(|entry| entry.append.events());
        !events.any(|(stream, event)| {
            condition.is_broken_by(stream, event.event_type.name, &event.tags)
        })
    }

    pub(super) fn add(&mut self, append: Append) {
        let index = self.entries.len();
        let is_written = |part: &StreamAppend| self.heads.contains_key(&part.stream);
        let chained: Vec<bool> = append.streams.iter().map(is_written).collect();
        let group = self.groups(&append).into_iter().next().unwrap_or(index);
        // A stream that is only checked keeps its head, whatever the outcome of the append.
        for part in append.streams.iter().filter(|part| !part.events.is_empty()) {
            self.heads.insert(part.stream.clone(), (head_after(part), index));
        }
        self.group_ends.insert(group, index);
        self.commands.insert(append.command);
        self.events += append.events().count();
        self.bytes += payload_bytes(&append);
        self.has_hook = append.hook.is_some();
        self.entries.push(BatchEntry { append, group, chained });
    }
}

/// The version of a stream and its last event.
type KnownHead = (Version, EventId);

/// Returns the head of the stream after this part, if its expectation is met; `None` if the expectation
/// doesn't determine it.
fn head_after(part: &StreamAppend) -> Option<KnownHead> {
    let version = match part.expected {
        Expected::Any | Expected::StreamExists => return None,
        Expected::NoStream => Version::NONE,
        Expected::Version(version) | Expected::Head(version, _) => version,
    };
    Some((version.plus(part.events.len()), part.events.last()?.id))
}

/// Returns true if the expectation names the very event at its version. Only then can it be checked
/// before the event is committed.
fn is_chained(expected: Expected, head: Option<KnownHead>) -> bool {
    matches!(expected, Expected::Head(version, event) if head == Some((version, event)))
}

fn payload_bytes(append: &Append) -> usize {
    append.events().map(|(_, event)| event.payload.len()).sum()
}
