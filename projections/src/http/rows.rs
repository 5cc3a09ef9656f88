//! Rows and pages as JSON.

use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::read::{RowPage, RowSet};

#[derive(Serialize)]
struct JsonRow<'a, V> {
    key: &'a str,
    value: &'a V,
}

#[derive(Serialize)]
struct JsonParkedKey<'a> {
    key: &'a str,
    since: u64,
}

impl<V> RowSet<V> {
    fn json_rows(&self) -> Vec<JsonRow<'_, V>> {
        self.rows.iter().map(|(key, value)| JsonRow { key, value }).collect()
    }

    fn json_parked(&self) -> Vec<JsonParkedKey<'_>> {
        let parked = self.parked.iter();
        parked.map(|(key, since)| JsonParkedKey { key, since: since.get() }).collect()
    }
}

/// `{"rows": [{"key": …, "value": …}], "parked": [{"key": …, "since": …}]}`.
impl<V: Serialize> Serialize for RowSet<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Rows", 2)?;
        object.serialize_field("rows", &self.json_rows())?;
        object.serialize_field("parked", &self.json_parked())?;
        object.end()
    }
}

/// As [`RowSet`], with `next`: the key after which the next page begins, or `null`.
impl<V: Serialize> Serialize for RowPage<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Page", 3)?;
        object.serialize_field("rows", &self.rows.json_rows())?;
        object.serialize_field("parked", &self.rows.json_parked())?;
        object.serialize_field("next", &self.next)?;
        object.end()
    }
}
