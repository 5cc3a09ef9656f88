//! Ranges of keys, as callers write them.

use std::{
    fmt::Display,
    ops::{Bound, Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive},
};

use highwater_core::port::KeyRange;

/// A range of keys: `..`, `"a"..`, `"a".."n"`, `"a"..="n"`, `.."n"`, `..="n"`, or a pair of bounds. Keys can be
/// anything that is displayed as a key.
///
/// ```
/// use std::ops::Bound;
///
/// use highwater_core::port::KeyRange;
/// use highwater_projections::read::IntoKeyRange as _;
///
/// let all = KeyRange { from: Bound::Unbounded, to: Bound::Unbounded };
/// assert_eq!((..).into_key_range(), all);
/// let some = KeyRange { from: Bound::Included("a".into()), to: Bound::Excluded("n".into()) };
/// assert_eq!(("a".."n").into_key_range(), some);
/// let after = KeyRange { from: Bound::Excluded("7".into()), to: Bound::Unbounded };
/// assert_eq!((Bound::Excluded(7), Bound::Unbounded).into_key_range(), after);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a range of keys",
    label = "not a range of keys",
    note = "write `..`, `\"a\"..`, `\"a\"..\"n\"` or a pair of `Bound`s"
)]
pub trait IntoKeyRange {
    /// Returns the bounds of the range.
    fn into_key_range(self) -> KeyRange;
}

impl IntoKeyRange for RangeFull {
    fn into_key_range(self) -> KeyRange {
        KeyRange { from: Bound::Unbounded, to: Bound::Unbounded }
    }
}

impl<K: Display> IntoKeyRange for (Bound<K>, Bound<K>) {
    fn into_key_range(self) -> KeyRange {
        let to_key = |key: K| key.to_string();
        KeyRange { from: self.0.map(to_key), to: self.1.map(to_key) }
    }
}

impl<K: Display> IntoKeyRange for Range<K> {
    fn into_key_range(self) -> KeyRange {
        (Bound::Included(self.start), Bound::Excluded(self.end)).into_key_range()
    }
}

impl<K: Display> IntoKeyRange for RangeInclusive<K> {
    fn into_key_range(self) -> KeyRange {
        let (start, end) = self.into_inner();
        (Bound::Included(start), Bound::Included(end)).into_key_range()
    }
}

impl<K: Display> IntoKeyRange for RangeFrom<K> {
    fn into_key_range(self) -> KeyRange {
        (Bound::Included(self.start), Bound::Unbounded).into_key_range()
    }
}

impl<K: Display> IntoKeyRange for RangeTo<K> {
    fn into_key_range(self) -> KeyRange {
        (Bound::Unbounded, Bound::Excluded(self.end)).into_key_range()
    }
}

impl<K: Display> IntoKeyRange for RangeToInclusive<K> {
    fn into_key_range(self) -> KeyRange {
        (Bound::Unbounded, Bound::Included(self.end)).into_key_range()
    }
}
