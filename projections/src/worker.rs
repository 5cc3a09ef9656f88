//! Feeding a keyed view directly from the store.

use std::{future::Future, marker::PhantomData, time::Duration};

use futures_util::future::{Either, select};
use highwater_core::{
    Error, Highwater, Query, Result, Span,
    port::{Checkpoint, LogPage, ViewCommit, ViewName},
    read::{View, read_ahead},
};
use quick_cache::unsync::Cache;
use tokio::{sync::watch, task::JoinHandle};

use crate::fold::{Batch, decode, encode};

/// How a worker goes about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How many events lie between two checkpoints at the most.
    pub batch: usize,
    /// How many rows are kept in memory between batches.
    pub cached_rows: usize,
    /// How long to wait after an error that may pass; it doubles up to a hundred times that.
    pub pause: Duration,
}

impl Default for Options {
    /// 5,000 events, 100,000 rows, 50 ms.
    fn default() -> Self {
        Self { batch: 5_000, cached_rows: 100_000, pause: Duration::from_millis(50) }
    }
}

/// A worker that feeds a view in a task of this process, until it is stopped or dropped.
#[derive(Debug)]
pub struct ViewWorker<V> {
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<Result<()>>>,
    view: PhantomData<fn() -> V>,
}

impl<V: View> ViewWorker<V> {
    /// Starts feeding the view. Its table is there when this returns.
    ///
    /// # Errors
    /// As [`ViewStore::open_view`](highwater_core::port::ViewStore::open_view).
    pub async fn start(highwater: &Highwater, options: Options) -> Result<Self> {
        let name = ViewName::new(V::NAME)?;
        highwater.views().open_view(&name).await?;
        let (stop, mut stopped) = watch::channel(false);
        let highwater = highwater.clone();
        let task = tokio::spawn(async move {
            let shutdown = async move {
                // An error means that the worker has been dropped: stop as well.
                let _ = stopped.wait_for(|stop| *stop).await;
            };
            let outcome = run::<V>(&highwater, options, shutdown).await;
            if let Err(error) = &outcome {
                tracing::error!(view = V::NAME, %error, code = %error.code(), "view stopped");
            }
            outcome
        });
        Ok(Self { stop, task: Some(task), view: PhantomData })
    }

    /// Stops. A batch under way is committed whole or not at all.
    ///
    /// # Errors
    /// What made the worker stop before, if anything did.
    pub async fn stop(mut self) -> Result<()> {
        self.stop.send_replace(true);
        match self.task.take() {
            None => Ok(()),
            Some(task) => task.await.unwrap_or_else(|error| {
                let source = highwater_core::error::Source::new(error);
                Err(highwater_core::error::Unavailable::unreachable("feeding a view", source)
                    .into())
            }),
        }
    }
}

/// Feeds a view until `shutdown`; a batch under way is then committed whole or not at all.
///
/// Rows and checkpoint are written in one transaction (R1). What may pass is retried; if another
/// worker feeds the same view, whoever comes second finds the checkpoint moved and goes on from
/// there.
///
/// # Errors
/// [`Corrupt`](Error::Corrupt) if an event or a row can't be decoded, [`Invalid`](Error::Invalid) if
/// a row can't be encoded: the view stops rather than pass it.
pub async fn run<V: View>(
    highwater: &Highwater,
    options: Options,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let mut shutdown = std::pin::pin!(shutdown);
    let mut pause = options.pause;
    loop {
        let name = ViewName::new(V::NAME)?;
        let mut feed =
            Feed::<V> { highwater, name, rows: Cache::new(options.cached_rows), options };
        match select(std::pin::pin!(feed.follow(&mut pause)), shutdown.as_mut()).await {
            Either::Right(_) => return Ok(()),
            Either::Left((Err(error), _)) if error.is_retryable() => {
                tracing::warn!(view = V::NAME, %error, "feeding a view; trying again");
            }
            Either::Left((outcome, _)) => return outcome,
        }
        let wait = highwater.clock().sleep(pause);
        if let Either::Right(_) = select(wait, shutdown.as_mut()).await {
            return Ok(());
        }
        pause = (pause * 2).min(options.pause * 100);
    }
}

struct Feed<'a, V: View> {
    highwater: &'a Highwater,
    name: ViewName,
    /// Rows as the last commit left them. A commit that finds the checkpoint moved ends the feed,
    /// and the rows with it.
    rows: Cache<String, V>,
    options: Options,
}

impl<V: View> Feed<'_, V> {
    async fn follow(&mut self, pause: &mut Duration) -> Result<()> {
        let log = self.highwater.log();
        let query = Query::all().narrowed_to::<V::Event>();
        let mut checkpoint = self.highwater.views().open_view(&self.name).await?;
        let mut page =
            log.read_log(&query, Span::After(checkpoint.position), self.options.batch).await?;
        loop {
            if page.through == checkpoint.position {
                log.appended(checkpoint.position).await?;
                page = log
                    .read_log(&query, Span::After(checkpoint.position), self.options.batch)
                    .await?;
                continue;
            }
            let after = Span::After(page.through);
            if page.more {
                let read = log.read_log(&query, after, self.options.batch);
                let (next, written) = read_ahead(read, self.apply(checkpoint, &page)).await;
                (checkpoint, page) = (written?, next?);
            } else {
                checkpoint = self.apply(checkpoint, &page).await?;
                page = log.read_log(&query, after, self.options.batch).await?;
            }
            *pause = self.options.pause;
        }
    }

    /// Folds a page and commits it; gives the new checkpoint.
    async fn apply(&mut self, from: Checkpoint, page: &LogPage) -> Result<Checkpoint> {
        let batch = Batch::<V>::of(&page.events)?;
        let mut rows = self.rows_of(&batch.keys).await?;
        batch.fold(&mut rows, &page.events);
        let as_of = page.events.last().map_or(from.as_of, |event| event.recorded_at);
        let to = Checkpoint { position: page.through, as_of };
        let encoded = batch
            .keys
            .iter()
            .zip(&rows)
            .map(|(key, row)| Ok((key.clone(), Some(encode(&self.name, key, row)?))));
        let commit = ViewCommit {
            view: self.name.clone(),
            from: from.position,
            to,
            rows: encoded.collect::<Result<_, Error>>()?,
        };
        self.highwater.views().commit_view(commit).await?;
        for (key, row) in batch.keys.into_iter().zip(rows) {
            self.rows.insert(key, row);
        }
        Ok(to)
    }

    /// The rows of these keys: from memory, the missing ones by one query, new ones empty.
    async fn rows_of(&self, keys: &[String]) -> Result<Vec<V>> {
        let missing: Vec<String> =
            keys.iter().filter(|key| self.rows.get(key.as_str()).is_none()).cloned().collect();
        let mut loaded = match missing.is_empty() {
            true => Vec::new(),
            false => self.highwater.views().read_view(&self.name, &missing).await?.rows,
        }
        .into_iter();
        let mut rows = Vec::with_capacity(keys.len());
        for key in keys {
            rows.push(match self.rows.get(key.as_str()) {
                Some(row) => row.clone(),
                None => match loaded.next().flatten() {
                    Some(row) => decode(&self.name, key, &row)?,
                    None => V::default(),
                },
            });
        }
        Ok(rows)
    }
}
