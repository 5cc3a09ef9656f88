//! The store under test, as its adapter provides it: an empty store, and a way to open it again.

use std::{any::Any, fmt, future::Future, sync::Arc};

use futures_util::{FutureExt as _, future::BoxFuture};
use highwater_core::port::{Limits, Store};

/// A separate empty store for one property. Clones share the store.
#[derive(Clone)]
pub struct Fixture {
    store: Arc<dyn Store>,
    limits: Limits,
    open: Opener,
    /// A guard that is dropped after the property has run, for example a temporary directory.
    guard: Arc<dyn Any + Send + Sync>,
}

type Opener = Arc<dyn Fn() -> BoxFuture<'static, Arc<dyn Store>> + Send + Sync>;

impl Fixture {
    /// Opens the store with `open`, which is called again for a second handle to the same data, as
    /// another process would have. Assumes the default limits.
    pub async fn new<S, F>(open: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        S: Store,
        F: Future<Output = S> + Send + 'static,
    {
        let open: Opener =
            Arc::new(move || open().map(|store| Arc::new(store) as Arc<dyn Store>).boxed());
        Self { store: open().await, limits: Limits::default(), open, guard: Arc::new(()) }
    }

    /// Holds `guard` until the property has run.
    #[must_use]
    pub fn keeping(self, guard: impl Any + Send + Sync) -> Self {
        Self { guard: Arc::new((self.guard, guard)), ..self }
    }

    /// Sets the limits of the store, if they are not the default ones.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Returns the store.
    #[must_use]
    pub fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    /// Opens another handle to the same data.
    pub async fn reopen(&self) -> Arc<dyn Store> {
        (self.open)().await
    }

    /// Returns the limits of the store.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").field("limits", &self.limits).finish_non_exhaustive()
    }
}
