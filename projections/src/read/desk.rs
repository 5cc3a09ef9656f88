//! One look at a view: rows, progress and head, in one round trip.

use std::{sync::Arc, time::Duration};

use futures_util::future::join;
use highwater_core::{
    Highwater, Position, Result,
    domain::{KeyedBy, View, ViewName},
    error::{Source, Unavailable},
    port::{StoredRange, StoredRow, StoredView, ViewState},
    value::Freshness,
};
use jiff::Timestamp;
use tokio::time::timeout;

use super::demand::Over;

/// How long a store that is connected and silent is waited for. To get a connection takes less, unless a
/// store is told otherwise, and has an error of its own.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// A view that is read, and from where.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) highwater: Highwater,
    pub(super) view: ViewName,
    pub(super) keyed: KeyedBy,
}

/// What there was of a view at one moment.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// Shared by all who asked for the same.
    pub(super) rows: Arc<Vec<(String, StoredRow)>>,
    /// Whether the range has more.
    pub(super) more: bool,
    pub(super) state: Arc<ViewState>,
    /// Where the log was, if that is known.
    pub(super) head: Option<Position>,
    /// Before the look: what was recorded until then, and isn't in the view, is missing.
    pub(super) read_at: Timestamp,
}

impl Seen {
    pub(super) fn without_rows(&self) -> Self {
        let (state, head, read_at) = (Arc::clone(&self.state), self.head, self.read_at);
        Self { rows: Arc::default(), more: false, state, head, read_at }
    }
}

impl Desk {
    pub(super) fn of<V: View>(highwater: &Highwater) -> Result<Self> {
        let (highwater, view) = (highwater.clone(), ViewName::new(V::NAME)?);
        Ok(Self { highwater, view, keyed: V::KEYED_BY })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.highwater.clock().now()
    }

    /// One look. Views that are kept elsewhere than the log are read without it: it may be away. It ends
    /// also if the store never answers: others would wait for who looks for them.
    pub(super) async fn look(&self, over: &Over) -> Result<Seen> {
        // Not the clock of the port: nothing is decided by this but that it is over.
        timeout(PATIENCE, self.look_at(over)).await.unwrap_or_else(|late| {
            Err(Unavailable::unreachable("reading a view", Source::new(late)).into())
        })
    }

    async fn look_at(&self, over: &Over) -> Result<Seen> {
        let (views, read_at) = (self.highwater.views(), self.now());
        let (rows, more, state, head) = match over {
            Over::Keys(keys) => {
                let StoredView { rows, state, head } = views.read_view(&self.view, keys).await?;
                (keys.iter().cloned().zip(rows).collect(), false, state, head)
            }
            Over::Range(_, 0) => {
                let StoredView { state, head, .. } = views.read_view(&self.view, &[]).await?;
                (Vec::new(), false, state, head)
            }
            Over::Range(range, limit) => {
                let StoredRange { rows, more, state, head } =
                    views.read_range(&self.view, range, *limit).await?;
                (rows, more, state, head)
            }
        };
        // The head of another log means nothing here.
        let head = head.filter(|_| self.highwater.has_views_with_the_log());
        Ok(Seen { rows: Arc::new(rows), more, state: Arc::new(state), head, read_at })
    }

    /// One look that knows the head, which is asked for at the same time if it is elsewhere.
    pub(super) async fn look_with_head(&self, over: &Over) -> Result<Seen> {
        if self.highwater.has_views_with_the_log() {
            return self.look(over).await;
        }
        let (seen, head) = join(self.look(over), self.highwater.log().head()).await;
        Ok(Seen { head: Some(head?), ..seen? })
    }

    /// How fresh it is for what was asked for.
    pub(super) fn freshness(&self, seen: &Seen, over: &Over) -> Freshness {
        let progress = over.progress(&seen.state, self.keyed);
        let parked = seen.rows.iter().filter_map(|(_, row)| row.parked_since).min();
        let freshness = Freshness::new(progress.position, progress.as_of, seen.read_at, seen.head);
        freshness.with_log(self.highwater.log().log_id()).with_parked(parked)
    }
}
