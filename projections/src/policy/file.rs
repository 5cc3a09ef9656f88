//! A file of policies: what holds unless something else is recorded.

use std::{
    path::{Path, PathBuf},
    sync::PoisonError,
};

use highwater_core::{
    Result,
    error::{Source as Reason, Unavailable},
};
use serde::Deserialize;

use super::{policies::Policies, record::Rules};
use crate::{
    metrics,
    service::{read_file, understand},
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
#[derive(Clone)]
pub(super) struct Loaded {
    path: PathBuf,
    text: String,
}

impl Policies {
    /// Takes policies from a file, and remembers it: whoever [follows](Self::follow) takes up its edits.
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
        let loaded = Loaded::read(file.as_ref())?;
        self.apply(&loaded)?;
        *self.shelf.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(loaded);
        Ok(())
    }

    fn apply(&self, loaded: &Loaded) -> Result<Filed> {
        let filed: Filed = understand(&loaded.path, &loaded.text)?;
        self.shelf.filed(filed.operations.clone())?;
        Ok(filed)
    }

    /// Takes up an edit. A file that can't be understood leaves everything as it was, until it can.
    pub(super) async fn reload(&self) -> Result<()> {
        let known = self.shelf.file.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(known) = known else { return Ok(()) };
        let path = known.path.clone();
        let read = tokio::task::spawn_blocking(move || Loaded::read(&path)).await;
        let now = read.map_err(|error| {
            Unavailable::unreachable("looking at the file of policies", Reason::new(error))
        })??;
        if now.text == known.text {
            return Ok(());
        }
        let Filed { by, why, .. } = self.apply(&now)?;
        metrics::policies_changed("file");
        let (file, rules) = (now.path.display(), &now.text);
        tracing::info!(%file, by, why, rules, "policies have changed");
        *self.shelf.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        Ok(())
    }
}

impl Loaded {
    fn read(path: &Path) -> Result<Self> {
        Ok(Self { path: path.to_owned(), text: read_file(path)? })
    }
}
