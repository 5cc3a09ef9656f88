//! The handle: who changes what, and what holds.

use std::sync::Arc;

use highwater_core::{
    Aggregate as _, Code, Decider as _, Highwater, ReadFrom, Receipt, Request, Result, StreamId,
    Version,
    consistency::{EffectivePolicy, Operation, Rule},
    error::Invalid,
};

use super::{
    follow::{PolicyFollower, tell},
    record::{KEY, PolicyChange, PolicyRecord, PolicyRollback, RecordedChange},
    shelf::{Followed, Shelf},
};

/// How many events of the record are read at a time.
const PAGE: usize = 100;

/// The policies of named operations (M6, M14, O4): what holds in this process, and its changes. Cheap to
/// clone. `highwater.policies()` gives it.
///
/// ```
/// use highwater_core::{Highwater, Result, read::{Level, Operation, Override, Rule, View}};
/// use highwater_projections::{Views as _, policy::{PolicyChange, PolicyRollback}};
///
/// const SHOW: Operation = Operation::standard("account.show");
/// const OFFER: Operation = Operation::critical("transfer.offer");
///
/// # async fn example<Balances: View>(bank: &Highwater) -> Result<()> {
/// let policies = bank.policies();
/// policies.register(&[SHOW, OFFER])?;
/// let _following = policies.follow().await?; // takes up what others change
///
/// let balance = bank.view::<Balances>().get("alice").by(&SHOW).await?;
///
/// let strong = Override::default().reading(Level::Strong);
/// let tenth = Rule::default().rolled_out(10.0, strong);
/// policies.change(PolicyChange::by("ann", "customers miss deposits").set(&SHOW, tenth)).await?;
/// policies.roll_back(PolicyRollback::by("bob", "the log is too slow for it")).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Policies {
    pub(super) highwater: Highwater,
    pub(super) shelf: Arc<Shelf>,
}

impl Policies {
    pub(crate) fn of(highwater: &Highwater) -> Self {
        Self { highwater: highwater.clone(), shelf: highwater.extension() }
    }

    /// Says which operations the program has, so that a file that names another is refused. One that is
    /// used without that is known from then on.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if a name is malformed, or two operations have the same.
    pub fn register(&self, operations: &[Operation]) -> Result<()> {
        self.shelf.register(operations)
    }

    /// The operation of this name, if it is known.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) with code [`NOT_FOUND`](Code::NOT_FOUND) if it isn't.
    pub fn operation(&self, name: &str) -> Result<Operation> {
        let known = self.operations().into_iter().find(|(known, _)| known.name() == name);
        known.map(|(operation, _)| operation).ok_or_else(|| {
            Invalid::new(Code::NOT_FOUND, format!("there is no operation {name:?} here")).into()
        })
    }

    /// The operations that are known, each with the rule that holds for it in this process now.
    #[must_use]
    pub fn operations(&self) -> Vec<(Operation, Rule)> {
        self.shelf.operations()
    }

    /// How a key of an operation is read in this process now.
    #[must_use]
    pub fn ruled(&self, operation: &Operation, key: &str) -> EffectivePolicy {
        self.shelf.of(operation, key)
    }

    /// Changes policies: at once in this process, within about a second in others that
    /// [follow](Self::follow). It is recorded in the log, with who, when and why.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if it doesn't say who, or an operation can't be read like
    /// that; [`Unavailable`](highwater_core::Error::Unavailable) if it was not recorded. Then nothing has
    /// changed.
    pub async fn change(&self, change: impl Into<Request<PolicyChange>>) -> Result<Receipt> {
        let change: Request<PolicyChange> = change.into();
        change.command().check()?;
        self.begin().await?;
        let record = self.highwater.aggregate::<PolicyRecord>(KEY);
        let receipt = record.execute(change).await?;
        self.take_up().await;
        Ok(receipt)
    }

    /// Takes the last change back that has not been taken back yet, as a change of its own.
    ///
    /// # Errors
    /// [`Rejected`](highwater_core::Error::Rejected) if none is left; otherwise as [`Policies::change`].
    pub async fn roll_back(&self, rollback: impl Into<Request<PolicyRollback>>) -> Result<Receipt> {
        let rollback: Request<PolicyRollback> = rollback.into();
        rollback.command().check()?;
        self.begin().await?;
        let record = self.highwater.aggregate::<PolicyRecord>(KEY);
        let receipt = record.execute(rollback).await?;
        self.take_up().await;
        Ok(receipt)
    }

    /// Has what was just recorded hold here. It is recorded, whatever becomes of this: whoever follows
    /// takes it up a little later.
    async fn take_up(&self) {
        if let Err(error) = self.refresh().await {
            tracing::warn!(%error, code = %error.code(), "a change of policies is recorded, but not read back");
        }
    }

    /// The changes that are recorded, the last one first, at most `limit`.
    ///
    /// # Errors
    /// [`Unavailable`](highwater_core::Error::Unavailable), or [`Corrupt`](highwater_core::Error::Corrupt) if
    /// one can't be decoded.
    pub async fn history(&self, limit: usize) -> Result<Vec<RecordedChange>> {
        let (mut changes, mut span) = (Vec::new(), Some(ReadFrom::Before(Version::END)));
        while let Some(from) = span.filter(|_| changes.len() < limit) {
            let page = self.highwater.log().read_stream(&stream()?, from, PAGE).await?;
            for envelope in &page.events {
                let events = envelope.decode()?.into_iter();
                changes.extend(events.map(|event| RecordedChange::of(envelope, event)));
            }
            span = page.next;
        }
        changes.truncate(limit);
        Ok(changes)
    }

    /// Takes up what others change, now and from now on, for as long as the answer is kept: what is
    /// recorded, and edits of the [loaded](Self::load) file. Both are looked at every second.
    ///
    /// # Errors
    /// [`Unavailable`](highwater_core::Error::Unavailable) if what is recorded can't be read.
    pub async fn follow(&self) -> Result<PolicyFollower> {
        self.begin().await?;
        Ok(PolicyFollower::begin(self.clone()))
    }

    /// Reads what was recorded before, unless that is known: none of it is a change that is worth telling.
    async fn begin(&self) -> Result<()> {
        let has_begun = self.shelf.followed.lock().await.has_begun;
        if has_begun { Ok(()) } else { self.refresh().await }
    }

    /// Reads on in the record. As far as it could be read it holds, also if it couldn't be to the end.
    pub(super) async fn refresh(&self) -> Result<()> {
        let mut followed = self.shelf.followed.lock().await;
        let read = self.read_on(&mut followed).await;
        self.shelf.recorded(followed.record.now());
        followed.has_begun |= read.is_ok();
        read
    }

    async fn read_on(&self, followed: &mut Followed) -> Result<()> {
        let Followed { record, version, has_begun } = followed;
        let mut span = Some(ReadFrom::After(*version));
        while let Some(from) = span {
            let page = self.highwater.log().read_stream(&stream()?, from, PAGE).await?;
            for envelope in &page.events {
                for event in envelope.decode()? {
                    record.apply(&event);
                    if *has_begun {
                        tell(&RecordedChange::of(envelope, event));
                    }
                }
                *version = envelope.version;
            }
            span = page.next;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Policies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policies").field("operations", &self.operations()).finish_non_exhaustive()
    }
}

fn stream() -> Result<StreamId> {
    Ok(StreamId::new(PolicyRecord::CATEGORY, KEY)?)
}
