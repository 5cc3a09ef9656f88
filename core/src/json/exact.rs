//! A serializer in front of another one, which notices values that have no form of their own in JSON.

use std::{cell::RefCell, fmt::Display};

use serde::ser::{
    Error, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

/// The treatment of a value without a form of its own.
#[derive(Clone, Copy)]
pub(super) enum Inexact {
    /// Fail, because the value would be read back as another one.
    Refuse,
    /// Write a text that no other value of the same type has.
    Mark,
}

/// The treatment of inexact values, and the path of the one that was refused.
pub(super) struct Trail {
    inexact: Inexact,
    /// The segments of the path, the innermost first.
    segments: RefCell<Vec<String>>,
}

impl Trail {
    pub(super) const fn new(inexact: Inexact) -> Self {
        Self { inexact, segments: RefCell::new(Vec::new()) }
    }

    /// Notes a segment of the path of an error on its way out. It costs nothing without an error.
    pub(super) fn note<T, E>(
        &self,
        outcome: Result<T, E>,
        segment: impl FnOnce() -> String,
    ) -> Result<T, E> {
        if outcome.is_err() {
            self.segments.borrow_mut().push(segment());
        }
        outcome
    }

    /// Returns the path of the error, for example `lines[2].price`.
    pub(super) fn path(&self) -> String {
        let mut path = String::new();
        for segment in self.segments.borrow().iter().rev() {
            if !path.is_empty() && !segment.starts_with('[') {
                path.push('.');
            }
            path.push_str(segment);
        }
        path
    }
}

/// A value that is serialised exactly.
pub(super) struct Exact<'a, T: ?Sized> {
    value: &'a T,
    trail: &'a Trail,
    /// The number of `Some` that directly enclose the value.
    options: u32,
}

impl<'a, T: ?Sized> Exact<'a, T> {
    pub(super) const fn new(value: &'a T, trail: &'a Trail) -> Self {
        Self { value, trail, options: 0 }
    }
}

impl<T: Serialize + ?Sized> Serialize for Exact<'_, T> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let Self { value, trail, options } = *self;
        value.serialize(ExactSerializer { out, trail, options })
    }
}

struct ExactSerializer<'a, S> {
    out: S,
    trail: &'a Trail,
    options: u32,
}

impl<S: Serializer> ExactSerializer<'_, S> {
    fn write_float<F>(
        self,
        value: F,
        write: impl FnOnce(S, F) -> Result<S::Ok, S::Error>,
    ) -> Result<S::Ok, S::Error>
    where
        F: Display + Copy + Into<f64>,
    {
        match (value.into().is_finite(), self.trail.inexact) {
            (true, _) => write(self.out, value),
            (false, Inexact::Mark) => self.out.collect_str(&format_args!("\0{value}")),
            (false, Inexact::Refuse) => {
                Err(Error::custom(format_args!("{value} is not a number that JSON can hold")))
            }
        }
    }

    /// Writes what `serde_json` writes as `null`. Inside of a `Some` it would be read back as `None`.
    fn write_null(
        self,
        write: impl FnOnce(S) -> Result<S::Ok, S::Error>,
    ) -> Result<S::Ok, S::Error> {
        match (self.options, self.trail.inexact) {
            (0, _) => write(self.out),
            (options, Inexact::Mark) => self.out.collect_str(&format_args!("\0null {options}")),
            (_, Inexact::Refuse) => Err(Error::custom(
                "a null inside of `Some` would be read back as `None`: use an enum, or an encoding of \
                 your own with `#[serde(with = …)]`",
            )),
        }
    }
}

macro_rules! forward {
    ($($function:ident: $($argument:ident: $type:ty),+;)*) => {
        $(fn $function(self, $($argument: $type),+) -> Result<S::Ok, S::Error> {
            self.out.$function($($argument),+)
        })*
    };
}

macro_rules! begin {
    ($($function:ident -> $compound:ident($($argument:ident: $type:ty),+);)*) => {
        $(fn $function(self, $($argument: $type),+) -> Result<Self::$compound, S::Error> {
            Ok(Compound::new(self.out.$function($($argument),+)?, self.trail))
        })*
    };
}

impl<'a, S: Serializer> Serializer for ExactSerializer<'a, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Compound<'a, S::SerializeSeq>;
    type SerializeTuple = Compound<'a, S::SerializeTuple>;
    type SerializeTupleStruct = Compound<'a, S::SerializeTupleStruct>;
    type SerializeTupleVariant = Compound<'a, S::SerializeTupleVariant>;
    type SerializeMap = Compound<'a, S::SerializeMap>;
    type SerializeStruct = Compound<'a, S::SerializeStruct>;
    type SerializeStructVariant = Compound<'a, S::SerializeStructVariant>;

    forward! {
        serialize_bool: value: bool;
        serialize_i8: value: i8;
        serialize_i16: value: i16;
        serialize_i32: value: i32;
        serialize_i64: value: i64;
        serialize_i128: value: i128;
        serialize_u8: value: u8;
        serialize_u16: value: u16;
        serialize_u32: value: u32;
        serialize_u64: value: u64;
        serialize_u128: value: u128;
        serialize_char: value: char;
        serialize_str: value: &str;
        serialize_bytes: value: &[u8];
        serialize_unit_variant: name: &'static str, index: u32, variant: &'static str;
    }

    begin! {
        serialize_seq -> SerializeSeq(len: Option<usize>);
        serialize_tuple -> SerializeTuple(len: usize);
        serialize_tuple_struct -> SerializeTupleStruct(name: &'static str, len: usize);
        serialize_tuple_variant -> SerializeTupleVariant(
            name: &'static str, index: u32, variant: &'static str, len: usize
        );
        serialize_map -> SerializeMap(len: Option<usize>);
        serialize_struct -> SerializeStruct(name: &'static str, len: usize);
        serialize_struct_variant -> SerializeStructVariant(
            name: &'static str, index: u32, variant: &'static str, len: usize
        );
    }

    fn serialize_f32(self, value: f32) -> Result<S::Ok, S::Error> {
        self.write_float(value, S::serialize_f32)
    }

    fn serialize_f64(self, value: f64) -> Result<S::Ok, S::Error> {
        self.write_float(value, S::serialize_f64)
    }

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.write_null(S::serialize_none)
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.write_null(S::serialize_unit)
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<S::Ok, S::Error> {
        self.write_null(|out| out.serialize_unit_struct(name))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        let Self { out, trail, options } = self;
        out.serialize_some(&Exact { value, trail, options: options + 1 })
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let Self { out, trail, options } = self;
        out.serialize_newtype_struct(name, &Exact { value, trail, options })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let value = Exact::new(value, self.trail);
        let outcome = self.out.serialize_newtype_variant(name, index, variant, &value);
        self.trail.note(outcome, || variant.to_owned())
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.out.collect_str(value)
    }

    fn is_human_readable(&self) -> bool {
        self.out.is_human_readable()
    }
}

/// A value with parts. Each part is serialised exactly, and an error gets its place.
struct Compound<'a, C> {
    out: C,
    trail: &'a Trail,
    /// The number of parts so far.
    count: usize,
}

impl<'a, C> Compound<'a, C> {
    const fn new(out: C, trail: &'a Trail) -> Self {
        Self { out, trail, count: 0 }
    }

    /// Writes the next part of a sequence.
    fn write_next<'v, T: ?Sized, E>(
        &mut self,
        value: &'v T,
        write: impl FnOnce(&mut C, &Exact<'v, T>) -> Result<(), E>,
    ) -> Result<(), E>
    where
        'a: 'v,
    {
        let place = self.count;
        self.count += 1;
        let outcome = write(&mut self.out, &Exact::new(value, self.trail));
        self.trail.note(outcome, || format!("[{place}]"))
    }

    /// Writes a field of a struct.
    fn write_field<'v, T: ?Sized, E>(
        &mut self,
        key: &'static str,
        value: &'v T,
        write: impl FnOnce(&mut C, &Exact<'v, T>) -> Result<(), E>,
    ) -> Result<(), E>
    where
        'a: 'v,
    {
        let outcome = write(&mut self.out, &Exact::new(value, self.trail));
        self.trail.note(outcome, || key.to_owned())
    }
}

macro_rules! sequence {
    ($($trait:ident: $function:ident;)*) => {
        $(impl<C: $trait> $trait for Compound<'_, C> {
            type Ok = C::Ok;
            type Error = C::Error;

            fn $function<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
                self.write_next(value, |out, value| out.$function(value))
            }

            fn end(self) -> Result<C::Ok, C::Error> {
                self.out.end()
            }
        })*
    };
}

sequence! {
    SerializeSeq: serialize_element;
    SerializeTuple: serialize_element;
    SerializeTupleStruct: serialize_field;
    SerializeTupleVariant: serialize_field;
}

macro_rules! fields {
    ($($trait:ident;)*) => {
        $(impl<C: $trait> $trait for Compound<'_, C> {
            type Ok = C::Ok;
            type Error = C::Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), C::Error> {
                self.write_field(key, value, |out, value| out.serialize_field(key, value))
            }

            fn skip_field(&mut self, key: &'static str) -> Result<(), C::Error> {
                self.out.skip_field(key)
            }

            fn end(self) -> Result<C::Ok, C::Error> {
                self.out.end()
            }
        })*
    };
}

fields! {
    SerializeStruct;
    SerializeStructVariant;
}

/// Keys are written as they are: `serde_json` refuses those that are no strings and no numbers.
impl<C: SerializeMap> SerializeMap for Compound<'_, C> {
    type Ok = C::Ok;
    type Error = C::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), C::Error> {
        self.out.serialize_key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
        self.write_next(value, SerializeMap::serialize_value)
    }

    fn serialize_entry<K, V>(&mut self, key: &K, value: &V) -> Result<(), C::Error>
    where
        K: Serialize + ?Sized,
        V: Serialize + ?Sized,
    {
        let outcome = self.out.serialize_entry(key, &Exact::new(value, self.trail));
        self.trail.note(outcome, || match serde_json::to_value(key) {
            Ok(serde_json::Value::String(key)) => key,
            Ok(key) => key.to_string(),
            Err(_) => "?".to_owned(),
        })
    }

    fn end(self) -> Result<C::Ok, C::Error> {
        self.out.end()
    }
}
