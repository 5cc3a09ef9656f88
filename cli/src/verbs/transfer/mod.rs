//! A log in a file, and back: export and import.
//!
//! | File | What is in it |
//! |---|---|
//! | `line` | an event or a command as a line of the file, exact to the byte |
//! | `lines` | the lines of a file, with their numbers |
//! | `entries` | the same of a log, page by page |
//! | `export` | from a log into a file |
//! | `import` | from a file into a log |
//! | `progress` | a bar on a terminal, or a line every few seconds |

mod entries;
pub(crate) mod export;
pub(crate) mod import;
mod line;
mod lines;
mod progress;
