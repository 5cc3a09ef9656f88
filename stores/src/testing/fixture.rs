//! What an adapter gives the suite: an empty store, and a way to open it again.

use std::{any::Any, fmt, future::Future, sync::Arc};

use futures_util::{FutureExt as _, future::BoxFuture};
use highwater_core::port::{Limits, Store};

/// An empty store of its own for one property. A clone is the same.
#[derive(Clone)]
pub struct Fixture {
    store: Arc<dyn Store>,
    limits: Limits,
    open: Opener,
    /// Kept until the property has been tried: a temporary directory, say.
    guard: Arc<dyn Any + Send + Sync>,
}

type Opener = Arc<dyn Fn() -> BoxFuture<'static, Arc<dyn Store>> + Send + Sync>;

impl Fixture {
    /// The store that `open` opens. It is called again for a second handle to the same data, such as
    /// another process would have. The default limits are taken for the store's.
    pub async fn new<S, F>(open: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        S: Store,
        F: Future<Output = S> + Send + 'static,
    {
        let open: Opener =
            Arc::new(move || open().map(|store| Arc::new(store) as Arc<dyn Store>).boxed());
        Self { store: open().await, limits: Limits::default(), open, guard: Arc::new(()) }
    }

    /// Keeps `guard` until the property has been tried.
    #[must_use]
    pub fn keeping(self, guard: impl Any + Send + Sync) -> Self {
        Self { guard: Arc::new((self.guard, guard)), ..self }
    }

    /// Says which limits the store has, if not the default ones.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    /// Another handle to the same data.
    pub async fn reopen(&self) -> Arc<dyn Store> {
        (self.open)().await
    }

    /// The limits of the store.
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
