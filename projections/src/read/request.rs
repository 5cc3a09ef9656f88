//! A read before it is awaited: its level, its budget, its fallback (R3).

use std::{fmt, marker::PhantomData, time::Duration};

use highwater_core::{
    Highwater, Receipt, Result, Token,
    consistency::{EffectivePolicy, Fallback, Level, Operation, ReadPolicy, Variant},
    domain::View,
};

use super::{plan::ReadPlan, scope::RowScope, shared::ReadSide};

/// A read of a view `V` before it is awaited. It answers with an `A`: one row, a [`RowSet`](crate::read::RowSet) or a
/// [`RowPage`](crate::read::RowPage). Awaited as it is, it returns the rows that the view has now (*eventual*); its
/// methods ask for fresher ones (R3).
///
/// ```
/// # use std::time::Duration;
/// # use highwater_core::{Highwater, Receipt, Result, consistency::Fallback, domain::View};
/// # use highwater_projections::read::Views as _;
/// # async fn example<Balances: View>(bank: &Highwater, receipt: &Receipt) -> Result<()> {
/// let balances = bank.view::<Balances>();
/// let now = balances.get("alice").await?;
/// let mine = balances.get("alice").after(receipt).within(Duration::from_millis(50)).await?;
/// let recent = balances.get("alice").bounded(Duration::from_secs(1)).or(Fallback::ServeStale).await?;
/// let all = balances.get("alice").strong().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing is read until it is awaited"]
pub struct ReadRequest<V, A = V> {
    highwater: Highwater,
    pub(super) scope: RowScope,
    /// The receipts whose events are folded over the row.
    pub(super) own: Vec<Receipt>,
    token: Token,
    pub(super) policy: ReadPolicy,
    /// The named operation that reads, and the variant of its rule that applies.
    operation: Option<(Operation, Variant)>,
    answer: PhantomData<fn() -> (V, A)>,
}

impl<V: View, A> ReadRequest<V, A> {
    pub(super) fn new(highwater: &Highwater, scope: RowScope) -> Self {
        Self {
            highwater: highwater.clone(),
            scope,
            own: Vec::new(),
            token: Token::default(),
            policy: ReadPolicy::default(),
            operation: None,
            answer: PhantomData,
        }
    }

    /// Asks for an answer that has seen the events of a receipt or a token: *read your writes*. It combines with
    /// the other levels; of several tokens, all count. The read of a named operation waits for it unless the
    /// policy is *eventual*.
    pub fn after(mut self, token: impl AsRef<Token>) -> Self {
        self.token = self.token.merge(token.as_ref());
        if self.policy.level == Level::Eventual && self.operation.is_none() {
            self.policy.level = Level::ReadYourWrites;
        }
        self
    }

    /// Asks for an answer that lacks nothing that was recorded longer ago than this.
    pub fn bounded(mut self, staleness: Duration) -> Self {
        self.policy.level = Level::Bounded(staleness);
        self
    }

    /// Asks for an answer with every event that was acknowledged before the read began. Events that the row
    /// lacks are read from the log and folded over it; the cost grows with the number of events to read. A range
    /// can't be folded: the read waits until the view is at the head.
    pub fn strong(mut self) -> Self {
        self.policy.level = Level::Strong;
        self
    }

    /// Sets how long to wait for the view; 5 seconds unless set.
    pub fn within(mut self, budget: Duration) -> Self {
        self.policy.budget = budget;
        self
    }

    /// Sets the fallback for a view that is not far enough in time; unless set, the read fails.
    pub fn or(mut self, fallback: Fallback) -> Self {
        self.policy.fallback = fallback;
        self
    }

    /// Sets level, budget and fallback at once, in place of earlier ones. A token that was given stays; a policy
    /// that is *eventual* doesn't wait for it.
    pub fn with(mut self, policy: ReadPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Uses the current policy of a named operation (M6), in place of earlier settings. It may have changed since
    /// the program was written (O4). A token that was given stays, as with [`with`](Self::with). The first key of
    /// several, or of a range, decides if a rollout applies.
    pub fn by(mut self, operation: &Operation) -> Self {
        let EffectivePolicy { policy, variant, .. } = self.effective_policy(operation);
        self.policy = policy;
        self.operation = Some((*operation, variant));
        self
    }

    pub(super) fn effective_policy(&self, operation: &Operation) -> EffectivePolicy {
        ReadSide::of(&self.highwater).policies.effective(operation, self.scope.first_key())
    }

    /// The plan that executes this read, beginning now.
    pub(super) fn plan(&self) -> Result<ReadPlan> {
        let source = ReadSide::of(&self.highwater).source::<V>(&self.highwater)?;
        Ok(ReadPlan {
            started_at: source.now(),
            source,
            scope: self.scope.clone(),
            token: self.token.clone(),
            policy: self.policy,
            operation: self.operation,
        })
    }
}

impl<V: View, A> fmt::Debug for ReadRequest<V, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadRequest")
            .field("view", &V::NAME)
            .field("scope", &self.scope)
            .field("token", &self.token)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
