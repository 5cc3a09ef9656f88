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

use super::shelf::is_name;

/// Rules by the names of operations.
pub(super) type Rules = BTreeMap<String, Rule>;

/// The key of the one stream that records changes.
pub(super) const KEY: &str = "reads";

/// How many changes can be rolled back, one after the other.
const KEPT: usize = 100;

/// Another rule for some operations, all at once, by somebody and for a reason.
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
    /// A change by somebody, for a reason. It says nothing of any operation yet.
    pub fn by(who: impl Into<String>, why: impl Into<String>) -> Self {
        Self { by: who.into(), why: why.into(), rules: BTreeMap::new() }
    }

    /// This rule holds for the operation from now on, in place of any other.
    #[must_use]
    pub fn set(mut self, operation: &Operation, rule: Rule) -> Self {
        self.rules.insert(operation.name(), (*operation, Some(rule)));
        self
    }

    /// No rule is recorded for the operation any more: the file's or the program's own policy holds.
    #[must_use]
    pub fn clear(mut self, operation: &Operation) -> Self {
        self.rules.insert(operation.name(), (*operation, None));
        self
    }

    /// Whether somebody makes it, and the operations may be read like that.
    pub(super) fn check(&self) -> Result<()> {
        is_somebody(&self.by)?;
        let rules = self.rules.values();
        rules.filter_map(|(operation, rule)| Some(((*rule)?, operation))).try_for_each(
            |(rule, operation)| {
                is_name(operation.name())?;
                rule.check(operation)
            },
        )
    }

    /// As it is recorded.
    fn said(&self) -> Changed {
        let rules = self.rules.iter().map(|(name, (_, rule))| ((*name).to_owned(), *rule));
        Changed { by: self.by.clone(), why: self.why.clone(), rules: rules.collect() }
    }
}

/// Takes back the last change that has not been taken back yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRollback {
    by: String,
    why: String,
}

impl PolicyRollback {
    /// A rollback by somebody, for a reason.
    pub fn by(who: impl Into<String>, why: impl Into<String>) -> Self {
        Self { by: who.into(), why: why.into() }
    }

    /// Whether somebody makes it.
    pub(super) fn check(&self) -> Result<()> {
        is_somebody(&self.by)
    }
}

fn is_somebody(who: &str) -> Result<()> {
    if who.trim().is_empty() {
        return Err(Invalid::request("a change of policies must say by whom it is made").into());
    }
    Ok(())
}

/// A change of policies as it was recorded.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RecordedChange {
    /// Which change it is, from 1 on.
    pub version: Version,
    /// Who.
    pub by: String,
    /// When, by the clock of the store.
    pub at: Timestamp,
    /// For what reason.
    pub why: String,
    /// What was changed, `None` for a rule that was taken away; `None` altogether for a rollback.
    pub rules: Option<BTreeMap<String, Option<Rule>>>,
}

impl RecordedChange {
    pub(super) fn of(envelope: &Envelope, event: PolicyEvent) -> Self {
        let (version, at) = (envelope.version, envelope.recorded_at);
        let (by, why, rules) = match event {
            PolicyEvent::Changed(Changed { by, why, rules }) => (by, why, Some(rules)),
            PolicyEvent::RolledBack(PolicyRollback { by, why }) => (by, why, None),
        };
        Self { version, by, at, why, rules }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum PolicyEvent {
    Changed(Changed),
    RolledBack(PolicyRollback),
}

/// A change, by the names of operations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Changed {
    by: String,
    why: String,
    /// No rule takes away the one that there was.
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

/// What is recorded, and what was before it.
#[derive(Debug, Clone, Default)]
pub(super) struct PolicyRecord {
    /// What there was before the first change that can be rolled back.
    floor: Arc<Rules>,
    /// What there was after each change that can be.
    layers: Vec<Arc<Rules>>,
}

impl PolicyRecord {
    pub(super) fn now(&self) -> &Arc<Rules> {
        self.layers.last().unwrap_or(&self.floor)
    }

    fn after(&self, change: &Changed) -> Rules {
        let mut rules = Rules::clone(self.now());
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
                if self.layers.len() > KEPT {
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
        serde_json::to_writer(out, &self.said())
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
        let change = change.said();
        if self.after(&change) == **self.now() {
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
        PolicyEvent::Changed(PolicyChange::by("ann", "a test").set(&SHOW, rule(level)).said())
    }

    fn rolled_back() -> PolicyEvent {
        PolicyEvent::RolledBack(PolicyRollback::by("bob", "a test"))
    }

    fn now(record: &PolicyRecord) -> Option<Rule> {
        record.now().get(SHOW.name()).copied()
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
        for _ in 0..KEPT {
            record.apply(&changed(Level::Eventual));
        }
        for _ in 0..KEPT {
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
