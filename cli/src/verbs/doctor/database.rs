//! The database, before it is opened: opening it would migrate it.

use highwater::{
    Code,
    stores::examine::{Examination, StoreFinding, ViewWorkers},
};

use crate::{connection::Connection, outcome::ToolFailure};

/// The findings about the databases of the log and of the views.
pub(super) struct Databases {
    pub(super) findings: Vec<StoreFinding>,
    /// The workers of the views.
    pub(super) workers: Vec<ViewWorkers>,
    /// True if the stores can be opened, and opening them changes nothing.
    pub(super) can_be_opened: bool,
}

/// Looks at the databases that the arguments name.
pub(super) async fn examine(connection: &Connection) -> Result<Databases, ToolFailure> {
    let (log, views) = connection.urls()?;
    let mut all = Databases { findings: Vec::new(), workers: Vec::new(), can_be_opened: true };
    for url in [Some(log), views].into_iter().flatten() {
        match Examination::of(&url).await {
            Ok(examination) => all.add(examination),
            Err(error) => {
                all.findings.push(StoreFinding::of(&error));
                all.can_be_opened = false;
            }
        }
    }
    Ok(all)
}

impl Databases {
    fn add(&mut self, examination: Examination) {
        self.can_be_opened &= examination.is_current();
        // Without tables there is a finding that says more.
        let says_why = !examination.findings.is_empty();
        match examination.schema {
            0 if says_why => {}
            0 => self.findings.push(without_tables()),
            schema if schema < examination.known_schema => {
                self.findings.push(older(schema, examination.known_schema));
            }
            _ => {}
        }
        self.findings.extend(examination.findings);
        // Of the views, if they have a URL of their own: theirs is the last.
        self.workers = examination.workers;
    }
}

fn without_tables() -> StoreFinding {
    let message = "the database has no tables of Highwater under this name";
    let to_do = "correct `schema` or `prefix` in the URL, or start a program, which creates them";
    StoreFinding::error(message, to_do).with_code(Code::FOREIGN_DATABASE)
}

fn older(schema: usize, known: usize) -> StoreFinding {
    let message = format!(
        "the tables are of version {schema}, and this tool knows version {known}: they have not been looked at"
    );
    let to_do = "use the tool of the version of your programs; or back the database up, and start a program of this \
                 version, which migrates it";
    StoreFinding::warning(message, to_do)
}
