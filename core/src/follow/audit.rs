//! Finding the streams whose history breaks an invariant.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::{
    Result,
    domain::{Aggregate, Envelope, Invariant, Query},
    error::{Panicked, Rejection},
    follow::{UnknownEvents, apply, fold_events},
    port::{EventStore, ReadFrom},
    value::{Category, CommandId, Position, StreamId, Version},
};

/// The number of events per read.
const READ_PAGE_SIZE: usize = 4096;

/// A stream whose history breaks an invariant.
#[derive(Debug, Clone, PartialEq)]
pub struct Violation {
    /// The stream.
    pub stream: StreamId,
    /// The first broken version: that of the last event of the first command that left it so.
    pub version: Version,
    /// The rejection of the state there.
    pub rejection: Rejection,
}

/// Folds every stream of the category and checks the states that commands left behind. States within one
/// command are not checked: no command ever decided on them.
pub(crate) async fn audit<A: Aggregate>(
    log: &dyn EventStore,
    invariants: &[Invariant<A>],
    unknown: UnknownEvents,
) -> Result<Vec<Violation>> {
    let query = Query::category(Category::new(A::CATEGORY)?);
    let mut audit = Audit::new(invariants, unknown);
    let mut after = Position::START;
    loop {
        let page = log.read_log(&query, ReadFrom::After(after), READ_PAGE_SIZE).await?;
        fold_events(&page.events, |event| audit.fold(event))?;
        after = page.through;
        if !page.more {
            audit.check_changed()?;
            return Ok(audit.violations);
        }
    }
}

struct Audit<'a, A: Aggregate> {
    invariants: &'a [Invariant<A>],
    unknown: UnknownEvents,
    states: HashMap<StreamId, (A, Version)>,
    command: Option<CommandId>,
    changed: BTreeSet<StreamId>,
    reported: HashSet<(StreamId, &'static str)>,
    violations: Vec<Violation>,
}

impl<'a, A: Aggregate> Audit<'a, A> {
    fn new(invariants: &'a [Invariant<A>], unknown: UnknownEvents) -> Self {
        Self {
            invariants,
            unknown,
            states: HashMap::new(),
            command: None,
            changed: BTreeSet::new(),
            reported: HashSet::new(),
            violations: Vec::new(),
        }
    }

    /// Folds an event. The events of one append follow each other in the log, so another command id ends
    /// it.
    fn fold(&mut self, event: &Envelope) -> Result<()> {
        if self.command != Some(event.command) {
            self.check_changed()?;
            self.command = Some(event.command);
        }
        let (state, version) = self.states.entry(event.stream.clone()).or_default();
        apply(state, event, self.unknown)?;
        *version = event.version;
        self.changed.insert(event.stream.clone());
        Ok(())
    }

    fn check_changed(&mut self) -> Result<()> {
        for stream in std::mem::take(&mut self.changed) {
            let Some((state, version)) = self.states.get(&stream) else { continue };
            for invariant in self.invariants {
                let place = || format!("invariant {} on stream {stream}", invariant.name);
                let checked = Panicked::guard(place, || invariant.check(state))?;
                let Err(rejection) = checked else { continue };
                if self.reported.insert((stream.clone(), invariant.name)) {
                    let stream = stream.clone();
                    let version = *version;
                    self.violations.push(Violation { stream, version, rejection });
                }
            }
        }
        Ok(())
    }
}
