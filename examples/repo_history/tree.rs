//! The tree as of a position: the states of all files, folded from the log up to there.

use std::collections::BTreeMap;

use highwater::{Decider as _, Position, Query, port::ReadFrom, prelude::*};

use crate::{
    file::{File, FileEvent},
    path::Path,
    problem::Problem,
};

/// The number of events in a page.
const PAGE: usize = 5_000;

/// A fold that can go on from where it is to a later position.
#[derive(Default)]
pub(crate) struct Tree {
    position: Position,
    /// Every file that there ever was until then.
    pub(crate) files: BTreeMap<Path, File>,
}

impl Tree {
    /// Goes on up to a position, and not beyond.
    pub(crate) async fn advance(
        &mut self,
        highwater: &Highwater,
        to: Position,
    ) -> Result<(), Problem> {
        let query = Query::all().narrowed_to::<FileEvent>();
        while self.position < to {
            let page =
                highwater.log().read_log(&query, ReadFrom::After(self.position), PAGE).await?;
            for envelope in page.events.iter().filter(|envelope| envelope.position <= to) {
                let file = self.files.entry(Path::of_key(envelope.stream.key())).or_default();
                envelope.decode_into::<FileEvent>(&mut |event| file.apply(&event))?;
            }
            self.position = page.through.min(to);
            if !page.more {
                break;
            }
        }
        Ok(())
    }
}
