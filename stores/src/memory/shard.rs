//! Leases and epochs of shards, and the workers that are alive (R1).

use std::time::Duration;

use highwater_core::{
    Result,
    domain::ViewName,
    port::{Claim, ClaimMode, Members, Progress, ShardClaim, ShardStop, ViewCommit, WorkerId},
    value::{Epoch, ShardId, Sharding},
};
use jiff::Timestamp;

use super::view::MemoryView;
use crate::fencing::{
    LeaseTerm, ShardState, check_definition, check_reshard, check_sharding, no_such_shard,
};

pub(super) struct MemoryShard {
    pub(super) progress: Progress,
    epoch: Epoch,
    lease: Option<MemoryLease>,
    /// Set from its stop until the next commit.
    pub(super) stop: Option<ShardStop>,
}

struct MemoryLease {
    owner: WorkerId,
    term: LeaseTerm,
}

impl MemoryShard {
    pub(super) fn initial(at: ShardState) -> Self {
        let ShardState { epoch, position, as_of } = at;
        let progress = Progress { position, as_of, ..Progress::default() };
        Self { progress, epoch, lease: None, stop: None }
    }

    pub(super) fn without_cursor(&self) -> Progress {
        let Progress { position, as_of, .. } = self.progress;
        Progress { position, as_of, ..Progress::default() }
    }

    pub(super) fn may_commit(&self, commit: &ViewCommit) -> bool {
        self.epoch == commit.epoch && self.progress.position == commit.from
    }

    fn is_held_by(&self, worker: &WorkerId) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.owner == *worker)
    }

    fn holder(&self, now: Timestamp) -> Option<&WorkerId> {
        self.lease.as_ref().filter(|lease| lease.term.includes(now)).map(|lease| &lease.owner)
    }

    /// Takes the shard from its holder, which can't commit afterwards.
    pub(super) fn fence(&mut self) {
        self.give_to(None);
    }

    /// Changes the holder, which fences the earlier one.
    fn give_to(&mut self, lease: Option<MemoryLease>) {
        self.epoch = Epoch::new(self.epoch.get() + 1);
        self.lease = lease;
    }
}

impl MemoryView {
    pub(super) fn held(&self) -> Vec<ShardState> {
        let held = |MemoryShard { epoch, progress, .. }: &MemoryShard| ShardState {
            epoch: *epoch,
            position: progress.position,
            as_of: progress.as_of,
        };
        self.shards.iter().map(held).collect()
    }

    /// Returns true if a worker is alive.
    pub(super) fn has_workers(&self, now: Timestamp) -> bool {
        self.workers.values().any(|term| term.includes(now))
    }

    pub(super) fn claim(&mut self, claim: ShardClaim, now: Timestamp) -> Result<Option<Claim>> {
        let ShardClaim { view, sharding, shard: number, worker, mode, lease, definition } = claim;
        check_definition(&view, definition, self.definition_hash())?;
        check_sharding(&view, sharding, self.sharding, number)?;
        let shard = self.shards.get_mut(number.get() as usize);
        let shard = shard.ok_or_else(|| no_such_shard(&view, number))?;
        let is_taken = shard.holder(now).is_some_and(|holder| *holder != worker);
        if mode == ClaimMode::IfFree && is_taken {
            return Ok(None);
        }
        shard.give_to(Some(MemoryLease { owner: worker, term: LeaseTerm::new(lease, now) }));
        let progress = shard.progress.clone();
        Ok(Some(Claim { shard: number, epoch: shard.epoch, progress }))
    }

    pub(super) fn heartbeat(
        &mut self,
        worker: &WorkerId,
        now: Timestamp,
        lease: Duration,
    ) -> Members {
        let term = LeaseTerm::new(lease, now);
        self.workers.insert(worker.clone(), term);
        self.workers.retain(|other, term| other == worker || term.includes(now));
        for lease in self.shards.iter_mut().filter_map(|shard| shard.lease.as_mut()) {
            if lease.owner == *worker {
                lease.term = term;
            }
        }
        let holder = |shard: &MemoryShard| match shard.is_held_by(worker) {
            true => Some(worker.clone()),
            false => shard.holder(now).cloned(),
        };
        let holders = self.shards.iter().map(holder).collect();
        Members { workers: self.workers.keys().cloned().collect(), holders }
    }

    pub(super) fn release(&mut self, number: ShardId, epoch: Epoch) {
        let shard = self.shards.get_mut(number.get() as usize);
        if let Some(shard) = shard.filter(|shard| shard.epoch == epoch) {
            shard.give_to(None);
        }
    }

    pub(super) fn stop(&mut self, epoch: Epoch, stop: ShardStop) {
        let shard = self.shards.get_mut(stop.shard.get() as usize);
        if let Some(shard) = shard.filter(|shard| shard.epoch == epoch) {
            shard.stop = Some(stop);
            self.changed.send_replace(());
        }
    }

    pub(super) fn leave(&mut self, worker: &WorkerId) {
        self.workers.remove(worker);
        self.shards
            .iter_mut()
            .filter(|shard| shard.is_held_by(worker))
            .for_each(|shard| shard.give_to(None));
    }

    pub(super) fn reshard(
        &mut self,
        name: &ViewName,
        claims: &[Claim],
        sharding: Sharding,
    ) -> Result<()> {
        let at = check_reshard(name, claims, &self.held())?;
        self.shards = sharding.all().map(|_| MemoryShard::initial(at)).collect();
        self.sharding = sharding;
        self.changed.send_replace(());
        Ok(())
    }
}
