//! Which recorded histories break an invariant.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::{
    Result,
    domain::{Aggregate, Envelope, Invariant, Query},
    error::Rejection,
    follow::{UnknownEvents, apply},
    port::{EventStore, ReadFrom},
    value::{Category, CommandId, Position, StreamId, Version},
};

const PAGE: usize = 4096;

/// A stream whose history breaks an invariant.
#[derive(Debug, Clone, PartialEq)]
pub struct Violation {
    /// The stream.
    pub stream: StreamId,
    /// From which version on: the last event of the first command that left it broken.
    pub version: Version,
    /// What the invariant says of the state there.
    pub rejection: Rejection,
}

/// Folds every stream of the category and checks the states that commands have left behind. States
/// within one command don't count: no command ever decided on them.
pub(crate) async fn audit<A: Aggregate>(
    log: &dyn EventStore,
    invariants: &[Invariant<A>],
    unknown: UnknownEvents,
) -> Result<Vec<Violation>> {
    let query = Query::category(Category::new(A::CATEGORY)?);
    let mut audit = Audit::new(invariants, unknown);
    let mut after = Position::START;
    loop {
        let page = log.read_log(&query, ReadFrom::After(after), PAGE).await?;
        for event in &page.events {
            audit.see(event)?;
        }
        after = page.through;
        if !page.more {
            audit.check_touched();
            return Ok(audit.violations);
        }
    }
}

struct Audit<'a, A: Aggregate> {
    invariants: &'a [Invariant<A>],
    unknown: UnknownEvents,
    states: HashMap<StreamId, (A, Version)>,
    command: Option<CommandId>,
    touched: BTreeSet<StreamId>,
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
            touched: BTreeSet::new(),
            reported: HashSet::new(),
            violations: Vec::new(),
        }
    }

    /// The events of one append follow each other in the log, so another command id ends it.
    fn see(&mut self, event: &Envelope) -> Result<()> {
        if self.command != Some(event.command) {
            self.check_touched();
            self.command = Some(event.command);
        }
        let (state, version) = self.states.entry(event.stream.clone()).or_default();
        apply(state, event, self.unknown)?;
        *version = event.version;
        self.touched.insert(event.stream.clone());
        Ok(())
    }

    fn check_touched(&mut self) {
        for stream in std::mem::take(&mut self.touched) {
            let Some((state, version)) = self.states.get(&stream) else { continue };
            for invariant in self.invariants {
                let Err(rejection) = invariant.check(state) else { continue };
                if self.reported.insert((stream.clone(), invariant.name)) {
                    let (stream, version) = (stream.clone(), *version);
                    self.violations.push(Violation { stream, version, rejection });
                }
            }
        }
    }
}
