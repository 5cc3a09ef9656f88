//! The port of views on a SQL store. Both have the same files with the same functions, and this is all that
//! is to be said about how the port is answered by them.

/// Makes a store a `ViewStore` by the functions of the modules `view`, `range`, `commit`, `shard` and
/// `parked` beside it. What no store could have is refused before they are called. Each call goes on to its
/// end, whether or not its caller waits for it, but for reads of rows: they are many, leave nothing half
/// done, and the connection of one that is given up is looked at before it is used again.
macro_rules! sql_view_store {
    ($store:ty) => {
        const _: () = {
            use std::{sync::Arc, time::Duration};

            use highwater_core::{
                Position, Result,
                domain::{ViewName, ViewSpec},
                error::Unavailable,
                port::{
                    Claim, ClaimMode, KeyRange, Members, ParkedKey, StoredRange, StoredView,
                    ViewCommit, ViewState, ViewStore, WorkerId,
                },
                value::{Epoch, ShardId, Sharding},
            };

            use crate::{
                claims::is_same,
                rows::{check_key, check_range},
                unbroken::to_the_end,
            };

            #[async_trait::async_trait]
            impl ViewStore for $store {
                async fn open_view(&self, spec: &ViewSpec, layout: Sharding) -> Result<ViewState> {
                    let (inner, spec) = (Arc::clone(&self.inner), spec.clone());
                    to_the_end(async move { view::open(&inner, &spec, layout).await }).await
                }

                async fn read_view(&self, view: &ViewName, keys: &[String]) -> Result<StoredView> {
                    keys.iter().try_for_each(|key| check_key(key))?;
                    view::read(&self.inner, view, keys).await
                }

                async fn read_range(
                    &self,
                    view: &ViewName,
                    range: &KeyRange,
                    limit: usize,
                ) -> Result<StoredRange> {
                    check_range(range)?;
                    range::read(&self.inner, view, range, limit).await
                }

                async fn commit_view(&self, commit: ViewCommit) -> Result<()> {
                    let inner = Arc::clone(&self.inner);
                    to_the_end(async move { commit::commit(&inner, commit).await }).await
                }

                async fn claim_shard(
                    &self,
                    view: &ViewName,
                    layout: Sharding,
                    shard: ShardId,
                    worker: &WorkerId,
                    claiming: ClaimMode,
                    lease: Duration,
                ) -> Result<Option<Claim>> {
                    let (inner, view, worker) =
                        (Arc::clone(&self.inner), view.clone(), worker.clone());
                    to_the_end(async move {
                        shard::claim(&inner, &view, layout, shard, &worker, claiming, lease).await
                    })
                    .await
                }

                async fn heartbeat(
                    &self,
                    view: &ViewName,
                    worker: &WorkerId,
                    lease: Duration,
                ) -> Result<Members> {
                    let (inner, view, worker) =
                        (Arc::clone(&self.inner), view.clone(), worker.clone());
                    to_the_end(async move { shard::heartbeat(&inner, &view, &worker, lease).await })
                        .await
                }

                async fn release_shard(
                    &self,
                    view: &ViewName,
                    shard: ShardId,
                    epoch: Epoch,
                ) -> Result<()> {
                    let (inner, view) = (Arc::clone(&self.inner), view.clone());
                    to_the_end(async move { shard::release(&inner, &view, shard, epoch).await })
                        .await
                }

                async fn leave(&self, view: &ViewName, worker: &WorkerId) -> Result<()> {
                    let (inner, view, worker) =
                        (Arc::clone(&self.inner), view.clone(), worker.clone());
                    to_the_end(async move { shard::leave(&inner, &view, &worker).await }).await
                }

                async fn reshard(
                    &self,
                    view: &ViewName,
                    claims: &[Claim],
                    layout: Sharding,
                ) -> Result<()> {
                    let (inner, view, claims) =
                        (Arc::clone(&self.inner), view.clone(), claims.to_vec());
                    to_the_end(async move { shard::divide(&inner, &view, &claims, layout).await })
                        .await
                }

                async fn parked_keys(
                    &self,
                    view: &ViewName,
                    after: Option<&str>,
                    limit: usize,
                ) -> Result<Vec<ParkedKey>> {
                    after.map_or(Ok(()), check_key)?;
                    let (inner, view, after) =
                        (Arc::clone(&self.inner), view.clone(), after.map(str::to_owned));
                    to_the_end(
                        async move { parked::page(&inner, &view, after.as_deref(), limit).await },
                    )
                    .await
                }

                async fn queued_events(
                    &self,
                    view: &ViewName,
                    key: &str,
                    after: Position,
                    limit: usize,
                ) -> Result<Vec<Position>> {
                    check_key(key)?;
                    let (inner, view, key) =
                        (Arc::clone(&self.inner), view.clone(), key.to_owned());
                    to_the_end(
                        async move { parked::queued(&inner, &view, &key, after, limit).await },
                    )
                    .await
                }

                async fn retry_parked(&self, view: &ViewName, key: &str) -> Result<bool> {
                    check_key(key)?;
                    let (inner, view, key) =
                        (Arc::clone(&self.inner), view.clone(), key.to_owned());
                    to_the_end(async move { parked::retry(&inner, &view, &key).await }).await
                }

                async fn wait_for_view_change(
                    &self,
                    view: &ViewName,
                    seen: &ViewState,
                ) -> Result<()> {
                    if self.inner.is_closed() {
                        return Err(Unavailable::Closed.into());
                    }
                    let (inner, looked) = (Arc::clone(&self.inner), view.clone());
                    let look = to_the_end(async move { view::state(&inner, &looked).await });
                    let is_same = async { Ok(is_same(&look.await?, seen)) };
                    self.inner.following.wait_for_view(view, seen, is_same).await
                }
            }
        };
    };
}

pub(crate) use sql_view_store;
