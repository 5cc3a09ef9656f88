//! The query of a boundary, and the events that it would miss (W6).
//!
//! An event is found by the tags that it was stored with. If the program has given its events a tag since, a
//! query by that tag misses the older ones, and a decision would be wrong. So each read also selects the events
//! that lack a tag which the query needs, and is refused if there is one. Both are read in one statement: there
//! is no moment between them in which a tag could be added. The condition of the append names such events, too, so that
//! one which comes after the read is a conflict.
//!
//! Events up to the covered position need not be looked at again, see `tag_coverage`.

use std::any::type_name;

use super::{engine::Engine, tag_coverage::Covered};
use crate::{
    Error, Result,
    domain::{Boundary, Envelope, Event, Query},
    error::{Corrupt, Panicked},
    follow::fold_events,
    port::{LogPage, MissingTag, ReadFrom, Untagged},
    value::{Position, Tag, Tags},
};

/// The number of events per read.
const READ_PAGE_SIZE: usize = 4096;

/// The query of a boundary, and the tags that it needs on events.
pub(super) struct BoundaryQuery {
    /// The query, for known types only. So an unknown type in a page is one that the query names and the
    /// event enum does not have.
    pub(super) query: Query,
    /// The types of events that may have been stored without a tag of the query.
    pub(super) needed: Vec<MissingTag>,
    /// Those of them to which this program always gives the tag.
    pub(super) given: Vec<MissingTag>,
}

impl BoundaryQuery {
    pub(super) fn of<B: Boundary>(boundary: &B) -> Result<Self> {
        let place = || format!("query of boundary {}", type_name::<B>());
        let query = Panicked::guard(place, || boundary.query())?.narrowed_to::<B::Event>();
        let needed = tags_of::<B::Event>(&query, B::Event::can_have_tag);
        let given = tags_of::<B::Event>(&query, B::Event::always_has_tag);
        Ok(Self { query, needed, given })
    }

    /// Reads a page of the matching events.
    ///
    /// # Errors
    /// Those of the store, and [`Corrupt::Untagged`] if the query would miss an event.
    pub(super) async fn page<E: Event>(&self, engine: &Engine, after: Position) -> Result<LogPage> {
        if self.needed.is_empty() {
            let from = ReadFrom::After(after);
            return engine.log.read_log(&self.query, from, READ_PAGE_SIZE).await;
        }
        loop {
            let scan = self.scan::<E>(engine);
            let covered = engine.coverage.get_or_scan(&self.needed, scan).await?;
            if let Some(mut page) = self.checked_page::<E>(engine, &covered, after).await? {
                page.events.retain(|event| self.matches(event));
                return Ok(page);
            }
            tracing::warn!(covered = %covered.position(), "the log has become shorter; looking for tags again");
            engine.coverage.forget(&self.needed, &covered);
        }
    }

    /// Reads the log from the position that an earlier process has recorded, or from the beginning if the log has become
    /// shorter.
    async fn scan<E: Event>(&self, engine: &Engine) -> Result<Covered> {
        let mut covered = Covered::load(&*engine.snapshots, &self.needed).await?;
        let mut after = covered.position();
        loop {
            match self.checked_page::<E>(engine, &covered, after).await? {
                Some(page) if page.more => after = page.through,
                Some(_) => return Ok(covered),
                None => {
                    covered = Covered::default();
                    after = Position::START;
                }
            }
        }
    }

    /// Reads a page of the events that match and of those that the query would miss. Advances the covered
    /// position over it. Returns `None` if the log ends before the covered position: it has lost its last events, in a
    /// fail-over or a restore, and others may have their positions.
    async fn checked_page<E: Event>(
        &self,
        engine: &Engine,
        covered: &Covered,
        after: Position,
    ) -> Result<Option<LogPage>> {
        let untagged = Untagged { missing: self.needed.clone(), after: covered.position() };
        let log = &engine.log;
        let page = log.read_log_and_untagged(&self.query, &untagged, after, READ_PAGE_SIZE).await?;
        if !page.more && ends_before(engine, untagged.after, &page, after).await? {
            return Ok(None);
        }
        let checked = self.check::<E>(&page.events);
        if after <= untagged.after {
            let through = checked.as_ref().map_or_else(before_untagged, |()| Some(page.through));
            covered.advance(&*engine.snapshots, &self.needed, through.unwrap_or_default()).await;
        }
        checked.map(|()| Some(page))
    }

    fn matches(&self, event: &Envelope) -> bool {
        self.query.matches(&event.stream, &event.type_name, &event.tags)
    }

    /// Checks that the events which don't match have no more tags today than they were stored with.
    fn check<E: Event>(&self, events: &[Envelope]) -> Result<()> {
        fold_events(
            events,
            |event| {
                if self.matches(event) { Ok(()) } else { self.check_tags::<E>(event) }
            },
        )
    }

    fn check_tags<E: Event>(&self, event: &Envelope) -> Result<()> {
        let mut lacking: Option<&MissingTag> = None;
        let needed = self.needed.iter().filter(|needed| needed.selects(event));
        let tags = current_tags::<E>(event)?;
        for needed in needed {
            let has_gained =
                tags.as_slice().iter().any(|t| t.name() == needed.name && !event.tags.contain(t));
            lacking = lacking.or(has_gained.then_some(needed));
        }
        lacking.map_or(Ok(()), |needed| Err(untagged::<E>(event, needed).into()))
    }
}

/// Returns true if the log ends before a position. The last page of a read says where the log ends, unless it began there.
async fn ends_before(
    engine: &Engine,
    position: Position,
    last_page: &LogPage,
    after: Position,
) -> Result<bool> {
    let is_end_unknown = last_page.through == after && position <= after;
    if is_end_unknown && position > Position::START {
        return Ok(engine.log.head().await? < position);
    }
    Ok(last_page.through < position)
}

/// Returns the tags that the current meaning of a stored event has.
pub(super) fn current_tags<E: Event>(event: &Envelope) -> Result<Tags> {
    let mut tags = Tags::none();
    event.decode_into::<E>(&mut |meaning| {
        let more = meaning.tags();
        tags = if tags.is_empty() { more } else { tags.union(&more) };
    })?;
    Ok(tags)
}

/// Returns the tags of a query by name, each with the types of events that are selected for it.
fn tags_of<E: Event>(query: &Query, selects: fn(&str, &str) -> bool) -> Vec<MissingTag> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for item in &query.items {
        for name in item.tags.as_slice().iter().map(Tag::name) {
            let types = item.types.iter().map(String::as_str);
            let types = types.filter(|ty| E::NAMES.contains(ty) && selects(ty, name));
            pairs.extend(types.map(|ty| (name, ty)));
        }
    }
    pairs.sort_unstable();
    pairs.dedup();
    pairs.chunk_by(|(one, _), (other, _)| one == other).map(missing).collect()
}

fn missing(pairs: &[(&str, &str)]) -> MissingTag {
    MissingTag {
        name: pairs.first().map_or_else(String::new, |(name, _)| (*name).to_owned()),
        types: pairs.iter().map(|(_, ty)| (*ty).to_owned()).collect(),
    }
}

fn untagged<E: Event>(event: &Envelope, needed: &MissingTag) -> Corrupt {
    Corrupt::Untagged {
        position: event.position,
        stream: event.stream.clone(),
        type_name: event.type_name.as_ref().to_owned(),
        tag_name: needed.name.clone(),
        event: type_name::<E>(),
    }
}

/// Returns the position before the event that a read was refused for.
fn before_untagged(error: &Error) -> Option<Position> {
    let Error::Corrupt(corrupt) = error else { return None };
    let Corrupt::Untagged { position, .. } = **corrupt else { return None };
    Some(Position::new(position.get().saturating_sub(1)))
}
