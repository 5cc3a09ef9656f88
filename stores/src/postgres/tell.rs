//! Telling other processes of views that have changed: after the commit and beside it, all that has
//! gathered at once.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use highwater_core::{domain::ViewName, value::ShardId};
use sqlx::Postgres;
use tokio::{sync::Notify, task::JoinHandle};

use super::options::Schema;
use crate::{hints::Hint, lanes::Lanes};

pub(super) struct Telling {
    mouth: Mouth,
    task: OnceLock<JoinHandle<()>>,
}

#[derive(Clone)]
struct Mouth {
    lanes: Arc<Lanes<Postgres>>,
    channel: Arc<str>,
    untold: Arc<Untold>,
}

/// The last hint of each kind is enough.
type Hints = HashMap<(ViewName, Option<ShardId>), Hint>;

#[derive(Default)]
struct Untold {
    hints: Mutex<Hints>,
    more: Notify,
}

impl Untold {
    fn hints(&self) -> MutexGuard<'_, Hints> {
        self.hints.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Telling {
    pub(super) fn new(lanes: &Arc<Lanes<Postgres>>, schema: &Schema) -> Self {
        let channel = schema.channel_of_views().into();
        let mouth = Mouth { lanes: Arc::clone(lanes), channel, untold: Arc::default() };
        Self { mouth, task: OnceLock::new() }
    }

    pub(super) fn tell(&self, hint: Hint) {
        let key = match &hint {
            Hint::Moved(view, shard, _) => (view.clone(), Some(*shard)),
            Hint::Other(view) => (view.clone(), None),
        };
        self.mouth.untold.hints().insert(key, hint);
        self.mouth.untold.more.notify_one();
        self.task.get_or_init(|| tokio::spawn(self.mouth.clone().tell()));
    }

    pub(super) fn stop(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl Mouth {
    async fn tell(self) {
        loop {
            self.untold.more.notified().await;
            let hints = mem::take(&mut *self.untold.hints());
            let payloads: Vec<String> = hints.values().map(Hint::to_string).collect();
            let sql = "select pg_notify($1, hint) from unnest($2::text[]) hint";
            let tell = sqlx::query(sql).bind(&*self.channel).bind(payloads);
            if let Err(error) = self.lanes.execute(tell).await {
                tracing::debug!(%error, "views have changed, and others find out by a poll");
            }
        }
    }
}
