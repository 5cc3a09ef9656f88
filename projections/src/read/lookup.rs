//! A read that has not been made yet: its level, its budget, its fallback (R3).

use std::{marker::PhantomData, time::Duration};

use highwater_core::{
    Highwater, Result, Token,
    consistency::{EffectivePolicy, Fallback, Level, Operation, ReadPolicy, Variant},
    domain::View,
};

use super::{ask::Ask, demand::Over, desk::Desk, one::SingleRow};
use crate::policy::PolicyCache;

/// A read that has not been made yet: of one row, of several, or of a range. Awaited as it is it gives what
/// the view has (*eventual*); what it says of itself makes it fresher (R3).
///
/// ```
/// # use std::time::Duration;
/// # use highwater_core::{Highwater, Receipt, Result, read::{Fallback, View}};
/// # use highwater_projections::Views as _;
/// # async fn example<Balances: View>(bank: &Highwater, receipt: &Receipt) -> Result<()> {
/// let balances = bank.view::<Balances>();
/// let now = balances.get("alice").await?;
/// let mine = balances.get("alice").after(receipt).within(Duration::from_millis(50)).await?;
/// let recent = balances.get("alice").bounded(Duration::from_secs(1)).or(Fallback::ServeStale).await?;
/// let all = balances.get("alice").strong().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is read until it is awaited"]
pub struct ReadRequest<V, W = SingleRow> {
    pub(super) highwater: Highwater,
    pub(super) what: W,
    token: Token,
    pub(super) policy: ReadPolicy,
    named: Option<Named>,
    view: PhantomData<fn() -> V>,
}

/// Which operation reads, and by which part of its rule.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named {
    pub(super) operation: Operation,
    pub(super) variant: Variant,
}

/// What is asked for.
pub trait ReadScope {
    /// The key by which a rollout has the read or not; of several the first.
    fn key(&self) -> &str;
}

impl<V: View, W> ReadRequest<V, W> {
    pub(super) fn new(highwater: &Highwater, what: W) -> Self {
        let (highwater, token) = (highwater.clone(), Token::default());
        let policy = ReadPolicy::default();
        Self { highwater, what, token, policy, named: None, view: PhantomData }
    }

    /// The answer has seen what a receipt or a token stands for: *read your writes*. It goes together with
    /// the other levels; said several times, all of them count. The read of a named operation waits for it
    /// if its policy is no *eventual* one.
    pub fn after(mut self, token: impl AsRef<Token>) -> Self {
        self.token = self.token.merge(token.as_ref());
        if self.policy.level == Level::Eventual && self.named.is_none() {
            self.policy.level = Level::ReadYourWrites;
        }
        self
    }

    /// The answer lacks nothing that was recorded longer ago than this.
    pub fn bounded(mut self, staleness: Duration) -> Self {
        self.policy.level = Level::Bounded(staleness);
        self
    }

    /// The answer has all that was acknowledged before the read began. What the row lacks is read from the
    /// log and folded over it, which costs as much as there is to read. Of a range the view must be that
    /// far itself, and is waited for.
    pub fn strong(mut self) -> Self {
        self.policy.level = Level::Strong;
        self
    }

    /// How long the view may take to get as far; 5 seconds unless set.
    pub fn within(mut self, budget: Duration) -> Self {
        self.policy.budget = budget;
        self
    }

    /// What is done when that is over; it fails unless set.
    pub fn or(mut self, fallback: Fallback) -> Self {
        self.policy.fallback = fallback;
        self
    }

    /// All three at once, in place of what was said before. A token that was given stays; a policy that
    /// is *eventual* doesn't wait for it.
    pub fn with(mut self, policy: ReadPolicy) -> Self {
        self.policy = policy;
        self
    }

    pub(super) fn ask(&self, over: Over) -> Result<Ask> {
        let (desk, token) = (Desk::of::<V>(&self.highwater)?, self.token.clone());
        Ok(Ask { desk, over, token, policy: self.policy, named: self.named })
    }
}

impl<V: View, W: ReadScope> ReadRequest<V, W> {
    /// By the policy that holds for a named operation now (M6), in place of what was said before. It
    /// may have been changed since the program was written (O4). A token that was given stays, as with
    /// [`with`](Self::with). Of several rows, and of a range, a rollout goes by the first key.
    pub fn by(mut self, operation: &Operation) -> Self {
        let EffectivePolicy { policy, variant, .. } = self.ruled(operation);
        (self.policy, self.named) = (policy, Some(Named { operation: *operation, variant }));
        self
    }

    pub(super) fn ruled(&self, operation: &Operation) -> EffectivePolicy {
        self.highwater.extension::<PolicyCache>().effective(operation, self.what.key())
    }
}
