//! A file of policies: what holds unless something else is recorded.

use std::{
    path::{Path, PathBuf},
    sync::{MutexGuard, PoisonError},
};

use highwater_core::{
    Result,
    error::{Source as Reason, Unavailable},
};
use serde::Deserialize;

use super::{policies::Policies, record::Rules};
use crate::{
    config::{parse, read_file},
    metrics,
};

/// What a file says (TOML).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filed {
    /// Who has changed it.
    #[serde(default)]
    by: Option<String>,
    /// Why.
    #[serde(default)]
    why: Option<String>,
    #[serde(default)]
    operations: Rules,
}

/// A file that has been read, and what stood in it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Loaded {
    path: PathBuf,
    text: String,
}

impl Policies {
    /// Takes policies from a file, and remembers it: whoever [follows](Self::follow) takes up its edits.
    /// This and each edit are counted and a line of the process's log; the record has nothing of them.
    ///
    /// ```toml
    /// by = "ann"                          # for the log; both can be left out
    /// why = "customers miss their deposits"
    ///
    /// [operations."account.show"]
    /// policy = { level = { bounded = "2s" }, budget = "50ms", fallback = "serve_stale" }
    /// rollout = { percent = 10, policy = { level = "strong" } }
    ///
    /// [operations."account.list"]
    /// policy = { tier = "auxiliary" }
    /// ```
    ///
    /// # Errors
    /// [`Invalid`](highwater_core::Error::Invalid) if it can't be read or understood, names an operation that
    /// isn't [registered](Self::register), or one can't be read like that. Then nothing has changed.
    pub fn load(&self, file: impl AsRef<Path>) -> Result<()> {
        self.take(&Loaded::read(file.as_ref())?)
    }

    /// Has what stands in a file hold from now on. The history of a file is its own; this process tells
    /// what it has taken up of it, from the first time on.
    fn take(&self, loaded: &Loaded) -> Result<()> {
        let Filed { by, why, operations } = parse(&loaded.path, &loaded.text)?;
        self.shelf.filed(operations)?;
        let before = self.known_file().replace(loaded.clone());
        if before.as_ref() == Some(loaded) {
            return Ok(());
        }
        metrics::policies_changed("file");
        let (file, rules) = (loaded.path.display(), &loaded.text);
        match before {
            Some(_) => tracing::info!(%file, by, why, rules, "policies have changed"),
            None => tracing::info!(%file, by, why, rules, "policies are taken from a file"),
        }
        Ok(())
    }

    fn known_file(&self) -> MutexGuard<'_, Option<Loaded>> {
        self.shelf.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up an edit. A file that can't be understood leaves everything as it was, until it can.
    pub(super) async fn reload(&self) -> Result<()> {
        let known = self.known_file().clone();
        let Some(known) = known else { return Ok(()) };
        let path = known.path.clone();
        let read = tokio::task::spawn_blocking(move || Loaded::read(&path)).await;
        let now = read.map_err(|error| {
            Unavailable::unreachable("looking at the file of policies", Reason::new(error))
        })??;
        if now == known { Ok(()) } else { self.take(&now) }
    }
}

impl Loaded {
    fn read(path: &Path) -> Result<Self> {
        Ok(Self { path: path.to_owned(), text: read_file(path)? })
    }
}
