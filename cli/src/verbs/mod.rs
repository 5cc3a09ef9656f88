//! The verbs.
//!
//! | File | What is in it |
//! |---|---|
//! | `status` | how far each view is |
//! | `doctor` | findings about a store, each with what to do about it |
//! | `report` | views and their generations, as they are printed |
//! | `generations` | the generations of a view: list, promote, remove (R5) |
//! | `parked` | parked keys: list, show, retry (R4) |
//! | `event` | an event, as it is printed |
//! | `stream` | the events of a stream |
//! | `tail` | the last events of the log, and those that follow |
//! | `transfer` | a log in a file, and back |

pub(crate) mod doctor;
mod event;
pub(crate) mod generations;
pub(crate) mod parked;
mod report;
pub(crate) mod status;
pub(crate) mod stream;
pub(crate) mod tail;
pub(crate) mod transfer;

use highwater::{Highwater, Result, domain::ViewName};

/// The number of keys or events that are read at once.
const PAGE: usize = 1_000;

/// Checks that a view is there, if the answer about it is empty.
async fn check_view_if(is_empty: bool, app: &Highwater, view: &ViewName) -> Result<()> {
    if is_empty {
        app.views().read_view(view, &[]).await?;
    }
    Ok(())
}
