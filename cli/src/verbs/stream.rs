//! The events of a stream.

use clap::Args;
use highwater::{Highwater, StreamId, Version, port::ReadFrom};

use super::{PAGE, event};
use crate::{
    outcome::{ToolFailure, ToolOutcome},
    output::Output,
};

#[derive(Args)]
pub(crate) struct ShowStream {
    /// The stream, as category-key.
    stream: String,
    /// The version of the first event to show.
    #[arg(long, value_name = "VERSION", default_value_t = 1)]
    from: u64,
    /// The number of events at most; all by default.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

impl ShowStream {
    pub(crate) async fn run(
        self,
        app: &Highwater,
        output: &mut Output<'_>,
    ) -> Result<ToolOutcome, ToolFailure> {
        let stream = StreamId::parse(&self.stream).map_err(highwater::Error::from)?;
        let mut left = self.limit.unwrap_or(u64::MAX);
        let mut next = Some(ReadFrom::After(Version::new(self.from.saturating_sub(1))));
        let mut is_empty = true;
        while let Some(from) = next.filter(|_| left > 0) {
            let limit = usize::try_from(left).unwrap_or(PAGE).min(PAGE);
            let page = app.log().read_stream(&stream, from, limit).await?;
            for event in &page.events {
                event::print(event, output)?;
            }
            output.flush()?;
            is_empty &= page.events.is_empty();
            left = left.saturating_sub(page.events.len() as u64);
            next = page.next;
        }
        if is_empty && self.limit != Some(0) {
            return Ok(ToolOutcome::NotDone(self.nothing()));
        }
        Ok(ToolOutcome::Done)
    }

    fn nothing(&self) -> String {
        match self.from {
            0 | 1 => format!("stream {:?} has no events", self.stream),
            from => format!("stream {:?} has no events from version {from} on", self.stream),
        }
    }
}
