//! From what is asked to an answer: read, judge, wait, fall back (R3).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::{Either, pending, select};
use highwater_core::{
    Code, PartitionId, Position, Result, Token,
    consistency::{Basis, Fallback, Level, ReadPolicy},
    domain::View,
    error::{Corrupt, Invalid, Source, Unavailable},
    value::{Freshness, Pending, Target},
};
use jiff::Timestamp;
use tokio::time::timeout;

use super::{
    demand::{Demand, Over},
    desk::{Desk, Seen},
    fold::Lacking,
    hub::Hubs,
    lookup::Named,
};
use crate::{
    metrics::ReadMeter,
    projection::{decode, is_key_sharding_known},
};

/// How long somebody is waited for who looks for all that want the same.
const LONG_ENOUGH: Duration = Duration::from_secs(10);

/// What is asked of a view.
pub(super) struct Ask {
    pub(super) desk: Desk,
    pub(super) over: Over,
    pub(super) token: Token,
    pub(super) policy: ReadPolicy,
    pub(super) named: Option<Named>,
}

/// What is answered: the rows of the keys, or those of the range.
pub(super) struct Answer<V> {
    pub(super) rows: Vec<(String, Option<V>)>,
    pub(super) parked: Vec<(String, Position)>,
    pub(super) more: bool,
    pub(super) freshness: Freshness,
    pub(super) basis: Basis,
    /// Where the keys were when they were read.
    pub(super) seen: Seen,
}

impl Ask {
    pub(super) async fn answer<V: View>(&self) -> Result<Answer<V>> {
        let Some(Named { operation, variant }) = self.named else { return self.find().await };
        let began = Instant::now();
        let answer = self.find().await;
        let of = [operation.name(), variant.name(), self.policy.level.name()];
        let meter = self.desk.highwater.extension::<ReadMeter>();
        meter.answered(of, outcome(&answer), began.elapsed());
        answer
    }

    async fn find<V: View>(&self) -> Result<Answer<V>> {
        self.must_be_of_this_log()?;
        let began = self.desk.now();
        let seen = match self.first_look().await {
            Err(error) if self.may_be_stale(&error) => return self.stale().await,
            seen => seen?,
        };
        self.must_not_be_of_the_future(seen.head)?;
        let demand = self.demand(&seen);
        let freshness = self.desk.freshness(&seen, &self.over);
        if self.is_foldable(&seen) && self.policy.level == Level::Strong {
            return self.strong(seen, freshness, began).await;
        }
        if demand.is_met_by(&freshness) {
            return self.reached(seen, demand);
        }
        let waited = self.wait(demand, began).await;
        self.measure(&waited, began);
        match waited? {
            Some(seen) => self.reached(seen, demand),
            None => self.fall_back(demand, freshness, began).await,
        }
    }

    fn measure(&self, waited: &Result<Option<Seen>>, began: Timestamp) {
        let outcome = match waited {
            Ok(Some(_)) => "reached",
            Ok(None) => "late",
            Err(_) => "failed",
        };
        let took = self.desk.now().duration_since(began).try_into().unwrap_or_default();
        let hubs = self.desk.highwater.extension::<Hubs>();
        hubs.waits.waited(self.policy.level.name(), outcome, took);
    }

    /// The head is asked for beside the view, if that is elsewhere; the log may be away.
    async fn first_look(&self) -> Result<Seen> {
        if self.policy.level != Level::Strong || self.desk.highwater.has_views_with_the_log() {
            return self.desk.look(&self.over).await;
        }
        let look = std::pin::pin!(self.desk.look_with_head(&self.over));
        match select(look, self.desk.highwater.clock().sleep(self.policy.budget)).await {
            Either::Left((seen, _)) => seen,
            Either::Right(_) => {
                let why = Source::new("there was no answer within the budget of the read");
                Err(Unavailable::unreachable("asking for the head of the log", why).into())
            }
        }
    }

    /// Whether the view is to be served all the same when the log can't be asked.
    fn may_be_stale(&self, error: &highwater_core::Error) -> bool {
        let is_asked = self.policy.level == Level::Strong;
        is_asked && self.policy.fallback == Fallback::ServeStale && error.is_unavailable()
    }

    async fn stale<V: View>(&self) -> Result<Answer<V>> {
        self.decoded(self.served().await?, Basis::Stale)
    }

    /// What there is, together with all who want that now: many may have waited long enough at the same time. If
    /// whoever looks for all is in trouble this one looks for itself.
    async fn served(&self) -> Result<Seen> {
        match timeout(LONG_ENOUGH, self.shared_look(Demand::default())).await {
            Ok(seen) => seen,
            Err(_) => self.desk.look(&self.over).await,
        }
    }

    /// How far the view must be. A range can't be folded, so there *strong* is to wait for the head.
    fn demand(&self, seen: &Seen) -> Demand {
        let position = self.token.position(PartitionId::LOG);
        match self.policy.level {
            Level::Eventual => Demand::default(),
            Level::Bounded(bound) => Demand { position, bound: Some(bound) },
            Level::Strong => {
                let position = position.max(seen.head.unwrap_or_default());
                Demand { position, bound: None }
            }
            _ => Demand { position, bound: None },
        }
    }

    /// Whether what the keys lack can be folded over their rows: only if it is known up to where each has
    /// its events.
    fn is_foldable(&self, seen: &Seen) -> bool {
        matches!(self.over, Over::Keys(_))
            && is_key_sharding_known(seen.state.sharding, self.desk.keyed)
    }

    /// It names this log, or none, and no partition that this log doesn't have: nothing here could ever be
    /// as far as it says, so that it is neither met nor waited for.
    fn must_be_of_this_log(&self) -> Result<()> {
        let (token, log) = (&self.token, self.desk.highwater.log().log_id());
        let message = match token.log() {
            Some(other) if other != log => {
                format!(
                    "token {token} is of log {other}, and this is log {log}: read it where it comes from"
                )
            }
            _ if !token.is_of_one_order() => {
                format!(
                    "token {token} names partitions, and log {log} has none but its own order: read it where \
                     it comes from"
                )
            }
            _ => return Ok(()),
        };
        Err(Invalid::new(Code::FOREIGN_TOKEN, message).into())
    }

    /// A token is given when its events are stored: one beyond the head is not of this log, or the log has
    /// lost its end.
    fn must_not_be_of_the_future(&self, head: Option<Position>) -> Result<()> {
        let wanted = self.token.position(PartitionId::LOG);
        match head {
            Some(head) if wanted > head => {
                let message = format!(
                    "token {} is of position {wanted}, and the log ends at {head}: it is of another \
                     log, or of this one before it was restored",
                    self.token
                );
                Err(Invalid::new(Code::FOREIGN_TOKEN, message).into())
            }
            _ => Ok(()),
        }
    }

    fn remaining(&self, began: Timestamp) -> Duration {
        let passed: Duration = self.desk.now().duration_since(began).try_into().unwrap_or_default();
        self.policy.budget.saturating_sub(passed)
    }

    /// Waits until the view is as far as demanded; `None` if it isn't within the budget.
    async fn wait(&self, demand: Demand, began: Timestamp) -> Result<Option<Seen>> {
        let reached = std::pin::pin!(self.shared_look(demand));
        let future = std::pin::pin!(self.watch_for_the_future());
        let watched = select(reached, future);
        let budget = self.desk.highwater.clock().sleep(self.remaining(began));
        match select(watched, budget).await {
            Either::Left((Either::Left((seen, _)), _)) => seen.map(Some),
            Either::Left((Either::Right((error, _)), _)) => Err(error),
            Either::Right(_) => Ok(None),
        }
    }

    /// A look together with all who wait for the view, when it is as far as demanded.
    async fn shared_look(&self, demand: Demand) -> Result<Seen> {
        let hub = self.desk.highwater.extension::<Hubs>().of(&self.desk.view);
        loop {
            let place = hub.join(&self.desk, &self.over, demand);
            // Nobody answers if the runtime of whoever does has ended.
            let Some(seen) = place.answer().await else { continue };
            let seen = seen?;
            if demand.is_met_by(&self.desk.freshness(&seen, &self.over)) {
                return Ok(seen);
            }
        }
    }

    /// With views elsewhere, the head is asked for beside the waiting: only to find a token that is beyond
    /// it. A log that is away keeps nobody from waiting.
    async fn watch_for_the_future(&self) -> highwater_core::Error {
        if !self.desk.highwater.has_views_with_the_log()
            && let Ok(head) = self.desk.highwater.log().head().await
            && let Err(error) = self.must_not_be_of_the_future(Some(head))
        {
            return error;
        }
        pending().await
    }

    async fn fall_back<V: View>(
        &self,
        demand: Demand,
        before: Freshness,
        began: Timestamp,
    ) -> Result<Answer<V>> {
        match self.policy.fallback {
            Fallback::ServeStale => {
                let seen = self.served().await?;
                match demand.is_met_by(&self.desk.freshness(&seen, &self.over)) {
                    true => self.reached(seen, demand),
                    false => self.decoded(seen, Basis::Stale),
                }
            }
            Fallback::Fold => {
                let seen = self.desk.look_with_head(&self.over).await?;
                if !self.is_foldable(&seen) {
                    return Err(self.behind(before, before));
                }
                self.folded(seen).await
            }
            Fallback::Fail => {
                let hub = self.desk.highwater.extension::<Hubs>().of(&self.desk.view);
                let last = hub.last().filter(|last| last.read_at >= began);
                // It has no rows, of which one that was parked still is.
                let parked = before.parked_since;
                let last =
                    last.map(|seen| self.desk.freshness(&seen, &self.over).with_parked(parked));
                Err(self.behind(before, last.unwrap_or(before)))
            }
        }
    }

    fn behind(&self, before: Freshness, reached: Freshness) -> highwater_core::Error {
        let wanted = match self.policy.level {
            Level::Bounded(bound) => Target::Bounded(bound),
            Level::Strong => Target::Head,
            _ => Target::Token(self.token.clone()),
        };
        let pending = Pending::new(self.desk.view.as_str(), wanted, reached);
        Unavailable::StaleRead(pending.since(&before, self.desk.now())).into()
    }

    /// An answer of the view, which is as far as demanded; unless a parked key holds back what is.
    fn reached<V: View>(&self, seen: Seen, demand: Demand) -> Result<Answer<V>> {
        let freshness = self.desk.freshness(&seen, &self.over);
        if !demand.is_held_back(&freshness) {
            // A policy may say not to wait for the token.
            let has_seen = freshness.position >= self.token.position(PartitionId::LOG);
            return self.decoded(seen, if has_seen { Basis::View } else { Basis::Stale });
        }
        match (self.policy.level, self.policy.fallback) {
            // It says so, and waiting would not help.
            (Level::ReadYourWrites, _) | (_, Fallback::ServeStale) => {
                self.decoded(seen, Basis::Stale)
            }
            _ => Err(self.parked(&seen)),
        }
    }

    fn parked(&self, seen: &Seen) -> highwater_core::Error {
        let parked = seen.rows.iter().find_map(|(key, row)| Some((key, row.parked_since?)));
        let (key, since) = parked.map(|(key, since)| (key.clone(), since)).unwrap_or_default();
        Corrupt::Parked { view: self.desk.view.to_string(), key, since }.into()
    }

    /// All that there is at the head: the view's row if it lacks nothing, else with what it lacks.
    async fn strong<V: View>(
        &self,
        seen: Seen,
        freshness: Freshness,
        began: Timestamp,
    ) -> Result<Answer<V>> {
        if freshness.is_current() {
            return self.decoded(seen, Basis::View);
        }
        if freshness.parked_since.is_some() {
            return match self.policy.fallback {
                Fallback::ServeStale => self.decoded(seen, Basis::Stale),
                Fallback::Fail | Fallback::Fold => Err(self.parked(&seen)),
            };
        }
        let folded = std::pin::pin!(self.folded(seen.clone()));
        let budget = self.desk.highwater.clock().sleep(self.remaining(began));
        match (select(folded, budget).await, self.policy.fallback) {
            (Either::Left((Err(error), _)), _) if self.may_be_stale(&error) => {
                self.decoded(seen, Basis::Stale)
            }
            (Either::Left((answer, _)), _) => answer,
            (Either::Right(_), Fallback::ServeStale) => self.stale().await,
            (Either::Right(_), _) => Err(self.behind(freshness, freshness)),
        }
    }

    async fn folded<V: View>(&self, seen: Seen) -> Result<Answer<V>> {
        if seen.rows.iter().any(|(_, row)| row.parked_since.is_some()) {
            return Err(self.parked(&seen));
        }
        let head = seen.head.unwrap_or_default();
        let mut answer = self.decoded::<V>(seen, Basis::Folded)?;
        let mut lacking = Lacking::new(&self.desk);
        let rows = std::mem::take(&mut answer.rows);
        let keys: Vec<String> = rows.iter().map(|(key, _)| key.clone()).collect();
        for (key, (_, row)) in keys.iter().zip(rows) {
            lacking.add(key, row, self.position_of(&answer.seen, key));
        }
        lacking.up_to(head).await?;
        answer.rows = keys.iter().map(|key| (key.clone(), lacking.take(key).0)).collect();
        let Freshness { read_at, position, .. } = answer.freshness;
        let (position, log) = (position.max(head), self.desk.highwater.log().log_id());
        answer.freshness = Freshness::new(position, read_at, read_at, Some(position)).with_log(log);
        Ok(answer)
    }

    /// Up to where the row of a key has its events.
    pub(super) fn position_of(&self, seen: &Seen, key: &str) -> Position {
        crate::projection::progress_of(&seen.state, self.desk.keyed, key).position
    }

    fn decoded<V: View>(&self, mut seen: Seen, basis: Basis) -> Result<Answer<V>> {
        let freshness = self.desk.freshness(&seen, &self.over);
        let (mut rows, mut parked) = (Vec::with_capacity(seen.rows.len()), Vec::new());
        for (key, row) in Arc::unwrap_or_clone(std::mem::take(&mut seen.rows)) {
            if let Some(since) = row.parked_since {
                parked.push((key.clone(), since));
            }
            let value = row.value.map(|row| decode(&self.desk.view, &key, &row)).transpose()?;
            rows.push((key, value));
        }
        Ok(Answer { rows, parked, more: seen.more, freshness, basis, seen })
    }
}

/// What an answer stands on, or why there is none, as the label of the metric says it.
fn outcome<V>(answer: &Result<Answer<V>>) -> &'static str {
    match answer {
        Ok(answer) => answer.basis.name(),
        Err(error) => match error.code() {
            Code::STALE_READ => "pending",
            Code::PARKED => "parked",
            _ => "failed",
        },
    }
}
