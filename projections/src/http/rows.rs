//! Rows and pages as JSON.

use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::{RowPage, RowSet};

#[derive(Serialize)]
struct Row<'a, V> {
    key: &'a str,
    value: &'a V,
}

#[derive(Serialize)]
struct Parked<'a> {
    key: &'a str,
    since: u64,
}

impl<V> RowSet<V> {
    fn listed(&self) -> Vec<Row<'_, V>> {
        self.rows.iter().map(|(key, value)| Row { key, value }).collect()
    }

    fn named(&self) -> Vec<Parked<'_>> {
        let parked = self.parked.iter();
        parked.map(|(key, since)| Parked { key, since: since.get() }).collect()
    }
}

/// `{"rows": [{"key": …, "value": …}], "parked": [{"key": …, "since": …}]}`.
impl<V: Serialize> Serialize for RowSet<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Rows", 2)?;
        object.serialize_field("rows", &self.listed())?;
        object.serialize_field("parked", &self.named())?;
        object.end()
    }
}

/// The same, with `next`: the key after which the next page begins, or `null`.
impl<V: Serialize> Serialize for RowPage<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Page", 3)?;
        object.serialize_field("rows", &self.rows.listed())?;
        object.serialize_field("parked", &self.rows.named())?;
        object.serialize_field("next", &self.next)?;
        object.end()
    }
}
