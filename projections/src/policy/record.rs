//! Changes of policies as events of the log itself: who, when, what, why (O4).

use std::{collections::BTreeMap, sync::Arc};

use highwater_core::{
    Aggregate, Command, Context, Decide, Decider, Decision, Envelope, Event, Invariant, Rejection,
    Result, SchemaVersion, Timestamp, Version,
    consistency::{Operation, Rule},
    domain::{DecodeError, EventType, RawEvent},
    error::Invalid,
};
use serde::{Deserialize, Serialize};

use crate::metrics;

/// Rules by the names of operations.
pub(super) type Rules = BTreeMap<String, Rule>;

/// The key of the one stream that records changes.
pub(super) const RECORD_KEY: &str = "reads";

/// The most changes that can be rolled back, one after the other.
const MAX_ROLLBACKS: usize = 100;

/// A change of the rules of some operations, all at once, with an author and a reason.
///
/// ```
/// use highwater_core::consistency::{Level, Operation, Override, Rule};
/// use highwater_projections::policy::PolicyChange;
///
/// const SHOW: Operation = Operation::standard("account.show");
/// let strong = Override::default().reading(Level::Strong);
/// let tenth = PolicyChange::by("ann", "customers miss their deposits")
///     .set(&SHOW, Rule::default().rolled_out(10.0, strong));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyChange {
    by: String,
    why: String,
    rules: BTreeMap<&'static str, (Operation, Option<Rule>)>,
}

impl PolicyChange {
    /// Creates a change with its author and its reason. It has no rules yet.
    pub fn by(who: impl Into<String>, why: impl Into<String>) -> Self {
        Self { by: who.into(), why: why.into(), rules: BTreeMap::new() }
    }

    /// Sets the rule of an operation, in place of an earlier one.
    #[must_use]
    pub fn set(mut self, operation: &Operation, rule: Rule) -> Self {
        self.rules.insert(operation.name(), (*operation, Some(rule)));
        self
    }

    /// Removes the recorded rule of an operation: the policy of the file or of the program applies again.
    #[must_use]
    pub fn clear(mut self, operation: &Operation) -> Self {
        self.rules.insert(operation.name(), (*operation, None));
        self
    }

    /// Checks that it has an author, and that the operations allow their rules.
    pub(super) fn check(&self) -> Result<()> {
        check_author(&self.by)?;
        let rules = self.rules.values();
        rules.filter_map(|(operation, rule)| Some(((*rule)?, operation))).try_for_each(
            |(rule, operation)| {
                check_name(operation.name())?;
                rule.check(operation)
            },
        )
    }

    /// The change as it is recorded.
    fn recorded(&self) -> RuleChanges {
        let rules = self.rules.iter().map(|(name, (_, rule))| ((*name).to_owned(), *rule));
        RuleChanges { by: self.by.clone(), why: self.why.clone(), rules: rules.collect() }
    }
}

/// A rollback of the last change that has not been rolled back yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRollback {
    by: String,
    why: String,
}

impl PolicyRollback {
    /// Creates a rollback with its author and its reason.
    pub fn by(who: impl Into<String>, why: impl Into<String>) -> Self {
        Self { by: who.into(), why: why.into() }
    }

    /// Checks that it has an author.
    pub(super) fn check(&self) -> Result<()> {
        check_author(&self.by)
    }
}

fn check_author(author: &str) -> Result<()> {
    if author.trim().is_empty() {
        return Err(Invalid::request("a change of policies must name its author").into());
    }
    Ok(())
}

/// Checks the name of an operation.
pub(super) fn check_name(name: &str) -> Result<()> {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '.';
    if name.is_empty() || name.len() > 100 || !name.chars().all(is_allowed) {
        let right = "use at most 100 lower-case letters, digits, '_' and '.'";
        return Err(Invalid::malformed("name of an operation", name, right).into());
    }
    Ok(())
}

/// A change of policies as it was recorded.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RecordedChange {
    /// The number of the change, from 1 on.
    pub version: Version,
    /// The author.
    pub by: String,
    /// The time, by the clock of the store.
    pub at: Timestamp,
    /// The reason.
    pub why: String,
    /// The changed rules, with `None` for a rule that was removed; `None` altogether for a rollback.
    pub rules: Option<BTreeMap<String, Option<Rule>>>,
}

impl RecordedChange {
    pub(super) fn new(envelope: &Envelope, event: PolicyEvent) -> Self {
        let Envelope { version, recorded_at, .. } = envelope;
        let (by, why, rules) = match event {
            PolicyEvent::Changed(RuleChanges { by, why, rules }) => (by, why, Some(rules)),
            PolicyEvent::RolledBack(PolicyRollback { by, why }) => (by, why, None),
        };
        Self { version: *version, by, at: *recorded_at, why, rules }
    }

    /// Logs and counts that this change applies in this process from now on.
    pub(super) fn log(&self) {
        let Self { version, by, why, rules, .. } = self;
        metrics::policies_changed("record");
        match rules {
            Some(rules) => {
                let rules = serde_json::to_string(rules).unwrap_or_default();
                tracing::info!(change = version.get(), by, why, rules, "policies have changed");
            }
            None => tracing::info!(change = version.get(), by, why, "policies are rolled back"),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum PolicyEvent {
    Changed(RuleChanges),
    RolledBack(PolicyRollback),
}

/// The recorded form of a change: rules by the names of operations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RuleChanges {
    by: String,
    why: String,
    /// `None` removes the rule.
    rules: BTreeMap<String, Option<Rule>>,
}

const CHANGED: &str = "highwater.policies_changed";
const ROLLED_BACK: &str = "highwater.policies_rolled_back";

impl Event for PolicyEvent {
    const NAMES: &'static [&'static str] = &[CHANGED, ROLLED_BACK];

    fn event_type(&self) -> EventType {
        let name = match self {
            Self::Changed(_) => CHANGED,
            Self::RolledBack(_) => ROLLED_BACK,
        };
        EventType { name, version: SchemaVersion::FIRST }
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        match self {
            Self::Changed(change) => serde_json::to_writer(out, change),
            Self::RolledBack(rollback) => serde_json::to_writer(out, rollback),
        }
    }

    fn decode(raw: RawEvent<'_>, emit: &mut dyn FnMut(Self)) -> Result<(), DecodeError> {
        if raw.version > SchemaVersion::FIRST {
            return Err(DecodeError::NewerVersion { known: SchemaVersion::FIRST });
        }
        emit(match raw.name {
            CHANGED => Self::Changed(serde_json::from_slice(raw.payload)?),
            ROLLED_BACK => Self::RolledBack(serde_json::from_slice(raw.payload)?),
            _ => return Err(DecodeError::UnknownType),
        });
        Ok(())
    }
}

/// The recorded rules, and those before each change.
#[derive(Debug, Clone, Default)]
pub(super) struct PolicyRecord {
    /// The rules before the first change that can be rolled back.
    floor: Arc<Rules>,
    /// The rules after each change that can be.
    layers: Vec<Arc<Rules>>,
}

impl PolicyRecord {
    pub(super) fn rules(&self) -> &Arc<Rules> {
        self.layers.last().unwrap_or(&self.floor)
    }

    fn after(&self, change: &RuleChanges) -> Rules {
        let mut rules = Rules::clone(self.rules());
        for (operation, rule) in &change.rules {
            match rule {
                Some(rule) => rules.insert(operation.clone(), *rule),
                None => rules.remove(operation),
            };
        }
        rules
    }
}

impl Decider for PolicyRecord {
    type Event = PolicyEvent;
    type Services = ();
    const INVARIANTS: &'static [Invariant<Self>] = &[];

    fn apply(&mut self, event: &PolicyEvent) {
        match event {
            PolicyEvent::Changed(change) => {
                self.layers.push(Arc::new(self.after(change)));
                if self.layers.len() > MAX_ROLLBACKS {
                    self.floor = self.layers.remove(0);
                }
            }
            PolicyEvent::RolledBack(_) => drop(self.layers.pop()),
        }
    }
}

impl Aggregate for PolicyRecord {
    const CATEGORY: &'static str = "highwater.policies";
}

impl Command for PolicyChange {
    const NAME: &'static str = "highwater.change_policies";

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        serde_json::to_writer(out, &self.recorded())
    }
}

impl Command for PolicyRollback {
    const NAME: &'static str = "highwater.roll_policies_back";

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        serde_json::to_writer(out, self)
    }
}

impl Decide<PolicyChange> for PolicyRecord {
    fn decide(&self, change: &PolicyChange, _: &Context) -> Decision<PolicyEvent> {
        let change = change.recorded();
        if self.after(&change) == **self.rules() {
            return Ok(Vec::new());
        }
        Ok(vec![PolicyEvent::Changed(change)])
    }
}

impl Decide<PolicyRollback> for PolicyRecord {
    fn decide(&self, rollback: &PolicyRollback, _: &Context) -> Decision<PolicyEvent> {
        if self.layers.is_empty() {
            let message = "no change of policies is left that could be rolled back";
            return Err(Rejection::new("policies_changed_before", message));
        }
        Ok(vec![PolicyEvent::RolledBack(rollback.clone())])
    }
}

#[cfg(test)]
mod tests {
    use highwater_core::consistency::{Level, Override};

    use super::*;

    const SHOW: Operation = Operation::standard("account.show");

    fn rule(level: Level) -> Rule {
        Rule::of_all(Override::default().reading(level))
    }

    fn changed(level: Level) -> PolicyEvent {
        PolicyEvent::Changed(PolicyChange::by("ann", "a test").set(&SHOW, rule(level)).recorded())
    }

    fn rolled_back() -> PolicyEvent {
        PolicyEvent::RolledBack(PolicyRollback::by("bob", "a test"))
    }

    fn now(record: &PolicyRecord) -> Option<Rule> {
        record.rules().get(SHOW.name()).copied()
    }

    #[test]
    fn o4_rollbacks_take_back_one_change_after_the_other() {
        let mut record = PolicyRecord::default();
        record.apply(&changed(Level::Strong));
        record.apply(&changed(Level::Eventual));
        record.apply(&rolled_back());
        assert_eq!(now(&record), Some(rule(Level::Strong)));
        record.apply(&changed(Level::ReadYourWrites));
        record.apply(&rolled_back());
        assert_eq!(now(&record), Some(rule(Level::Strong)));
        record.apply(&rolled_back());
        assert_eq!(now(&record), None);
        assert!(record.layers.is_empty());
    }

    #[test]
    fn o4_of_very_many_changes_the_last_ones_can_be_rolled_back_and_the_rest_stays() {
        let mut record = PolicyRecord::default();
        record.apply(&changed(Level::Strong));
        for _ in 0..MAX_ROLLBACKS {
            record.apply(&changed(Level::Eventual));
        }
        for _ in 0..MAX_ROLLBACKS {
            record.apply(&rolled_back());
        }
        assert_eq!(now(&record), Some(rule(Level::Strong)));
        assert!(record.layers.is_empty());
    }

    #[test]
    fn o4_events_survive_being_stored() {
        for event in [changed(Level::Strong), rolled_back()] {
            let (mut payload, mut read) = (Vec::new(), Vec::new());
            event.encode(&mut payload).unwrap();
            let EventType { name, version } = event.event_type();
            let raw = RawEvent { name, version, payload: &payload };
            PolicyEvent::decode(raw, &mut |event| read.push(event)).unwrap();
            assert_eq!(read, [event]);
        }
    }
}
