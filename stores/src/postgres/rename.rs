//! The names of views: a view that was renamed is renamed here with all its generations, and its former name is refused.

use highwater_core::{
    Result,
    domain::{ViewName, ViewSpec},
};
use sqlx::AssertSqlSafe;

use super::{
    error::{classify, classify_view},
    table::{OPENING, PostgresTable},
};
use crate::fencing::view_renamed;

impl PostgresTable<'_> {
    /// Renames a view that exists under a former name, with all that belongs to it.
    pub(super) async fn rename(&mut self) -> Result<()> {
        let new = &self.spec.name;
        let Some(old) = self.former_name().await? else { return Ok(()) };
        let schema = self.schema.as_str();
        for number in self.generations(&old).await? {
            self.rename_generation(&old.of_generation(number), number).await?;
        }
        self.execute(format!("alter view if exists {schema}.live_{old} rename to live_{new}"))
            .await?;
        let note =
            "update @schema@.views set formerly = formerly || $2::text where generation_of = $1";
        let noted = sqlx::query(self.schema.sql(note)).bind(new.as_str()).bind(old.as_str());
        let noted = noted.execute(&mut *self.connection).await;
        noted.map_err(classify_view(OPENING, new))?;
        tracing::info!(schema, %old, %new, "renamed a view");
        Ok(())
    }

    async fn rename_generation(&mut self, old: &ViewName, number: u32) -> Result<()> {
        let view = &self.spec.name;
        let new = view.of_generation(number);
        let schema = self.schema.as_str();
        self.execute(format!("alter table if exists {schema}.rows_{old} rename to rows_{new}"))
            .await?;
        for table in ["views", "shards", "workers", "parked_keys"] {
            let sql = format!("update {schema}.{table} set view = $1 where view = $2");
            let renamed = sqlx::query(AssertSqlSafe(sql)).bind(new.as_str()).bind(old.as_str());
            let renamed = renamed.execute(&mut *self.connection).await;
            renamed.map_err(classify_view(OPENING, view))?;
        }
        let belongs = "update @schema@.views set generation_of = $1 where view = $2";
        let belongs = sqlx::query(self.schema.sql(belongs)).bind(view.as_str()).bind(new.as_str());
        let belongs = belongs.execute(&mut *self.connection).await;
        belongs.map(drop).map_err(classify_view(OPENING, view))
    }

    /// Returns the numbers of the generations of a view.
    async fn generations(&mut self, view: &ViewName) -> Result<Vec<u32>> {
        let sql = "select generation from @schema@.views where coalesce(generation_of, view) = $1";
        let numbers = sqlx::query_scalar(self.schema.sql(sql)).bind(view.as_str());
        let numbers = numbers.fetch_all(&mut *self.connection).await;
        let numbers: Vec<i64> = numbers.map_err(classify(OPENING))?;
        Ok(numbers.into_iter().filter_map(|number| number.try_into().ok()).collect())
    }

    /// Returns the former name under which the view exists.
    async fn former_name(&mut self) -> Result<Option<ViewName>> {
        let ViewSpec { name: new, formerly, .. } = self.spec;
        if formerly.is_empty() {
            return Ok(None);
        }
        let names: Vec<&str> = formerly.iter().chain([new]).map(ViewName::as_str).collect();
        let sql = self.schema.sql(
            "select distinct coalesce(generation_of, view) from @schema@.views \
             where coalesce(generation_of, view) = any($1)",
        );
        let found = sqlx::query_scalar(sql).bind(names).fetch_all(&mut *self.connection).await;
        let found: Vec<String> = found.map_err(classify(OPENING))?;
        let exists = |name: &ViewName| found.iter().any(|found| found == name.as_str());
        Ok(formerly.iter().find(|old| exists(old) && !exists(new)).cloned())
    }

    /// Refuses a name that a view had before it was renamed.
    pub(super) async fn check_name(&mut self) -> Result<()> {
        let name = &self.spec.name;
        let sql = self.schema.sql(
            "select coalesce(generation_of, view) from @schema@.views where $1 = any(formerly) \
             and not exists (select from @schema@.views where coalesce(generation_of, view) = $1)",
        );
        let new = sqlx::query_scalar(sql).bind(name.as_str());
        let new: Option<String> =
            new.fetch_optional(&mut *self.connection).await.map_err(classify(OPENING))?;
        new.map_or(Ok(()), |new| Err(view_renamed(name, &new)))
    }
}
