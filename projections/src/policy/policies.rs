//! The handle: changes of policies, their history, and the policies that apply.

use std::{fmt, sync::Arc};

use highwater_core::{
    Code, Command, Decide, Highwater, Receipt, Request, Result,
    consistency::{EffectivePolicy, Operation, Rule},
    error::Invalid,
};

use super::{
    cache::PolicyCache,
    follow::PolicyFollower,
    history::last_changes,
    record::{PolicyChange, PolicyRecord, PolicyRollback, RECORD_KEY, RecordedChange},
};

/// The policies of named operations (M6, M14, O4): those that apply in this process, and their changes. Cheap to
/// clone. `highwater.policies()` returns it.
///
/// ```
/// use highwater_core::{Highwater, Result, consistency::{Level, Operation, Override, Rule}, domain::View};
/// use highwater_projections::{read::Views as _, policy::{PolicyChange, PolicyRollback}};
///
/// const SHOW: Operation = Operation::standard("account.show");
/// const OFFER: Operation = Operation::critical("transfer.offer");
///
/// # async fn example<Balances: View>(bank: &Highwater) -> Result<()> {
/// let policies = bank.policies();
/// policies.register(&[SHOW, OFFER])?;
/// let _follower = policies.follow().await?; // picks up changes of other processes
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
    highwater: Highwater,
    pub(super) cache: Arc<PolicyCache>,
}

impl Policies {
    pub(crate) fn new(highwater: &Highwater, cache: &Arc<PolicyCache>) -> Self {
        Self { highwater: highwater.clone(), cache: Arc::clone(cache) }
    }

    /// Registers the operations of the program, so that a file that names another is refused. An operation that is
    /// used without that is known from then on.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if a name is malformed, or two operations have the same.
    pub fn register(&self, operations: &[Operation]) -> Result<()> {
        self.cache.register(operations)
    }

    /// Returns the operation of this name, if it is known.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) with code [`NOT_FOUND`](Code::NOT_FOUND) if it isn't.
    pub fn operation(&self, name: &str) -> Result<Operation> {
        let known = self.operations().into_iter().find(|(known, _)| known.name() == name);
        known.map(|(operation, _)| operation).ok_or_else(|| {
            Invalid::new(Code::NOT_FOUND, format!("there is no operation {name:?} here")).into()
        })
    }

    /// Returns the known operations, each with the rule that applies to it in this process now.
    #[must_use]
    pub fn operations(&self) -> Vec<(Operation, Rule)> {
        self.cache.operations()
    }

    /// Returns the policy by which a key of an operation is read in this process now.
    #[must_use]
    pub fn ruled(&self, operation: &Operation, key: &str) -> EffectivePolicy {
        self.cache.effective(operation, key)
    }

    /// Loads policies from a file and remembers it: a [follower](Self::follow) picks up its edits. The load and each
    /// edit are counted and written to the log of the process; the record of changes has no entry for them.
    ///
    /// ```toml
    /// by = "ann"                          # for the log; both are optional
    /// why = "customers miss their deposits"
    ///
    /// [operations."account.show"]
    /// policy = { level = { bounded = "2s" }, budget = "50ms", fallback = "serve_stale" }
    /// rollout = { percent = 10, policy = { level = "strong" } }
    ///
    /// [operations."account.list"]
    /// policy = { tier = "auxiliary" }
    /// ```
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if it can't be read or parsed, names an operation that isn't
    /// [registered](Self::register), or one that doesn't allow its policy. Then nothing has changed.
    #[cfg(feature = "service")]
    pub fn load(&self, file: impl AsRef<std::path::Path>) -> Result<()> {
        self.cache.load_file(&super::file::PolicyFile::read(file.as_ref())?)
    }

    /// Changes policies: at once in this process, within about a second in others that
    /// [follow](Self::follow). The change is recorded in the log, with author, time and reason.
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if it has no author, or an operation doesn't allow its policy;
    /// [`Unavailable`](highwater_core::Error::Unavailable) if it was not recorded. Then nothing has changed.
    pub async fn change(&self, change: impl Into<Request<PolicyChange>>) -> Result<Receipt> {
        let change: Request<PolicyChange> = change.into();
        change.command().check()?;
        self.record(change).await
    }

    /// Rolls back the last change that has not been rolled back yet, as a change of its own.
    ///
    /// # Errors
    /// [`Rejected`](highwater_core::Error::Rejected) if none is left; otherwise as [`Policies::change`].
    pub async fn roll_back(&self, rollback: impl Into<Request<PolicyRollback>>) -> Result<Receipt> {
        let rollback: Request<PolicyRollback> = rollback.into();
        rollback.command().check()?;
        self.record(rollback).await
    }

    /// Records a change and applies it. It is recorded even if it can't be read back; followers pick it up a little
    /// later then.
    async fn record<C: Command>(&self, change: Request<C>) -> Result<Receipt>
    where
        PolicyRecord: Decide<C>,
    {
        self.cache.load_record(&**self.highwater.log()).await?;
        let record = self.highwater.aggregate::<PolicyRecord>(RECORD_KEY);
        let receipt = record.execute(change).await?;
        if let Err(error) = self.refresh().await {
            tracing::warn!(%error, code = %error.code(), "a change of policies is recorded, but not read back");
        }
        Ok(receipt)
    }

    /// Reads the recorded changes, the last one first, at most `limit`.
    ///
    /// # Errors
    /// [`Unavailable`](highwater_core::Error::Unavailable), or [`Corrupt`](highwater_core::Error::Corrupt) if
    /// one can't be decoded.
    pub async fn history(&self, limit: usize) -> Result<Vec<RecordedChange>> {
        last_changes(&**self.highwater.log(), limit).await
    }

    /// Picks up recorded changes of other processes and edits of the [loaded](Self::load) file, now and every second,
    /// until the returned follower is dropped.
    ///
    /// # Errors
    /// [`Unavailable`](highwater_core::Error::Unavailable) if the recorded changes can't be read.
    pub async fn follow(&self) -> Result<PolicyFollower> {
        self.cache.load_record(&**self.highwater.log()).await?;
        Ok(PolicyFollower::start(self.clone()))
    }

    pub(super) async fn refresh(&self) -> Result<()> {
        self.cache.refresh_record(&**self.highwater.log()).await
    }
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policies").field("operations", &self.operations()).finish_non_exhaustive()
    }
}
