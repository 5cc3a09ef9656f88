//! Wakes followers: at once by NOTIFY, and by polling as the safety net. A process listens from the first
//! wait on, so a process that only writes does not receive its own notifications.
//!
//! Changes of views are notified after their commit, in a transaction of its own: NOTIFY holds a lock of
//! the whole cluster until the end of its transaction, including the flush. A transaction with only a
//! notification has nothing to flush.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use highwater_core::{Position, Result, domain::ViewName, port::ViewState};
use sqlx::{
    Executor as _, Postgres,
    postgres::{PgConnectOptions, PgListener, PgNotification, PgPoolOptions},
};
use tokio::{sync::watch, time::timeout};

use super::{PostgresOptions, background::BackgroundTask, notifications::Notifier};
use crate::sql::{
    append_hints::{AppendHints, HeardHints},
    connection_pool::within,
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
    task: BackgroundTask,
    notifier: Notifier,
}

/// Listens for notifications, and keeps what it has received.
#[derive(Clone)]
struct Listener {
    connect: PgConnectOptions,
    max_wait: Duration,
    /// The time without a notification after which the connection has to give a sign of life, and the longest wait for
    /// that: a gateway may have dropped it without a word, and a network that went silent closes nothing.
    max_silence: Duration,
    append_channel: Arc<str>,
    view_channel: Arc<str>,
    appends: Arc<AppendHints>,
    changes: Arc<ViewChanges>,
    /// True while notifications arrive.
    is_listening: watch::Sender<bool>,
}

impl PostgresFollower {
    pub(super) fn new(options: &PostgresOptions, connections: &Arc<Connections<Postgres>>) -> Self {
        let schema = &options.schema;
        let listener = Listener {
            connect: options.connect.clone(),
            max_wait: options.connect_timeout,
            max_silence: options.answer_timeout,
            append_channel: schema.append_channel().into(),
            view_channel: schema.view_channel().into(),
            appends: Arc::default(),
            changes: Arc::new(ViewChanges::default()),
            is_listening: watch::Sender::new(false),
        };
        let notifier = Notifier::new(connections, schema);
        Self { listener, durable: AtomicU64::new(0), task: BackgroundTask::default(), notifier }
    }

    pub(super) fn stop(&self) {
        self.notifier.stop();
        self.task.stop();
    }

    /// Records an append that has been acknowledged: it is durable, and so are all earlier ones.
    pub(super) fn acknowledged(&self, position: Position) {
        self.flushed(position);
        self.listener.appends.record(position);
    }

    pub(super) fn flushed(&self, position: Position) {
        self.durable.fetch_max(position.get(), Ordering::AcqRel);
    }

    /// Returns what has been heard of the log before a read of it begins.
    pub(super) fn heard(&self) -> HeardHints {
        self.listener.appends.heard()
    }

    /// Records the head that a read has seen. Of a log that has become shorter, nothing later is durable.
    pub(super) fn saw_head(&self, head: Position, before: HeardHints) {
        if self.listener.appends.saw_head(head, before) {
            self.durable.fetch_min(head.get(), Ordering::AcqRel);
        }
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
        self.wait_for(self.listener.appends.wait(position)).await;
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
            self.task.ensure(|| self.listener.clone().run());
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
    /// Listens until the store is closed. While the connection is lost, followers poll.
    async fn run(self) {
        let _guard = NotListening(self.is_listening.clone());
        loop {
            let error = match within(self.max_wait, self.listen()).await {
                Ok(listener) => {
                    self.is_listening.send_replace(true);
                    let error = self.receive_all(listener).await;
                    self.is_listening.send_replace(false);
                    error
                }
                Err(error) => error,
            };
            tracing::warn!(%error, "listening failed; followers poll meanwhile");
            tokio::time::sleep(RECONNECT_DELAY).await;
        }
    }

    /// Listens with a connection of its own. A standby refuses that itself.
    async fn listen(&self) -> Result<PgListener, sqlx::Error> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(self.max_wait)
            .connect_lazy_with(self.connect.clone());
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen_all([&*self.append_channel, &*self.view_channel]).await?;
        Ok(listener)
    }

    /// Receives notifications until that fails, or the connection doesn't answer any more.
    async fn receive_all(&self, mut listener: PgListener) -> sqlx::Error {
        loop {
            match timeout(self.max_silence, listener.recv()).await {
                Ok(Ok(notification)) => self.receive(&notification),
                Ok(Err(error)) => return error,
                Err(_) => {
                    let sign_of_life = (&mut listener).execute("select 1");
                    if let Err(error) = within(self.max_silence, sign_of_life).await {
                        return error;
                    }
                }
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
            self.appends.record(Position::new(position));
        }
    }
}

/// Records that nothing is received when the listening task ends, even if its runtime has shut down.
struct NotListening(watch::Sender<bool>);

impl Drop for NotListening {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn w3_w7_a_log_that_became_shorter_is_believed() {
        let options = PostgresOptions::new("postgres://localhost:1/none").unwrap();
        let follower = PostgresFollower::new(&options, &Arc::new(options.open_connections()));
        let at = Position::new;
        follower.acknowledged(at(100));
        follower.saw_head(at(50), follower.heard());
        assert!(follower.wait(at(50)).now_or_never().is_none());
        assert!(follower.is_durable(at(50)) && !follower.is_durable(at(51)));
    }
}
