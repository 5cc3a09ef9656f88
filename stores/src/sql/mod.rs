//! Code that the stores on SQLite and PostgreSQL share.
//!
//! | File | What is in it |
//! |---|---|
//! | `append_hints` | the end of the log as this process has heard of it |
//! | `batch_builder` | appends that can share a transaction, and the limits of a batch |
//! | `connection_pool` | connections that are kept between statements |
//! | `connections` | statements on them, with a bound, and again if a connection was cut |
//! | `fast_path` | batches that are accepted as a whole or not at all |
//! | `generation` | generations of views (R5) |
//! | `group_commit` | concurrent appends that share a transaction |
//! | `hook` | transaction hooks and their errors |
//! | `identifier` | names that stand in the text of statements |
//! | `index_name` | names of the indexes of views |
//! | `page_limit` | the limits of a page of events: number and bytes |
//! | `parked` | parked keys and the events behind them (R4) |
//! | `query_plan` | a query as parts that one index each answers in log order |
//! | `range` | rows of a view in the order of their keys |
//! | `row` | columns of rows |
//! | `schema_version` | the version of the schema |
//! | `shard` | leases and epochs of shards (R1) |
//! | `snapshot` | snapshots |
//! | `spec_cache` | the views that this process has opened |
//! | `stop` | stops of shards as they are stored |
//! | `store` | a SQL store as the code sees it that both share |
//! | `transfer` | moving a log to another store |
//! | `uncancellable` | calls that run to their end although their caller goes away |
//! | `view` | opening and reading views (R1) |
//! | `view_changes` | changes of views that this process knows of |

pub(crate) mod append_hints;
mod batch_builder;
pub(crate) mod connection_pool;
pub(crate) mod connections;
pub(crate) mod fast_path;
pub(crate) mod generation;
pub(crate) mod group_commit;
pub(crate) mod hook;
pub(crate) mod identifier;
pub(crate) mod index_name;
pub(crate) mod page_limit;
pub(crate) mod parked;
pub(crate) mod query_plan;
pub(crate) mod range;
pub(crate) mod row;
pub(crate) mod schema_version;
pub(crate) mod shard;
pub(crate) mod snapshot;
pub(crate) mod spec_cache;
pub(crate) mod stop;
pub(crate) mod store;
pub(crate) mod transfer;
pub(crate) mod uncancellable;
pub(crate) mod view;
pub(crate) mod view_changes;
