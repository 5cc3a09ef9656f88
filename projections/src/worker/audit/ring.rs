//! All keys of a view and all events of the log in pages, one circle within a window.

use std::{collections::VecDeque, ops::Bound, time::Duration};

use highwater_core::{
    Position, Result,
    domain::ViewName,
    port::{KeyRange, ViewStore},
};

use crate::projection::Pace;

/// The pause between two reads of rows.
const PAUSE: Duration = Duration::from_millis(5);

/// The pages that are left of a circle.
#[derive(Default)]
pub(super) struct Ring {
    pub(super) pages: VecDeque<RingPage>,
    /// The part that each page is of all.
    pub(super) share: f64,
    /// The position up to which the log is divided.
    pub(super) head: Position,
}

/// Keys of a view, and a part of the log, in which rows are found that the view lacks.
#[derive(Clone, Debug)]
pub(super) struct RingPage {
    pub(super) keys: KeyRange,
    /// The position after which the part of the log begins.
    pub(super) after: Position,
    /// The position through which it goes.
    pub(super) through: Position,
}

impl Ring {
    /// Divides all keys into pages of so many rows, and begins after the page with this key; without one anywhere, as
    /// `random` says: a worker that is restarted often gets to all keys, too.
    pub(super) async fn divide(
        views: &dyn ViewStore,
        view: &ViewName,
        rows: usize,
        start: RingStart,
    ) -> Result<Self> {
        let mut pace = Pace::every(PAUSE);
        let mut bounds: Vec<String> = Vec::new();
        let head = loop {
            let from = bounds.last().cloned().map_or(Bound::Unbounded, Bound::Excluded);
            let range = KeyRange { from, to: Bound::Unbounded };
            let page = views.read_range(view, &range, rows).await?;
            match page.rows.last().filter(|_| page.more) {
                Some((last, _)) => bounds.push(last.clone()),
                None => break page.state.least().position,
            }
            pace.wait().await;
        };
        Ok(Self::of(&bounds, head, start))
    }

    fn of(bounds: &[String], head: Position, start: RingStart) -> Self {
        let pages = bounds.len() + 1;
        let first = match start {
            RingStart::After(key) => bounds.partition_point(|bound| *bound <= key),
            RingStart::Random(number) => usize::try_from(number).unwrap_or_default() % pages,
            RingStart::First => 0,
        };
        let bound = |at: Option<usize>| at.and_then(|at| bounds.get(at)).cloned();
        let position = |page: usize| {
            let part = u128::from(head.get()) * page as u128 / pages as u128;
            Position::new(u64::try_from(part).unwrap_or(u64::MAX))
        };
        let page = |page: usize| RingPage {
            keys: KeyRange {
                from: bound(page.checked_sub(1)).map_or(Bound::Unbounded, Bound::Excluded),
                to: bound(Some(page)).map_or(Bound::Unbounded, Bound::Included),
            },
            after: position(page),
            through: position(page + 1),
        };
        let pages = (first..pages).chain(0..first).map(page).collect::<VecDeque<_>>();
        Self { share: 1.0 / pages.len() as f64, pages, head }
    }
}

/// The page with which a circle begins.
pub(super) enum RingStart {
    /// The first.
    First,
    /// The page after this key.
    After(String),
    /// Any.
    Random(u64),
}

impl RingPage {
    /// Returns the start of the circle after this page.
    pub(super) fn next_start(&self) -> RingStart {
        match &self.keys.to {
            Bound::Included(key) | Bound::Excluded(key) => RingStart::After(key.clone()),
            Bound::Unbounded => RingStart::First,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(start: RingStart) -> Vec<String> {
        let ring = Ring::of(&["b".to_owned(), "d".to_owned()], Position::new(10), start);
        assert_eq!(ring.share, 1.0 / 3.0);
        let page = |page: &RingPage| {
            let RingPage { keys: KeyRange { from, to }, after, through } = page;
            let text = |bound: &Bound<String>| match bound {
                Bound::Included(key) | Bound::Excluded(key) => key.clone(),
                Bound::Unbounded => "*".to_owned(),
            };
            format!("{}-{} {after}-{through}", text(from), text(to))
        };
        ring.pages.iter().map(page).collect()
    }

    #[test]
    fn r6_a_circle_has_every_key_and_every_event_once_wherever_it_begins() {
        let all = ["*-b 0-3", "b-d 3-6", "d-* 6-10"];
        assert_eq!(shown(RingStart::First), all);
        assert_eq!(shown(RingStart::Random(4)), [all[1], all[2], all[0]]);
        assert_eq!(shown(RingStart::After("b".to_owned())), [all[1], all[2], all[0]]);
        assert_eq!(shown(RingStart::After("c".to_owned())), [all[1], all[2], all[0]]);
        assert_eq!(shown(RingStart::After("z".to_owned())), [all[2], all[0], all[1]]);
    }
}
