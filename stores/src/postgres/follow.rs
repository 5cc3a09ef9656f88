//! Waking followers: at once by NOTIFY, and by a poll as the safety net.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use highwater_core::{Position, Result};
use sqlx::{PgPool, postgres::PgListener};
use tokio::{sync::watch, task::JoinHandle};

use super::{error::classify, options::Schema};

/// How long a follower waits at the most before it looks for itself.
const POLL: Duration = Duration::from_secs(1);
/// How long to wait before listening again after the connection was lost.
const RELISTEN: Duration = Duration::from_millis(250);

pub(super) struct Following {
    /// The last position that somebody is known to have appended.
    hint: watch::Sender<Position>,
    /// Up to here the log is known to be flushed, so that nothing of it can be lost.
    durable: AtomicU64,
    listening: std::sync::OnceLock<JoinHandle<()>>,
}

impl Following {
    pub(super) async fn start(pool: &PgPool, schema: &Schema) -> Result<Arc<Self>> {
        let following = Arc::new(Self {
            hint: watch::Sender::new(Position::START),
            durable: AtomicU64::new(0),
            listening: std::sync::OnceLock::new(),
        });
        let channel = schema.channel();
        let listener = listen(pool, &channel).await.map_err(classify("listening"))?;
        let hint = following.hint.clone();
        let task = tokio::spawn(relay(listener, pool.clone(), channel, hint));
        following.listening.get_or_init(|| task);
        Ok(following)
    }

    pub(super) fn stop(&self) {
        if let Some(task) = self.listening.get() {
            task.abort();
        }
    }

    /// Notes an append that has been acknowledged: it is durable, and all before it.
    pub(super) fn acknowledged(&self, position: Position) {
        self.flushed(position);
        advance(&self.hint, position);
    }

    pub(super) fn flushed(&self, position: Position) {
        self.durable.fetch_max(position.get(), Ordering::AcqRel);
    }

    pub(super) fn is_durable(&self, position: Position) -> bool {
        position.get() <= self.durable.load(Ordering::Acquire)
    }

    pub(super) async fn wait(&self, position: Position) {
        let mut hint = self.hint.subscribe();
        // An error would mean that the sender is gone, but it is in `self`.
        let _ = tokio::time::timeout(POLL, hint.wait_for(|last| *last > position)).await;
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.stop();
    }
}

fn advance(hint: &watch::Sender<Position>, position: Position) {
    hint.send_if_modified(|last| {
        let later = position > *last;
        *last = position.max(*last);
        later
    });
}

async fn listen(pool: &PgPool, channel: &str) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(channel).await?;
    Ok(listener)
}

/// Passes notifications on as hints. While it doesn't listen, followers poll.
async fn relay(
    mut listener: PgListener,
    pool: PgPool,
    channel: String,
    hint: watch::Sender<Position>,
) {
    loop {
        match listener.recv().await {
            Ok(notification) => {
                if let Ok(position) = notification.payload().parse() {
                    advance(&hint, Position::new(position));
                }
            }
            Err(error) if pool.is_closed() => {
                tracing::debug!(%error, "the store is closed; no longer listening");
                return;
            }
            Err(error) => {
                tracing::warn!(%error, "listening for appends failed; followers poll meanwhile");
                tokio::time::sleep(RELISTEN).await;
                if let Ok(again) = listen(&pool, &channel).await {
                    listener = again;
                }
            }
        }
    }
}
