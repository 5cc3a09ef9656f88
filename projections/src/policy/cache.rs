//! The policies that apply in this process.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use highwater_core::{
    Result,
    consistency::{EffectivePolicy, Operation, Rule},
    error::Invalid,
    port::EventStore,
};
use tokio::sync::Mutex;

#[cfg(feature = "service")]
use super::file::PolicyFile;
use super::{
    history::RecordCursor,
    record::{Rules, check_name},
};

/// The policies that apply in this process, shared by all clones of a handle.
#[derive(Default)]
pub(crate) struct PolicyCache {
    rules: RwLock<LayeredRules>,
    /// The part of the record that was read.
    record: Mutex<RecordCursor>,
    /// The file, if one was loaded.
    #[cfg(feature = "service")]
    file: std::sync::Mutex<Option<PolicyFile>>,
}

impl PolicyCache {
    /// Returns the policy by which a key of an operation is read now. The first operation of a name owns it: no rule
    /// applies to another of the same name, because none was checked for that one.
    pub(crate) fn effective(&self, operation: &Operation, key: &str) -> EffectivePolicy {
        let rules = self.read();
        match rules.operations.get(operation.name()) {
            Some(known) if known == operation => return rules.rule(operation).of(operation, key),
            Some(_) => return Rule::default().of(operation, key),
            None => drop(rules),
        }
        let mut rules = self.write();
        rules.operations.entry(operation.name()).or_insert(*operation);
        rules.recompute();
        drop(rules);
        self.effective(operation, key)
    }

    /// Adds the operations of the program.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if a name is malformed, or two operations of one name differ.
    pub(super) fn register(&self, operations: &[Operation]) -> Result<()> {
        let mut rules = self.write();
        for operation in operations {
            let name = operation.name();
            check_name(name)?;
            if rules.operations.entry(name).or_insert(*operation) != operation {
                let message = format!("operation {name} is registered twice, with two policies");
                return Err(Invalid::configuration(message).into());
            }
        }
        rules.recompute();
        Ok(())
    }

    /// Returns the known operations, each with the rule that applies to it.
    pub(super) fn operations(&self) -> Vec<(Operation, Rule)> {
        let rules = self.read();
        let operations = rules.operations.values();
        operations.map(|operation| (*operation, rules.rule(operation))).collect()
    }

    /// Applies the rules of a file in place of those of the file before. The first load and each edit are logged and
    /// counted.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if it can't be parsed, or has a rule for an operation that the
    /// program doesn't have or that doesn't allow it; then nothing has changed.
    #[cfg(feature = "service")]
    pub(super) fn load_file(&self, file: &PolicyFile) -> Result<()> {
        let contents = file.parse()?;
        self.write().set_file_rules(contents.operations.clone())?;
        let before = self.file().replace(file.clone());
        if before.as_ref() != Some(file) {
            file.log(&contents, before.is_none());
        }
        Ok(())
    }

    /// Picks up an edit of the loaded file. A file that can't be parsed changes nothing until it can.
    #[cfg(feature = "service")]
    pub(super) async fn refresh_file(&self) -> Result<()> {
        let loaded = self.file().clone();
        let Some(loaded) = loaded else { return Ok(()) };
        let file = loaded.read_again().await?;
        if file == loaded { Ok(()) } else { self.load_file(&file) }
    }

    #[cfg(feature = "service")]
    fn file(&self) -> std::sync::MutexGuard<'_, Option<PolicyFile>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the record once. Changes that were recorded before are neither logged nor counted.
    pub(super) async fn load_record(&self, log: &dyn EventStore) -> Result<()> {
        let is_loaded = self.record.lock().await.is_loaded;
        if is_loaded { Ok(()) } else { self.refresh_record(log).await }
    }

    /// Picks up new changes in the record. After an error the part that was read applies.
    pub(super) async fn refresh_record(&self, log: &dyn EventStore) -> Result<()> {
        let mut record = self.record.lock().await;
        let read = record.advance(log).await;
        self.set_recorded_rules(record.rules());
        record.is_loaded |= read.is_ok();
        read
    }

    fn set_recorded_rules(&self, recorded: &Arc<Rules>) {
        if Arc::ptr_eq(&self.read().recorded, recorded) {
            return;
        }
        let mut rules = self.write();
        rules.recorded = Arc::clone(recorded);
        rules.recompute();
    }

    fn read(&self) -> RwLockReadGuard<'_, LayeredRules> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, LayeredRules> {
        self.rules.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rules of each layer, and the rule that applies to each operation.
#[derive(Default)]
struct LayeredRules {
    operations: BTreeMap<&'static str, Operation>,
    from_file: Rules,
    recorded: Arc<Rules>,
    /// Of both layers the stronger rule, unless its operation doesn't allow it.
    effective: Rules,
}

impl LayeredRules {
    fn rule(&self, operation: &Operation) -> Rule {
        self.effective.get(operation.name()).copied().unwrap_or_default()
    }

    #[cfg(feature = "service")]
    fn set_file_rules(&mut self, rules: Rules) -> Result<()> {
        for (name, rule) in &rules {
            let Some(operation) = self.operations.get(name.as_str()) else {
                let known: Vec<_> = self.operations.keys().copied().collect();
                let known = known.join(", ");
                let message = format!("this program has no operation {name}; it has {known}");
                return Err(Invalid::configuration(message).into());
            };
            rule.check(operation)?;
        }
        self.from_file = rules;
        self.recompute();
        Ok(())
    }

    /// Determines the rule of each operation. Another release of the program, whose operation was less critical, may
    /// have recorded a rule that is not allowed here: then the next weaker layer applies, and an error is logged.
    fn recompute(&mut self) {
        let Self { operations, from_file, recorded, effective } = self;
        effective.clear();
        for (name, operation) in operations {
            let layers = [recorded.get(*name), from_file.get(*name)];
            let allowed = layers.into_iter().flatten().find(|rule| is_allowed(rule, operation));
            effective.extend(allowed.map(|rule| ((*name).to_owned(), *rule)));
        }
    }
}

fn is_allowed(rule: &Rule, operation: &Operation) -> bool {
    let checked = rule.check(operation);
    if let Err(error) = &checked {
        tracing::error!(%error, code = %error.code(), "a recorded policy does not apply here");
    }
    checked.is_ok()
}
