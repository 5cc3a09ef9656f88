//! Names of the indexes of views: stable, and short enough for PostgreSQL.

use highwater_core::domain::{Index, ViewName};
use xxhash_rust::xxh3::xxh3_64;

/// The longest name that PostgreSQL does not truncate.
const MAX_LENGTH: usize = 63;

/// Returns the name of an index over these columns of a view, if no other index has it. The names of
/// tables begin differently, so no table has it.
pub(crate) fn index_name(prefix: &str, view: &ViewName, index: Index) -> String {
    let name = readable_index_name(prefix, view, index);
    if name.len() <= MAX_LENGTH { name } else { hashed_index_name(prefix, view, index) }
}

/// Returns the name of that index if the readable one is taken: `a` by `b_c` and `a` by `b` and `c` have
/// the same readable name.
pub(crate) fn hashed_index_name(prefix: &str, view: &ViewName, index: Index) -> String {
    let hash = xxh3_64(format!("{prefix} {view} {}", index.join(" ")).as_bytes());
    let start: String =
        readable_index_name(prefix, view, index).chars().take(MAX_LENGTH - 17).collect();
    format!("{start}_{hash:016x}")
}

fn readable_index_name(prefix: &str, view: &ViewName, index: Index) -> String {
    format!("{prefix}index_{view}_by_{}", index.join("_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_readable_and_long_names_differ() {
        let view = ViewName::new("balances").unwrap();
        assert_eq!(index_name("", &view, &["owner", "cents"]), "index_balances_by_owner_cents");
        let long: [Index; 2] = [
            &["a_column_with_a_rather_long_name", "the_first_of_two"],
            &["a_column_with_a_rather_long_name", "the_second_of_two"],
        ];
        let [one, other] = long.map(|index| index_name("", &view, index));
        assert_ne!(one, other);
        assert_eq!((one.len(), other.len()), (63, 63));
        assert!(one.starts_with("index_balances_by_a_column"), "{one}");
    }

    /// Indexes are found by their columns, but scripts of operators know them by name.
    #[test]
    fn names_stay_the_same_from_version_to_version() {
        let view = ViewName::new("a").unwrap();
        let name = hashed_index_name("", &view, &["b", "c"]);
        assert_eq!(name, "index_a_by_b_c_d8a28ebc4b30faba");
    }
}
