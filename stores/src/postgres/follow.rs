//! Waking followers: at once by NOTIFY, and by a poll as the safety net. A process listens from when
//! somebody first waits: one that only writes is not bothered with what it writes.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use highwater_core::Position;
use sqlx::{PgPool, postgres::PgListener};
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use super::options::Schema;

/// How long a follower waits at the most before it looks for itself.
const POLL: Duration = Duration::from_secs(1);
/// How long to wait before listening again after the connection was lost.
const RELISTEN: Duration = Duration::from_millis(250);

pub(super) struct Following {
    ears: Ears,
    /// Up to here the log is known to be flushed, so that nothing of it can be lost.
    durable: AtomicU64,
    listening: OnceLock<JoinHandle<()>>,
}

/// What listens, and what it has heard.
#[derive(Clone)]
struct Ears {
    pool: PgPool,
    channel: Arc<str>,
    /// The last position that somebody is known to have appended.
    hint: watch::Sender<Position>,
    /// Whether notifications arrive.
    open: watch::Sender<bool>,
}

impl Following {
    pub(super) fn new(pool: &PgPool, schema: &Schema) -> Self {
        let ears = Ears {
            pool: pool.clone(),
            channel: schema.channel().into(),
            hint: watch::Sender::new(Position::START),
            open: watch::Sender::new(false),
        };
        Self { ears, durable: AtomicU64::new(0), listening: OnceLock::new() }
    }

    pub(super) fn stop(&self) {
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

    /// Waits until something may have been appended after `position`.
    pub(super) async fn wait(&self, position: Position) {
        let (mut open, mut hint) = (self.ears.open.subscribe(), self.ears.hint.subscribe());
        let was_open = *open.borrow_and_update();
        if !was_open {
            self.listening.get_or_init(|| tokio::spawn(self.ears.clone().listen()));
        }
        // Nothing is heard of what others append before somebody listens: then it is time to look.
        let _ = timeout(POLL, async {
            tokio::select! {
                _ = hint.wait_for(|last| *last > position) => {}
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
            tracing::warn!(%error, "listening for appends failed; followers poll meanwhile");
            tokio::time::sleep(RELISTEN).await;
        }
    }

    async fn listener(&self) -> Result<PgListener, sqlx::Error> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen(&self.channel).await?;
        Ok(listener)
    }

    /// Listens until that fails.
    async fn listen_with(&self, mut listener: PgListener) -> sqlx::Error {
        loop {
            match listener.recv().await {
                Ok(notification) => {
                    if let Ok(position) = notification.payload().parse() {
                        self.heard(Position::new(position));
                    }
                }
                Err(error) => return error,
            }
        }
    }
}
