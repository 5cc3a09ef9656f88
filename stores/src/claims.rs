//! Whether a commit or a division may go through: the same on every store (R1).

use std::time::Duration;

use highwater_core::{
    Error, Position, Result,
    domain::ViewName,
    error::{Conflict, Invalid, Unavailable},
    port::{Claim, Progress, ViewCommit, ViewState},
    value::{Epoch, ShardId, Sharding},
};
use jiff::{SignedDuration, Timestamp};

/// What a shard has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) epoch: Epoch,
    pub(crate) position: Position,
    pub(crate) as_of: Timestamp,
}

/// Refuses a commit that would move its shard back: what came in between would be applied again.
pub(crate) fn goes_on(commit: &ViewCommit) -> Result<(), Invalid> {
    let (view, shard, from, to) = (&commit.view, commit.shard, commit.from, commit.to.position);
    if to < from {
        let message = format!("shard {shard} of view {view} can't move back from {from} to {to}");
        return Err(Invalid::request(message));
    }
    Ok(())
}

/// Why a commit moved nothing, from what the shards of its view have; a view that has none has never
/// been opened.
pub(crate) fn refusal(commit: &ViewCommit, shards: &[Held]) -> Error {
    let (view, shard, epoch) = (&commit.view, commit.shard, commit.epoch);
    if shards.is_empty() {
        return missing(view);
    }
    match held(shards, shard) {
        Some(held) if held.epoch == epoch => {
            let (expected, actual) = (commit.from, held.position);
            Conflict::Checkpoint { view: view.to_string(), expected, actual }.into()
        }
        // A shard that isn't there any more belonged to a layout before this one.
        held => fenced(view, shard, epoch, held.map_or(newest(shards), |held| held.epoch)),
    }
}

/// Whether a view is divided as the worker believes that claims a shard of it, and has that shard: under
/// another layout the shard has another share of the work.
pub(crate) fn has_shard(
    view: &ViewName,
    expected: Sharding,
    actual: Sharding,
    shard: ShardId,
) -> Result<()> {
    if expected != actual {
        return Err(Conflict::Sharding { view: view.to_string(), expected, actual }.into());
    }
    if shard.get() >= actual.shards {
        return Err(no_such_shard(view, shard).into());
    }
    Ok(())
}

/// Whether a view may be divided anew under these claims: the epoch of all its new shards, which is
/// beyond any of the old ones, and where they begin.
pub(crate) fn division(view: &ViewName, claims: &[Claim], shards: &[Held]) -> Result<Held> {
    let first = shards.first().ok_or_else(|| missing(view))?;
    for (shard, held) in (0..).map(ShardId::new).zip(shards) {
        let claim = claims.iter().find(|claim| claim.shard == shard);
        let epoch = claim.map(|claim| claim.epoch).unwrap_or_default();
        if epoch != held.epoch {
            return Err(fenced(view, shard, epoch, held.epoch));
        }
        if held.position != first.position {
            let (expected, actual) = (first.position, held.position);
            return Err(Conflict::Checkpoint { view: view.to_string(), expected, actual }.into());
        }
    }
    let epoch = newest(shards);
    match claims.iter().find(|claim| held(shards, claim.shard).is_none()) {
        Some(claim) => Err(fenced(view, claim.shard, claim.epoch, epoch)),
        None => Ok(Held { epoch: Epoch::new(epoch.get() + 1), ..*first }),
    }
}

fn held(shards: &[Held], shard: ShardId) -> Option<&Held> {
    shards.get(usize::try_from(shard.get()).ok()?)
}

fn newest(shards: &[Held]) -> Epoch {
    shards.iter().map(|held| held.epoch).max().unwrap_or_default()
}

fn fenced(view: &ViewName, shard: ShardId, epoch: Epoch, actual: Epoch) -> Error {
    Conflict::Fenced { view: view.to_string(), shard, epoch, actual }.into()
}

pub(crate) fn missing(view: &ViewName) -> Error {
    Unavailable::ViewMissing { view: view.to_string() }.into()
}

pub(crate) fn no_such_shard(view: &ViewName, shard: ShardId) -> Invalid {
    Invalid::request(format!("view {view} has no shard {shard}"))
}

pub(crate) fn without_rows(view: &ViewName) -> Invalid {
    Invalid::request(format!("view {view} has been opened as one without rows"))
}

/// Whether two looks at a view have seen the same, whatever cursors came with them.
pub(crate) fn is_same(one: &ViewState, other: &ViewState) -> bool {
    let told = |shard: &Progress| (shard.position, shard.as_of);
    one.sharding == other.sharding && one.shards.iter().map(told).eq(other.shards.iter().map(told))
}

/// When a lease ends that begins now.
pub(crate) fn end_of(lease: Duration, now: Timestamp) -> Timestamp {
    let lease = SignedDuration::try_from(lease).unwrap_or(SignedDuration::MAX);
    now.checked_add(lease).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(epoch: u64, position: u64) -> Held {
        let as_of = Timestamp::UNIX_EPOCH;
        Held { epoch: Epoch::new(epoch), position: Position::new(position), as_of }
    }

    fn claim(shard: u32, epoch: u64) -> Claim {
        let (shard, epoch) = (ShardId::new(shard), Epoch::new(epoch));
        Claim { shard, epoch, progress: Progress::default() }
    }

    fn view() -> ViewName {
        ViewName::new("balances").unwrap()
    }

    #[test]
    fn r1_new_shards_have_an_epoch_beyond_any_of_the_old_ones() {
        let claims: Vec<_> = Sharding::by_key(3).all().map(|shard| claim(shard.get(), 4)).collect();
        let divided = division(&view(), &claims, &[held(4, 9), held(4, 9), held(4, 9)]).unwrap();
        assert_eq!(divided, held(5, 9));
    }

    #[test]
    fn r1_a_claim_on_a_shard_that_is_not_there_does_not_divide() {
        let error = division(&view(), &[claim(0, 4), claim(1, 4)], &[held(4, 9)]).unwrap_err();
        let (shard, epoch) = (ShardId::new(1), Epoch::new(4));
        let fenced = Conflict::Fenced { view: "balances".to_owned(), shard, epoch, actual: epoch };
        assert_eq!(error.conflict(), Some(&fenced));
    }
}
