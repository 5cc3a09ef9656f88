//! The comparison of rows with the fold of their events in the log (R6).
//!
//! | File | Contents |
//! |---|---|
//! | `fresh_rows` | rows that are folded afresh and compared, without knowing their type |
//! | `keys_fold` | the rows of named keys, each folded up to a position of its own |
//! | `drift` | the verdict on one row |
//! | `same_row` | whether two rows of JSON are the same row |
//! | `field_change` | the fields in which two rows differ |
//! | `pace` | the pauses between the steps of a comparison |

mod drift;
mod field_change;
mod fresh_rows;
mod keys_fold;
mod pace;
mod same_row;

pub use drift::{Drift, DriftKind};
pub(crate) use drift::{encode_folded, find_drift, shown};
pub use field_change::FieldChange;
pub(crate) use field_change::changes;
pub(crate) use fresh_rows::{Findings, FoldAfresh, FreshRows, TypedFreshRows, position_of};
pub(crate) use keys_fold::KeysFold;
pub(crate) use pace::Pace;
