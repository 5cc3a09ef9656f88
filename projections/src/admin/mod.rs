//! Operations on views for operators, by name: they need no type of the application.
//!
//! | File | What is in it |
//! |---|---|
//! | `generations` | the generations of a view: list, promote, remove (R5) |

mod generations;

pub use generations::Generations;
