//! Generated types inside serde structures.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed as _, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde::{Deserialize, de};

use super::{ShapeSeed, Shaping};
use crate::structure::Names;
use crate::value::Shaped;

/// A generated type, or an `Option`, `Vec` or map of such, as a field of a serde structure.
pub trait Embed: Sized {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error>;
    fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error>;
}

/// For `#[serde(with = "neargate_aws_wire::json::serde_as_json")]` on a field whose type is generated, or an `Option`,
/// `Vec` or map of such. An `Option` field also wants `#[serde(default)]`, if it may be missing from the text.
pub mod serde_as_json {
    use super::{Deserializer, Embed, Serializer};

    pub fn serialize<T: Embed, S: Serializer>(field: &T, out: S) -> Result<S::Ok, S::Error> {
        field.serialize(out)
    }

    pub fn deserialize<'de, T: Embed, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        T::deserialize(from)
    }
}

impl<T: Shaped + Clone> Embed for T {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let value = self.clone().into_value();
        Shaping::record(T::shape(), &value).serialize(out)
    }

    fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = ShapeSeed::new(T::shape(), Names::Model).deserialize(from)?;
        T::from_value(value).map_err(D::Error::custom)
    }
}

impl<T: Embed> Embed for Option<T> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Some(value) => out.serialize_some(&Borrowed(value)),
            None => out.serialize_none(),
        }
    }

    fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Option::<Owned<T>>::deserialize(from)?.map(|Owned(value)| value))
    }
}

impl<T: Embed> Embed for Vec<T> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_seq(self.iter().map(Borrowed))
    }

    fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(ItemsVisitor(PhantomData))
    }
}

impl<T: Embed> Embed for BTreeMap<String, T> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut map = out.serialize_map(Some(self.len()))?;
        for (key, value) in self {
            map.serialize_entry(key, &Borrowed(value))?;
        }
        map.end()
    }

    fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(EntriesVisitor(PhantomData))
    }
}

struct Borrowed<'a, T>(&'a T);

impl<T: Embed> Serialize for Borrowed<'_, T> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(out)
    }
}

struct Owned<T>(T);

impl<'de, T: Embed> Deserialize<'de> for Owned<T> {
    fn deserialize<D: de::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::deserialize(from).map(Owned)
    }
}

struct ItemsVisitor<T>(PhantomData<T>);

impl<'de, T: Embed> Visitor<'de> for ItemsVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut values = Vec::new();
        while let Some(Owned(value)) = items.next_element()? {
            values.push(value);
        }
        Ok(values)
    }
}

struct EntriesVisitor<T>(PhantomData<T>);

impl<'de, T: Embed> Visitor<'de> for EntriesVisitor<T> {
    type Value = BTreeMap<String, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut values = BTreeMap::new();
        while let Some((key, Owned(value))) = entries.next_entry()? {
            values.insert(key, value);
        }
        Ok(values)
    }
}
