//! The progress that a read requires of a view.

use std::time::Duration;

use highwater_core::{Position, value::Freshness};

/// The progress that a read requires of a view.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Requirement {
    pub(super) position: Position,
    pub(super) bound: Option<Duration>,
    /// True if the view must be complete: it is not being rebuilt.
    pub(super) is_complete: bool,
}

impl Requirement {
    pub(super) fn is_met_by(self, freshness: &Freshness) -> bool {
        freshness.position >= self.position
            && self.bound.is_none_or(|bound| freshness.age() <= bound)
            && !(self.is_complete && freshness.is_rebuilding())
    }

    /// Returns true if a position is required, and nothing else.
    pub(super) fn is_position_only(self) -> bool {
        self.position > Position::START && self.bound.is_none()
    }

    /// Returns true if a parked key holds back what is required.
    pub(super) fn is_held_back(self, freshness: &Freshness) -> bool {
        let until = if self.bound.is_some() { Position::END } else { self.position };
        freshness.parked_since.is_some_and(|since| since <= until)
    }
}

#[cfg(test)]
mod tests {
    use highwater_core::Timestamp;

    use super::*;

    #[test]
    fn r3_r4_a_parked_key_holds_back_what_comes_after_it_and_every_bound() {
        let as_of = Timestamp::from_second(1).unwrap();
        let parked = Freshness::new(Position::new(9), as_of, as_of, None);
        let parked = parked.with_parked(Some(Position::new(5)));
        let required =
            |position| Requirement { position: Position::new(position), ..Requirement::default() };
        assert!(!required(4).is_held_back(&parked));
        assert!(required(5).is_held_back(&parked));
        let bound = Some(Duration::from_secs(1));
        assert!(Requirement { bound, ..required(0) }.is_held_back(&parked));
    }
}
