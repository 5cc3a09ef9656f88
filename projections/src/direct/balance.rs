//! Who should hold how many shards.

use highwater_core::{
    port::{Assignment, ClaimMode, Members, WorkerId},
    value::ShardId,
};
use std::collections::BTreeSet;

/// What a worker should do, given who is alive and who holds what. Everybody who sees the same roll
/// wants the same numbers: shares differ by one at the most, the first in order have one more.
pub(super) fn changes(roll: &Members, me: &WorkerId, held: &BTreeSet<ShardId>) -> Vec<Assignment> {
    let lost: BTreeSet<ShardId> =
        held.iter().copied().filter(|shard| holder(roll, *shard) != Some(me)).collect();
    let kept: Vec<ShardId> = held.difference(&lost).copied().collect();
    let share = share(roll, me);
    let surplus = kept.iter().skip(share).copied();
    let given_up = lost.iter().copied().chain(surplus).map(Assignment::Revoked);
    // What is held without being known of (a claim whose answer was lost) is taken even if it is too
    // much: nobody else can have it before it is given up. What is lost is claimed anew later.
    let (strays, free): (Vec<ShardId>, Vec<ShardId>) = free(roll, me)
        .filter(|shard| !held.contains(shard))
        .partition(|shard| holder(roll, *shard) == Some(me));
    let room = share.saturating_sub(kept.len() + strays.len());
    let taken = strays.into_iter().chain(free.into_iter().take(room));
    given_up.chain(taken.map(|shard| Assignment::Assigned(shard, ClaimMode::IfFree))).collect()
}

fn holder(roll: &Members, shard: ShardId) -> Option<&WorkerId> {
    roll.holders.get(shard.get() as usize).and_then(Option::as_ref)
}

fn share(roll: &Members, me: &WorkerId) -> usize {
    let (shards, workers) = (roll.holders.len(), roll.workers.len().max(1));
    let place = roll.workers.iter().position(|worker| worker == me).unwrap_or(workers);
    shards / workers + usize::from(place < shards % workers)
}

/// What nobody else holds, beginning at another place for each worker, so that they seldom want the
/// same.
fn free<'a>(roll: &'a Members, me: &'a WorkerId) -> impl Iterator<Item = ShardId> + 'a {
    let (shards, workers) = (roll.holders.len(), roll.workers.len().max(1));
    let place = roll.workers.iter().position(|worker| worker == me).unwrap_or(0);
    let first = place * shards / workers;
    (0..shards)
        .map(move |number| ShardId::new(((first + number) % shards) as u32))
        .filter(move |shard| holder(roll, *shard).is_none_or(|holder| holder == me))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(number: usize) -> WorkerId {
        WorkerId::new(format!("w{number}")).unwrap()
    }

    /// Lets everybody act on one roll after the other until nobody wants a change.
    fn settle(workers: &[WorkerId], holders: &mut Vec<Option<WorkerId>>) {
        for _ in 0..100 {
            let mut quiet = true;
            for me in workers {
                let roll = Members { workers: workers.to_vec(), holders: holders.clone() };
                let held = (0..holders.len() as u32)
                    .map(ShardId::new)
                    .filter(|shard| holder(&roll, *shard) == Some(me))
                    .collect();
                for change in changes(&roll, me, &held) {
                    quiet = false;
                    match change {
                        Assignment::Assigned(shard, _) => {
                            let place = &mut holders[shard.get() as usize];
                            if place.is_none() {
                                *place = Some(me.clone());
                            }
                        }
                        Assignment::Revoked(shard) => holders[shard.get() as usize] = None,
                    }
                }
            }
            if quiet {
                return;
            }
        }
        panic!("it does not settle: {holders:?}");
    }

    fn held_by(worker: &WorkerId, holders: &[Option<WorkerId>]) -> usize {
        holders.iter().filter(|holder| holder.as_ref() == Some(worker)).count()
    }

    #[test]
    fn workers_that_come_and_go_share_evenly_and_leave_no_shard_alone() {
        let mut holders = vec![None; 12];
        for count in [1, 3, 5, 2, 12, 14, 1] {
            let workers: Vec<_> = (0..count).map(worker).collect();
            for holder in &mut holders {
                if holder.as_ref().is_some_and(|holder| !workers.contains(holder)) {
                    *holder = None;
                }
            }
            settle(&workers, &mut holders);
            assert!(holders.iter().all(Option::is_some), "{count}: {holders:?}");
            let counts = workers.iter().map(|worker| held_by(worker, &holders));
            let (least, most) = (counts.clone().min().unwrap(), counts.max().unwrap());
            assert!(most - least <= 1, "{count} workers hold from {least} to {most}");
        }
    }

    #[test]
    fn what_is_held_without_being_known_of_is_taken_even_beyond_the_share() {
        let me = worker(0);
        let holders = vec![Some(me.clone()), Some(me.clone()), None];
        let roll = Members { workers: vec![me.clone(), worker(1), worker(2)], holders };
        let stray = Assignment::Assigned(ShardId::new(1), ClaimMode::IfFree);
        assert_eq!(changes(&roll, &me, &[ShardId::FIRST].into()), [stray]);
    }

    #[test]
    fn what_has_been_lost_is_given_up() {
        let (me, other) = (worker(0), worker(1));
        let roll = Members { workers: vec![me.clone(), other.clone()], holders: vec![Some(other)] };
        let held = [ShardId::FIRST].into();
        assert_eq!(changes(&roll, &me, &held), [Assignment::Revoked(ShardId::FIRST)]);
    }
}
