//! The assignments that balance the shards of a view among its workers.

use std::collections::BTreeSet;

use highwater_core::{
    port::{Assignment, ClaimMode, Members, WorkerId},
    value::ShardId,
};

/// Returns the assignments of worker `me`, given the members and the holders. All workers that see the same
/// members compute the same shares: they differ by one at the most, the first workers have one more.
pub(super) fn assignments(
    members: &Members,
    me: &WorkerId,
    held: &BTreeSet<ShardId>,
) -> Vec<Assignment> {
    let lost: BTreeSet<ShardId> =
        held.iter().copied().filter(|shard| holder(members, *shard) != Some(me)).collect();
    let kept: Vec<ShardId> = held.difference(&lost).copied().collect();
    let share = share(members, me);
    let surplus = kept.iter().skip(share).copied();
    let revoked = lost.iter().copied().chain(surplus).map(Assignment::Revoked);
    // A shard that `me` holds without knowing (the answer to its claim was lost) is taken even beyond the
    // share: no other worker can claim it before it is released. Lost shards are claimed again later.
    let (strays, free): (Vec<ShardId>, Vec<ShardId>) = free(members, me)
        .filter(|shard| !held.contains(shard))
        .partition(|shard| holder(members, *shard) == Some(me));
    let room = share.saturating_sub(kept.len() + strays.len());
    let taken = strays.into_iter().chain(free.into_iter().take(room));
    revoked.chain(taken.map(|shard| Assignment::Assigned(shard, ClaimMode::IfFree))).collect()
}

fn holder(members: &Members, shard: ShardId) -> Option<&WorkerId> {
    members.holders.get(shard.get() as usize).and_then(Option::as_ref)
}

fn share(members: &Members, me: &WorkerId) -> usize {
    let shards = members.holders.len();
    let workers = members.workers.len().max(1);
    let index = members.workers.iter().position(|worker| worker == me).unwrap_or(workers);
    shards / workers + usize::from(index < shards % workers)
}

/// Returns the shards that no other worker holds, starting at another one for each worker, so that they
/// seldom claim the same.
fn free<'a>(members: &'a Members, me: &'a WorkerId) -> impl Iterator<Item = ShardId> + 'a {
    let shards = members.holders.len();
    let workers = members.workers.len().max(1);
    let index = members.workers.iter().position(|worker| worker == me).unwrap_or(0);
    let first = index * shards / workers;
    (0..shards)
        .map(move |number| ShardId::new(((first + number) % shards) as u32))
        .filter(move |shard| holder(members, *shard).is_none_or(|holder| holder == me))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(number: usize) -> WorkerId {
        WorkerId::new(format!("w{number}")).unwrap()
    }

    /// Applies the assignments of one worker after the other until none has any.
    fn balance(workers: &[WorkerId], holders: &mut Vec<Option<WorkerId>>) {
        for _ in 0..100 {
            let mut is_balanced = true;
            for me in workers {
                let members = Members { workers: workers.to_vec(), holders: holders.clone() };
                let held = (0..holders.len() as u32)
                    .map(ShardId::new)
                    .filter(|shard| holder(&members, *shard) == Some(me))
                    .collect();
                for assignment in assignments(&members, me, &held) {
                    is_balanced = false;
                    match assignment {
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
            if is_balanced {
                return;
            }
        }
        panic!("the shards do not balance: {holders:?}");
    }

    fn held_by(worker: &WorkerId, holders: &[Option<WorkerId>]) -> usize {
        holders.iter().filter(|holder| holder.as_ref() == Some(worker)).count()
    }

    #[test]
    fn workers_that_come_and_go_share_evenly_and_leave_no_shard_unassigned() {
        let mut holders = vec![None; 12];
        for count in [1, 3, 5, 2, 12, 14, 1] {
            let workers: Vec<_> = (0..count).map(worker).collect();
            for holder in &mut holders {
                if holder.as_ref().is_some_and(|holder| !workers.contains(holder)) {
                    *holder = None;
                }
            }
            balance(&workers, &mut holders);
            assert!(holders.iter().all(Option::is_some), "{count}: {holders:?}");
            let counts = workers.iter().map(|worker| held_by(worker, &holders));
            let least = counts.clone().min().unwrap();
            let most = counts.max().unwrap();
            assert!(most - least <= 1, "{count} workers hold from {least} to {most}");
        }
    }

    #[test]
    fn a_shard_that_is_held_unknowingly_is_taken_even_beyond_the_share() {
        let me = worker(0);
        let holders = vec![Some(me.clone()), Some(me.clone()), None];
        let members = Members { workers: vec![me.clone(), worker(1), worker(2)], holders };
        let stray = Assignment::Assigned(ShardId::new(1), ClaimMode::IfFree);
        assert_eq!(assignments(&members, &me, &[ShardId::FIRST].into()), [stray]);
    }

    #[test]
    fn a_lost_shard_is_revoked() {
        let me = worker(0);
        let other = worker(1);
        let members =
            Members { workers: vec![me.clone(), other.clone()], holders: vec![Some(other)] };
        let held = [ShardId::FIRST].into();
        assert_eq!(assignments(&members, &me, &held), [Assignment::Revoked(ShardId::FIRST)]);
    }
}
