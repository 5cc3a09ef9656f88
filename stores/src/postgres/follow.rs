//! Wakes followers: at once by NOTIFY, and by polling as the safety net. A process listens from the first
//! wait on, so a process that only writes does not receive its own notifications.
//!
//! Changes of views are notified after their commit, in a transaction of its own: NOTIFY holds a lock of
//! the whole cluster until the end of its transaction, including the flush. A transaction with only a
//! notification has nothing to flush.

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

use super::{notifications::Notifier, options::Schema};
use crate::sql::{
    connections::Connections,
    view_changes::{ViewChange, ViewChanges},
};

/// The longest wait before a follower reads again.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The wait before listening again after the connection was lost.
const RECONNECT_DELAY: Duration = Duration::from_millis(250);

pub(super) struct PostgresFollower {
    listener: Listener,
    /// The log is flushed up to this position, so these events can't be lost.
    durable: AtomicU64,
    task: OnceLock<JoinHandle<()>>,
    notifier: Notifier,
}

/// Listens for notifications, and keeps what it has received.
#[derive(Clone)]
struct Listener {
    pool: PgPool,
    append_channel: Arc<str>,
    view_channel: Arc<str>,
    /// The last position that this process knows of.
    last_append: watch::Sender<Position>,
    changes: Arc<ViewChanges>,
    /// True while notifications arrive.
    is_listening: watch::Sender<bool>,
}

impl PostgresFollower {
    pub(super) fn new(
        pool: PgPool,
        connections: &Arc<Connections<Postgres>>,
        schema: &Schema,
    ) -> Self {
        let listener = Listener {
            pool,
            append_channel: schema.append_channel().into(),
            view_channel: schema.view_channel().into(),
            last_append: watch::Sender::new(Position::START),
            changes: Arc::new(ViewChanges::default()),
            is_listening: watch::Sender::new(false),
        };
        let notifier = Notifier::new(connections, schema);
        Self { listener, durable: AtomicU64::new(0), task: OnceLock::new(), notifier }
    }

    pub(super) fn stop(&self) {
        self.notifier.stop();
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }

    /// Records an append that has been acknowledged: it is durable, and so are all earlier ones.
    pub(super) fn acknowledged(&self, position: Position) {
        self.flushed(position);
        self.listener.record_append(position);
    }

    pub(super) fn flushed(&self, position: Position) {
        self.durable.fetch_max(position.get(), Ordering::AcqRel);
    }

    pub(super) fn is_durable(&self, position: Position) -> bool {
        position.get() <= self.durable.load(Ordering::Acquire)
    }

    /// Records a change of a view, and notifies other processes.
    pub(super) fn changed(&self, change: ViewChange) {
        self.listener.changes.record(&change);
        self.notifier.notify(change);
    }

    /// Waits until there may be events after `position`.
    pub(super) async fn wait(&self, position: Position) {
        let mut last_append = self.listener.last_append.subscribe();
        let appended = last_append.wait_for(|last| *last > position);
        self.wait_for(async { drop(appended.await) }).await;
    }

    /// Waits until a view may have changed since it was seen.
    pub(super) async fn wait_for_view(
        &self,
        view: &ViewName,
        seen: &ViewState,
        is_unchanged: impl Future<Output = Result<bool>>,
    ) -> Result<()> {
        let mut waiter = self.listener.changes.subscribe(view, seen);
        if !waiter.has_missed(is_unchanged).await? {
            self.wait_for(waiter.changed()).await;
        }
        Ok(())
    }

    /// Waits for a notification, but no longer than the poll interval.
    async fn wait_for(&self, notification: impl Future<Output = ()>) {
        let mut is_listening = self.listener.is_listening.subscribe();
        let was_listening = *is_listening.borrow_and_update();
        if !was_listening {
            self.task.get_or_init(|| tokio::spawn(self.listener.clone().run()));
        }
        // Changes before the process listens are not notified to it: it has to read once then.
        let _ = timeout(POLL_INTERVAL, async {
            tokio::select! {
                () = notification => {}
                _ = is_listening.wait_for(|listening| *listening), if !was_listening => {}
            }
        })
        .await;
    }
}

impl Drop for PostgresFollower {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Listener {
    fn record_append(&self, position: Position) {
        self.last_append.send_if_modified(|last| {
            let is_later = position > *last;
            *last = position.max(*last);
            is_later
        });
    }

    /// Listens until the store is closed. While the connection is lost, followers poll.
    async fn run(self) {
        loop {
            let error = match self.connect().await {
                Ok(listener) => {
                    self.is_listening.send_replace(true);
                    let error = self.receive_all(listener).await;
                    self.is_listening.send_replace(false);
                    error
                }
                Err(error) => error,
            };
            if self.pool.is_closed() {
                tracing::debug!(%error, "the store is closed; no longer listening");
                return;
            }
            tracing::warn!(%error, "listening failed; followers poll meanwhile");
            tokio::time::sleep(RECONNECT_DELAY).await;
        }
    }

    async fn connect(&self) -> Result<PgListener, sqlx::Error> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen_all([&*self.append_channel, &*self.view_channel]).await?;
        Ok(listener)
    }

    /// Receives notifications until that fails.
    async fn receive_all(&self, mut listener: PgListener) -> sqlx::Error {
        loop {
            match listener.recv().await {
                Ok(notification) => self.receive(&notification),
                Err(error) => return error,
            }
        }
    }

    fn receive(&self, notification: &PgNotification) {
        let payload = notification.payload();
        if notification.channel() == &*self.view_channel {
            if let Ok(change) = payload.parse() {
                self.changes.record(&change);
            }
        } else if let Ok(position) = payload.parse() {
            self.record_append(Position::new(position));
        }
    }
}
