//! Feeding the views, and waiting for them.

use std::time::Duration;

use highwater::{Error, Position, Token, error::Unavailable, prelude::*, worker::WorkerHandle};

use crate::{
    problem::Problem,
    views::{AuthorChurn, Commits, FileLines},
};

/// The time without progress of a view after which it is an error.
const STANDSTILL: Duration = Duration::from_secs(30);

/// A worker of every view.
pub(crate) async fn start(highwater: &Highwater) -> Result<WorkerHandle, Problem> {
    let worker = Worker::new(highwater).view::<FileLines>().view::<AuthorChurn>();
    Ok(worker.view::<Commits>().start().await?)
}

/// Waits until each view has seen what a token stands for.
pub(crate) async fn catch_up_all(highwater: &Highwater, to: &Token) -> Result<(), Problem> {
    catch_up::<FileLines>(highwater, to).await?;
    catch_up::<AuthorChurn>(highwater, to).await?;
    catch_up::<Commits>(highwater, to).await
}

/// Waits for as long as the view gets on.
async fn catch_up<V: View>(highwater: &Highwater, to: &Token) -> Result<(), Problem> {
    let mut before = None;
    loop {
        let lookup = highwater.view::<V>().get("any").after(to).within(STANDSTILL);
        match lookup.find().await {
            Ok(_) => return Ok(()),
            Err(error) => match position_behind(&error) {
                Some(position) if before < Some(position) => before = Some(position),
                _ => return Err(error.into()),
            },
        }
    }
}

fn position_behind(error: &Error) -> Option<Position> {
    let Error::Unavailable(unavailable) = error else { return None };
    let Unavailable::StaleRead(pending) = &**unavailable else { return None };
    Some(pending.reached.position)
}
