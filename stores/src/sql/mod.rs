//! Code that the stores on SQLite and PostgreSQL share.
//!
//! | File | What is in it |
//! |---|---|
//! | `batch_builder` | appends that can share a transaction |
//! | `connections` | connections that are kept between statements |
//! | `fast_path` | batches that are accepted as a whole or not at all |
//! | `group_commit` | concurrent appends that share a transaction |
//! | `hook` | transaction hooks and their errors |
//! | `identifier` | names that stand in the text of statements |
//! | `index_name` | names of the indexes of views |
//! | `query_plan` | a query as parts that one index each answers in log order |
//! | `schema_version` | the version of the schema |
//! | `spec_cache` | the views that this process has opened |
//! | `stop` | stops of shards as they are stored |
//! | `uncancellable` | calls that run to their end although their caller goes away |
//! | `view_changes` | changes of views that this process knows of |

mod batch_builder;
pub(crate) mod connections;
pub(crate) mod fast_path;
pub(crate) mod group_commit;
pub(crate) mod hook;
pub(crate) mod identifier;
pub(crate) mod index_name;
pub(crate) mod query_plan;
pub(crate) mod schema_version;
pub(crate) mod spec_cache;
pub(crate) mod stop;
pub(crate) mod uncancellable;
pub(crate) mod view_changes;
