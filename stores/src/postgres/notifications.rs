//! Notifies other processes of changes of views: after the commit and beside it, all pending changes at
//! once.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use highwater_core::{domain::ViewName, value::ShardId};
use sqlx::Postgres;
use tokio::sync::Notify;

use super::{background::BackgroundTask, options::Schema};
use crate::sql::{connections::Connections, view_changes::ViewChange};

pub(super) struct Notifier {
    publisher: NotificationPublisher,
    task: BackgroundTask,
}

#[derive(Clone)]
struct NotificationPublisher {
    connections: Arc<Connections<Postgres>>,
    channel: Arc<str>,
    pending: Arc<PendingNotifications>,
}

/// The last change of each kind is enough.
type LatestChanges = HashMap<(ViewName, Option<ShardId>), ViewChange>;

#[derive(Default)]
struct PendingNotifications {
    changes: Mutex<LatestChanges>,
    added: Notify,
}

impl PendingNotifications {
    fn changes(&self) -> MutexGuard<'_, LatestChanges> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notifier {
    pub(super) fn new(connections: &Arc<Connections<Postgres>>, schema: &Schema) -> Self {
        let publisher = NotificationPublisher {
            connections: Arc::clone(connections),
            channel: schema.view_channel().into(),
            pending: Arc::default(),
        };
        Self { publisher, task: BackgroundTask::default() }
    }

    /// Queues a change. The task that sends it starts with the first one.
    pub(super) fn notify(&self, change: ViewChange) {
        let key = match &change {
            ViewChange::Moved(view, shard, _) => (view.clone(), Some(*shard)),
            ViewChange::Other(view) => (view.clone(), None),
        };
        self.publisher.pending.changes().insert(key, change);
        self.publisher.pending.added.notify_one();
        self.task.ensure(|| self.publisher.clone().run());
    }

    pub(super) fn stop(&self) {
        self.task.stop();
    }
}

impl NotificationPublisher {
    async fn run(self) {
        loop {
            self.pending.added.notified().await;
            let changes = mem::take(&mut *self.pending.changes());
            let payloads: Vec<String> = changes.values().map(ViewChange::to_string).collect();
            let sql = "select pg_notify($1, change) from unnest($2::text[]) change";
            let query = sqlx::query(sql).bind(&*self.channel).bind(payloads);
            if let Err(error) = self.connections.execute(query).await {
                tracing::debug!(%error, "sending notifications failed; other processes poll");
            }
        }
    }
}
