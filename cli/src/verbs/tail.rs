//! The last events of the log, and those that follow.

use clap::Args;
use highwater::{
    Envelope, Highwater, Position, Query,
    domain::QueryItem,
    follow::Follower,
    port::ReadFrom,
    value::{Category, Tag},
};

use super::{PAGE, event};
use crate::{
    outcome::{ToolFailure, ToolOutcome},
    output::Output,
};

#[derive(Args)]
pub(crate) struct ShowTail {
    /// Only events of this type; or of several.
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Only events of this category; or of several.
    #[arg(long = "category", value_name = "CATEGORY")]
    categories: Vec<String>,
    /// Only events with this tag; of several, with all.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// The number of events to show at first.
    #[arg(long, short, value_name = "N", default_value_t = 10)]
    number: usize,
    /// The position of the first event, instead of -n.
    #[arg(long, value_name = "POSITION", conflicts_with = "number")]
    from: Option<u64>,
    /// Goes on with what is appended, until interrupted.
    #[arg(long, short)]
    follow: bool,
}

impl ShowTail {
    pub(crate) async fn run(
        self,
        app: &Highwater,
        output: &mut Output<'_>,
    ) -> Result<ToolOutcome, ToolFailure> {
        let query = self.query()?;
        query.validate()?;
        let head = app.log().head().await?;
        let through = match self.from {
            Some(from) => {
                show_from(app, &query, Position::new(from.saturating_sub(1)), output).await?
            }
            None => {
                for event in last(app, &query, head, self.number).await? {
                    event::print(&event, output)?;
                }
                head
            }
        };
        output.flush()?;
        if self.follow {
            return follow(app.follow(query, through).page_size(PAGE), output).await;
        }
        Ok(ToolOutcome::Done)
    }

    fn query(&self) -> highwater::Result<Query> {
        let Self { types, categories, tags, .. } = self;
        if types.is_empty() && categories.is_empty() && tags.is_empty() {
            return Ok(Query::all());
        }
        let categories = categories.iter().map(|category| Category::new(category));
        Ok(Query::from(QueryItem {
            categories: categories.collect::<Result<_, _>>()?,
            types: types.clone(),
            tags: tags.iter().map(|tag| Tag::from_stored(tag.clone())).collect(),
        }))
    }
}

/// Shows events as they are appended, until an error ends it.
async fn follow(
    mut follower: Follower,
    output: &mut Output<'_>,
) -> Result<ToolOutcome, ToolFailure> {
    loop {
        for event in follower.next_page().await?.events {
            event::print(&event, output)?;
        }
        output.flush()?;
    }
}

/// Reads the last events up to the head, at most so many, in log order.
async fn last(
    app: &Highwater,
    query: &Query,
    head: Position,
    number: usize,
) -> highwater::Result<Vec<Envelope>> {
    let mut events = Vec::new();
    let mut before = Position::new(head.get() + 1);
    while events.len() < number {
        let limit = (number - events.len()).min(PAGE);
        let page = app.log().read_log(query, ReadFrom::Before(before), limit).await?;
        events.extend(page.events);
        before = page.through;
        if !page.more {
            break;
        }
    }
    events.reverse();
    Ok(events)
}

/// Shows all events after a position, page by page, and returns the position up to which there are no more.
async fn show_from(
    app: &Highwater,
    query: &Query,
    after: Position,
    output: &mut Output<'_>,
) -> Result<Position, ToolFailure> {
    let mut through = after;
    loop {
        let page = app.log().read_log(query, ReadFrom::After(through), PAGE).await?;
        for event in &page.events {
            event::print(event, output)?;
        }
        output.flush()?;
        through = page.through;
        if !page.more {
            return Ok(through);
        }
    }
}
