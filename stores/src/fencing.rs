//! The rules for commits, claims and resharding of views, the same on every store (R1).

use std::time::Duration;

use highwater_core::{
    Error, Position, Result,
    domain::{DefinitionHash, ViewName},
    error::{Conflict, Corrupt, Invalid, Unavailable},
    port::{Claim, Progress, ViewCommit, ViewState},
    value::{Epoch, ShardId, Sharding},
};
use jiff::{SignedDuration, Timestamp};

/// The epoch and the progress of a shard, as a store has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShardState {
    pub(crate) epoch: Epoch,
    pub(crate) position: Position,
    pub(crate) as_of: Timestamp,
}

/// Refuses a commit that would move its shard back: the events in between would be applied again.
pub(crate) fn check_forward(commit: &ViewCommit) -> Result<(), Invalid> {
    let ViewCommit { view, shard, from, to: Progress { position: to, .. }, .. } = commit;
    if to < from {
        let message = format!("shard {shard} of view {view} can't move back from {from} to {to}");
        return Err(Invalid::request(message));
    }
    Ok(())
}

/// Returns the reason that a commit changed nothing, from the shards of its view. A view without shards has
/// never been opened.
pub(crate) fn refusal_of(commit: &ViewCommit, shards: &[ShardState]) -> Error {
    let ViewCommit { ref view, shard, epoch, from, .. } = *commit;
    if shards.is_empty() {
        return view_missing(view);
    }
    match find_shard(shards, shard) {
        Some(held) if held.epoch == epoch => moved(view, from, held.position),
        // A shard that does not exist any more belonged to an earlier sharding.
        held => fenced(view, shard, epoch, held.map_or(latest_epoch(shards), |held| held.epoch)),
    }
}

/// Checks that a view has the sharding that a worker expects, and the shard that it claims: with another
/// sharding, the shard has another share of the work.
pub(crate) fn check_sharding(
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

/// Checks that a worker folds by the definition that the view has. Where one of them isn't known they can't differ.
pub(crate) fn check_definition(
    view: &ViewName,
    worker: Option<DefinitionHash>,
    actual: Option<DefinitionHash>,
) -> Result<(), Conflict> {
    match (worker, actual) {
        (Some(worker), Some(actual)) if worker != actual => {
            Err(Conflict::Definition { view: view.to_string() })
        }
        _ => Ok(()),
    }
}

/// The error of a program that opens a later generation which another program has made.
pub(crate) fn other_generation(stored: &ViewName) -> Error {
    Conflict::Definition { view: stored.to_string() }.into()
}

/// Returns true if a generation has every event that the live one has, and all of the time at which it was made.
pub(crate) fn may_promote(complete_at: Position, new: &[ShardState], live: &[ShardState]) -> bool {
    let Some(least) = new.iter().map(|shard| shard.position).min() else { return false };
    let furthest = live.iter().map(|shard| shard.position).max().unwrap_or_default();
    least >= complete_at && least >= furthest
}

/// Checks that a view may be resharded under these claims. Returns the initial state of its new shards, with
/// an epoch greater than all earlier ones.
pub(crate) fn check_reshard(
    view: &ViewName,
    claims: &[Claim],
    shards: &[ShardState],
) -> Result<ShardState> {
    let first = shards.first().ok_or_else(|| view_missing(view))?;
    for (shard, held) in (0..).map(ShardId::new).zip(shards) {
        let claim = claims.iter().find(|claim| claim.shard == shard);
        let epoch = claim.map(|claim| claim.epoch).unwrap_or_default();
        if epoch != held.epoch {
            return Err(fenced(view, shard, epoch, held.epoch));
        }
        if held.position != first.position {
            return Err(moved(view, first.position, held.position));
        }
    }
    let epoch = latest_epoch(shards);
    match claims.iter().find(|claim| find_shard(shards, claim.shard).is_none()) {
        Some(claim) => Err(fenced(view, claim.shard, claim.epoch, epoch)),
        None => Ok(ShardState { epoch: Epoch::new(epoch.get() + 1), ..*first }),
    }
}

fn find_shard(shards: &[ShardState], shard: ShardId) -> Option<&ShardState> {
    shards.get(usize::try_from(shard.get()).ok()?)
}

fn latest_epoch(shards: &[ShardState]) -> Epoch {
    shards.iter().map(|held| held.epoch).max().unwrap_or_default()
}

fn moved(view: &ViewName, expected: Position, actual: Position) -> Error {
    Conflict::Checkpoint { view: view.to_string(), expected, actual }.into()
}

fn fenced(view: &ViewName, shard: ShardId, epoch: Epoch, actual: Epoch) -> Error {
    Conflict::Fenced { view: view.to_string(), shard, epoch, actual }.into()
}

pub(crate) fn view_missing(view: &ViewName) -> Error {
    Unavailable::ViewMissing { view: view.to_string() }.into()
}

/// The error of a program that opens a view under a name which a newer program has replaced.
pub(crate) fn view_renamed(view: &ViewName, new: &str) -> Error {
    Corrupt::RenamedView { view: view.to_string(), to: new.to_owned() }.into()
}

pub(crate) fn no_such_shard(view: &ViewName, shard: ShardId) -> Invalid {
    Invalid::request(format!("view {view} has no shard {shard}"))
}

pub(crate) fn has_no_rows(view: &ViewName) -> Invalid {
    Invalid::request(format!("view {view} was opened without rows"))
}

/// Returns true if two states of a view have the same progress, definition and stops, whatever their cursors are.
pub(crate) fn is_same_progress(one: &ViewState, other: &ViewState) -> bool {
    let progress = |shard: &Progress| (shard.position, shard.as_of);
    one.sharding == other.sharding
        && one.definition == other.definition
        && one.stops == other.stops
        && one.shards.iter().map(progress).eq(other.shards.iter().map(progress))
}

/// The time by which a lease may seem to begin in the future, although no clock was set back.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(1);

/// The time of a lease, or of a sign of life. One that begins in the future was given before the clock was set back, and
/// has run out: its worker may be gone, and would hold everything up until the clock is there again. A worker that is
/// not gone renews it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeaseTerm {
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
}

impl LeaseTerm {
    /// Returns the term of a lease that begins now.
    pub(crate) fn new(lease: Duration, now: Timestamp) -> Self {
        let lease = SignedDuration::try_from(lease).unwrap_or(SignedDuration::MAX);
        Self { from: now, until: now.checked_add(lease).unwrap_or(Timestamp::MAX) }
    }

    pub(crate) fn includes(self, now: Timestamp) -> bool {
        self.from <= Self::latest_start(now) && now < self.until
    }

    /// Returns the latest time at which a lease may begin. A caller that waits for the store may be given a lease
    /// after another caller has read the clock.
    pub(crate) fn latest_start(now: Timestamp) -> Timestamp {
        now.checked_add(CLOCK_TOLERANCE).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(epoch: u64, position: u64) -> ShardState {
        let as_of = Timestamp::UNIX_EPOCH;
        ShardState { epoch: Epoch::new(epoch), position: Position::new(position), as_of }
    }

    fn claim(shard: u32, epoch: u64) -> Claim {
        let progress = Progress::default();
        Claim { shard: ShardId::new(shard), epoch: Epoch::new(epoch), progress }
    }

    fn view() -> ViewName {
        ViewName::new("balances").unwrap()
    }

    #[test]
    fn r1_new_shards_have_an_epoch_beyond_any_of_the_old_ones() {
        let claims: Vec<_> = Sharding::by_key(3).all().map(|shard| claim(shard.get(), 4)).collect();
        let divided =
            check_reshard(&view(), &claims, &[held(4, 9), held(4, 9), held(4, 9)]).unwrap();
        assert_eq!(divided, held(5, 9));
    }

    #[test]
    fn r1_a_claim_on_a_shard_that_is_not_there_does_not_divide() {
        let error = check_reshard(&view(), &[claim(0, 4), claim(1, 4)], &[held(4, 9)]).unwrap_err();
        let shard = ShardId::new(1);
        let epoch = Epoch::new(4);
        let fenced = Conflict::Fenced { view: "balances".to_owned(), shard, epoch, actual: epoch };
        assert_eq!(error.conflict(), Some(&fenced));
    }
}
