//! Waking followers: at once by NOTIFY, and by a poll as the safety net. A process listens from when
//! somebody first waits: one that only writes is not bothered with what it writes.
//!
//! Of views it is told after their commit, in a transaction of its own: whoever notifies holds a lock
//! of the whole cluster to the end of its transaction, flush and all. That of a notification alone
//! has nothing to flush.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use highwater_core::{Position, Result, domain::ViewName, port::ViewState};
use sqlx::{
    PgPool, Postgres,
    postgres::{PgListener, PgNotification},
};
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use super::{options::Schema, tell::Telling};
use crate::{
    hints::{Hint, Hints},
    lanes::Lanes,
};

/// How long a follower waits at the most before it looks for itself.
const POLL: Duration = Duration::from_secs(1);
/// How long to wait before listening again after the connection was lost.
const RELISTEN: Duration = Duration::from_millis(250);

pub(super) struct Following {
    ears: Ears,
    /// Up to here the log is known to be flushed, so that nothing of it can be lost.
    durable: AtomicU64,
    listening: OnceLock<JoinHandle<()>>,
    telling: Telling,
}

/// What listens, and what it has heard.
#[derive(Clone)]
struct Ears {
    pool: PgPool,
    channel: Arc<str>,
    channel_of_views: Arc<str>,
    /// The last position that somebody is known to have appended.
    hint: watch::Sender<Position>,
    hints: Arc<Hints>,
    /// Whether notifications arrive.
    open: watch::Sender<bool>,
}

impl Following {
    pub(super) fn new(pool: PgPool, lanes: &Arc<Lanes<Postgres>>, schema: &Schema) -> Self {
        let ears = Ears {
            pool,
            channel: schema.channel().into(),
            channel_of_views: schema.channel_of_views().into(),
            hint: watch::Sender::new(Position::START),
            hints: Arc::new(Hints::default()),
            open: watch::Sender::new(false),
        };
        let telling = Telling::new(lanes, schema);
        Self { ears, durable: AtomicU64::new(0), listening: OnceLock::new(), telling }
    }

    pub(super) fn stop(&self) {
        self.telling.stop();
        if let Some(task) = self.listening.get() {
            task.abort();
        }
    }

    /// Notes an append that has been acknowledged: it is durable, and all before it.
    pub(super) fn acknowledged(&self, position: Position) {
        self.flushed(position);
        self.ears.heard(position);
    }

    pub(super) fn flushed(&self, position: Position) {
        self.durable.fetch_max(position.get(), Ordering::AcqRel);
    }

    pub(super) fn is_durable(&self, position: Position) -> bool {
        position.get() <= self.durable.load(Ordering::Acquire)
    }

    /// Notes a change of a view, here and everywhere.
    pub(super) fn changed(&self, hint: Hint) {
        self.ears.hints.heard(&hint);
        self.telling.tell(hint);
    }

    /// Waits until something may have been appended after `position`.
    pub(super) async fn wait(&self, position: Position) {
        let mut hint = self.ears.hint.subscribe();
        let heard = hint.wait_for(|last| *last > position);
        self.wait_for(async { drop(heard.await) }).await;
    }

    /// Waits until a view may have changed since it was seen.
    pub(super) async fn wait_for_view(
        &self,
        view: &ViewName,
        seen: &ViewState,
        is_same: impl Future<Output = Result<bool>>,
    ) -> Result<()> {
        let mut listening = self.ears.hints.listen(view, seen);
        if !listening.has_missed(is_same).await? {
            self.wait_for(listening.is_moved()).await;
        }
        Ok(())
    }

    /// Waits for a hint, and not for ever.
    async fn wait_for(&self, hint: impl Future<Output = ()>) {
        let mut open = self.ears.open.subscribe();
        let was_open = *open.borrow_and_update();
        if !was_open {
            self.listening.get_or_init(|| tokio::spawn(self.ears.clone().listen()));
        }
        // Nothing is heard of what others do before somebody listens: then it is time to look.
        let _ = timeout(POLL, async {
            tokio::select! {
                () = hint => {}
                _ = open.wait_for(|open| *open), if !was_open => {}
            }
        })
        .await;
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Ears {
    fn heard(&self, position: Position) {
        self.hint.send_if_modified(|last| {
            let later = position > *last;
            *last = position.max(*last);
            later
        });
    }

    /// Passes notifications on as hints. While it doesn't listen, followers poll.
    async fn listen(self) {
        loop {
            let error = match self.listener().await {
                Ok(listener) => {
                    self.open.send_replace(true);
                    let error = self.listen_with(listener).await;
                    self.open.send_replace(false);
                    error
                }
                Err(error) => error,
            };
            if self.pool.is_closed() {
                tracing::debug!(%error, "the store is closed; no longer listening");
                return;
            }
            tracing::warn!(%error, "listening failed; followers poll meanwhile");
            tokio::time::sleep(RELISTEN).await;
        }
    }

    async fn listener(&self) -> Result<PgListener, sqlx::Error> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen_all([&*self.channel, &*self.channel_of_views]).await?;
        Ok(listener)
    }

    /// Listens until that fails.
    async fn listen_with(&self, mut listener: PgListener) -> sqlx::Error {
        loop {
            match listener.recv().await {
                Ok(notification) => self.told(&notification),
                Err(error) => return error,
            }
        }
    }

    fn told(&self, notification: &PgNotification) {
        let payload = notification.payload();
        if notification.channel() == &*self.channel_of_views {
            if let Ok(hint) = payload.parse() {
                self.hints.heard(&hint);
            }
        } else if let Ok(position) = payload.parse() {
            self.heard(Position::new(position));
        }
    }
}
