//! A feed that a test drives, shard by shard.

use std::{marker::PhantomData, time::Duration};

use bytes::Bytes;
use highwater::{
    Highwater, View,
    domain::ViewName,
    port::{Claim, ClaimMode, Progress, ShardClaim, ViewCommit, WorkerId},
    value::{ShardId, Sharding, Timestamp},
};

/// The owner of all shards of a view, which advances each on demand.
pub(crate) struct Relayed<V> {
    bank: Highwater,
    claims: Vec<Claim>,
    view: PhantomData<V>,
}

impl<V: View> Relayed<V> {
    pub(crate) async fn on(bank: &Highwater, sharding: Sharding) -> Self {
        let (views, view) = (bank.views(), ViewName::new(V::NAME).unwrap());
        views.open_view(&V::spec().unwrap(), sharding).await.unwrap();
        let (worker, mut claims) = (WorkerId::new("relayed").unwrap(), Vec::new());
        for shard in sharding.all() {
            let lease = Duration::from_secs(3_600);
            let claim = views.claim_shard(ShardClaim {
                view: view.clone(),
                sharding,
                shard,
                worker: worker.clone(),
                mode: ClaimMode::Always,
                lease,
                definition: None,
            });
            claims.push(claim.await.unwrap().unwrap());
        }
        Self { bank: bank.clone(), claims, view: PhantomData }
    }

    /// Commits a mark in this shard: all events up to the position were published by that time.
    /// Optionally with rows.
    pub(crate) async fn mark(
        &mut self,
        shard: ShardId,
        position: u64,
        as_of: Timestamp,
        rows: &[(&str, V)],
    ) {
        let claim = &mut self.claims[shard.get() as usize];
        let position = highwater::Position::new(position);
        let to = Progress { position, as_of, ..Progress::default() };
        let mut commit = ViewCommit::new(ViewName::new(V::NAME).unwrap(), claim, to.clone());
        for (key, row) in rows {
            let row: Bytes = serde_json::to_vec(row).unwrap().into();
            commit.rows.push(((*key).to_owned(), Some(row)));
        }
        self.bank.views().commit_view(commit).await.unwrap();
        claim.progress = to;
    }
}
