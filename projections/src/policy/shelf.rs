//! What holds in this process.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use highwater_core::{
    Result, Version,
    consistency::{EffectivePolicy, Operation, Rule},
    error::Invalid,
};
use tokio::sync::Mutex;

use super::record::{PolicyRecord, Rules};

/// What holds in this process, kept with the open store.
#[derive(Default)]
pub(crate) struct Shelf {
    held: RwLock<Held>,
    /// What of the record has been read.
    pub(super) followed: Mutex<Followed>,
    /// The file, if one has been loaded.
    #[cfg(feature = "service")]
    pub(super) file: std::sync::Mutex<Option<super::file::Loaded>>,
}

#[derive(Default)]
pub(super) struct Followed {
    pub(super) record: PolicyRecord,
    pub(super) version: Version,
    /// What was recorded before is known, so what comes is new.
    pub(super) has_begun: bool,
}

#[derive(Default)]
struct Held {
    known: BTreeMap<&'static str, Operation>,
    filed: Rules,
    recorded: Arc<Rules>,
    /// Of both what holds, but for what an operation doesn't allow.
    now: Rules,
}

impl Shelf {
    /// How a key of an operation is read now. The operation that came first under a name has it: of
    /// another no rule holds, because nobody has checked it for that one.
    pub(crate) fn of(&self, operation: &Operation, key: &str) -> EffectivePolicy {
        let held = self.read();
        match held.known.get(operation.name()) {
            Some(known) if known == operation => return held.rule(operation).of(operation, key),
            Some(_) => return Rule::default().of(operation, key),
            None => drop(held),
        }
        let mut held = self.write();
        held.known.entry(operation.name()).or_insert(*operation);
        held.weigh();
        drop(held);
        self.of(operation, key)
    }

    /// The program has these operations.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if two of them have one name and aren't the same.
    pub(super) fn register(&self, operations: &[Operation]) -> Result<()> {
        let mut held = self.write();
        for operation in operations {
            let name = operation.name();
            is_name(name)?;
            if held.known.entry(name).or_insert(*operation) != operation {
                let message = format!("operation {name} is there twice, with two policies");
                return Err(Invalid::configuration(message).into());
            }
        }
        held.weigh();
        Ok(())
    }

    /// The operations that are known, each with the rule that holds for it.
    pub(super) fn operations(&self) -> Vec<(Operation, Rule)> {
        let held = self.read();
        held.known.values().map(|operation| (*operation, held.rule(operation))).collect()
    }

    /// The rules of a file, in place of those that it had before.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if one is of an operation that the program doesn't have,
    /// or that can't be read like that; then nothing has changed.
    #[cfg(feature = "service")]
    pub(super) fn filed(&self, rules: Rules) -> Result<()> {
        let mut held = self.write();
        for (name, rule) in &rules {
            let Some(operation) = held.known.get(name.as_str()) else {
                let known: Vec<_> = held.known.keys().copied().collect();
                let known = known.join(", ");
                let message =
                    format!("operation {name} is none of this program's; there are {known}");
                return Err(Invalid::configuration(message).into());
            };
            rule.check(operation)?;
        }
        held.filed = rules;
        held.weigh();
        Ok(())
    }

    /// What is recorded by now.
    pub(super) fn recorded(&self, rules: &Arc<Rules>) {
        if Arc::ptr_eq(&self.read().recorded, rules) {
            return;
        }
        let mut held = self.write();
        held.recorded = Arc::clone(rules);
        held.weigh();
    }

    fn read(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn rule(&self, operation: &Operation) -> Rule {
        self.now.get(operation.name()).copied().unwrap_or_default()
    }

    /// What holds now. A rule may have been recorded by another release of the program, whose operation
    /// was less critical: then the next weaker one holds, and that is told.
    fn weigh(&mut self) {
        let Self { known, filed, recorded, now } = self;
        now.clear();
        for (name, operation) in known {
            let rules = [recorded.get(*name), filed.get(*name)];
            let allowed = rules.into_iter().flatten().find(|rule| is_allowed(rule, operation));
            now.extend(allowed.map(|rule| ((*name).to_owned(), *rule)));
        }
    }
}

fn is_allowed(rule: &Rule, operation: &Operation) -> bool {
    let checked = rule.check(operation);
    if let Err(error) = &checked {
        tracing::error!(%error, code = %error.code(), "a policy that is recorded does not hold here");
    }
    checked.is_ok()
}

pub(super) fn is_name(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '.';
    if name.is_empty() || name.len() > 100 || !name.chars().all(allowed) {
        let right = "use at most 100 lower-case letters, digits, '_' and '.'";
        return Err(Invalid::malformed("name of an operation", name, right).into());
    }
    Ok(())
}
