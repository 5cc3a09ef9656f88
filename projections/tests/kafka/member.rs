//! A worker that acts like the runtime, under the control of the test.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::StreamExt as _;
use highwater_core::{
    Envelope, Position, Result,
    port::{
        Assignment, Claim, ClaimMode, Feed, FeedPage, LeaseStore as _, Membership, Progress,
        ShardClaim, Subscription, ViewCommit, ViewStore as _,
    },
    value::ShardId,
};
use highwater_stores::MemoryStore;

use super::fixture::{STEP_TIMEOUT, in_time};

/// A worker that claims, opens, delivers and commits like the runtime.
pub(crate) struct Member {
    pub(crate) membership: Box<dyn Membership>,
    store: Arc<MemoryStore>,
    subscription: Subscription,
    pub(crate) shards: BTreeMap<ShardId, Shard>,
}

/// A shard that a member works on.
pub(crate) struct Shard {
    pub(crate) feed: Box<dyn Feed>,
    pub(crate) claim: Claim,
}

impl Member {
    pub(crate) fn new(
        membership: Box<dyn Membership>,
        store: Arc<MemoryStore>,
        subscription: Subscription,
    ) -> Self {
        Self { membership, store, subscription, shards: BTreeMap::new() }
    }

    /// Applies the next assignment.
    pub(crate) async fn change(&mut self) -> Assignment {
        let change = in_time(self.membership.next_assignment()).await.unwrap();
        match change {
            Assignment::Assigned(shard, claiming) => self.take(shard, claiming).await,
            Assignment::Revoked(shard) => {
                self.shards.remove(&shard);
                self.membership.released(shard).await.unwrap();
            }
        }
        change
    }

    async fn take(&mut self, shard: ShardId, claiming: ClaimMode) {
        let (view, worker) = (&self.subscription.view, &self.subscription.worker);
        let claimed = self
            .store
            .claim_shard(ShardClaim {
                view: view.clone(),
                sharding: self.subscription.sharding,
                shard,
                worker: worker.clone(),
                mode: claiming,
                lease: STEP_TIMEOUT,
                definition: None,
            })
            .await
            .unwrap();
        let Some(claim) = claimed else { return self.membership.released(shard).await.unwrap() };
        let feed = in_time(self.membership.open(shard, &claim.progress)).await.unwrap();
        self.shards.insert(shard, Shard { feed, claim });
    }

    /// Applies assignments until the member works on this number of shards.
    pub(crate) async fn until(&mut self, shards: usize) {
        while self.shards.len() != shards {
            self.change().await;
        }
    }

    /// Delivers the events of a shard at least up to a position, and commits them.
    pub(crate) async fn deliver(&mut self, shard: ShardId, to: Position) -> Vec<Envelope> {
        let mut events = Vec::new();
        while self.shards[&shard].claim.progress.position < to {
            match self.page(shard, 7).await {
                Ok(page) => events.extend(page),
                // A broker may be unavailable for a while.
                Err(error) => assert!(error.is_unavailable(), "{error}"),
            }
        }
        events
    }

    /// Delivers and commits one page of a shard.
    pub(crate) async fn page(&mut self, shard: ShardId, limit: usize) -> Result<Vec<Envelope>> {
        let page = in_time(self.shards.get_mut(&shard).unwrap().feed.next(limit)).await?;
        assert!(page.events.len() <= limit);
        self.commit(shard, page).await
    }

    /// Applies the next assignment, or delivers the next page of some shard. Safe to cancel.
    pub(crate) async fn step(&mut self) -> (ShardId, Vec<Envelope>) {
        loop {
            let pages = self
                .shards
                .iter_mut()
                .map(|(number, shard)| Box::pin(async { (*number, shard.feed.next(100).await) }));
            let mut pages: futures_util::stream::FuturesUnordered<_> = pages.collect();
            let next = tokio::select! {
                change = self.membership.next_assignment() => Err(change.unwrap()),
                Some(page) = pages.next() => Ok(page),
            };
            drop(pages);
            match next {
                Err(Assignment::Assigned(shard, claiming)) => self.take(shard, claiming).await,
                Err(Assignment::Revoked(shard)) => {
                    self.shards.remove(&shard);
                    self.membership.released(shard).await.unwrap();
                }
                // A broker may be unavailable for a while.
                Ok((_, Err(error))) => assert!(error.is_unavailable(), "{error}"),
                Ok((shard, Ok(page))) => match self.commit(shard, page).await {
                    Ok(events) => return (shard, events),
                    Err(error) => {
                        assert!(error.is_conflict(), "{error}");
                        self.shards.remove(&shard);
                        self.membership.released(shard).await.unwrap();
                    }
                },
            }
        }
    }

    async fn commit(&mut self, shard: ShardId, page: FeedPage) -> Result<Vec<Envelope>> {
        let view = self.subscription.view.clone();
        let shard = self.shards.get_mut(&shard).unwrap();
        let to = Progress {
            position: page.through,
            as_of: page.as_of.unwrap_or(shard.claim.progress.as_of),
            cursor: page.cursor,
        };
        self.store.commit_view(ViewCommit::new(view, &shard.claim, to.clone())).await?;
        shard.claim.progress = to;
        shard.feed.committed(&shard.claim.progress);
        Ok(page.events)
    }
}

/// Lets several members apply assignments until they have these numbers of shards.
pub(crate) async fn settle(members: &mut [Member], shares: &[usize]) {
    let settled = async {
        loop {
            let has: Vec<_> = members.iter().map(|member| member.shards.len()).collect();
            if has == shares {
                return;
            }
            let changes = members.iter_mut().map(|member| Box::pin(member.change()));
            let _: Assignment = futures_util::future::select_all(changes).await.0;
        }
    };
    in_time(settled).await;
}
