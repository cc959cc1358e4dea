//! A parameter tree into a value, driven by the schema.

use super::Params;
use crate::scalar;
use crate::schema::{Kind, ListShape, MapShape, Member, Shape, StructureShape, TimestampFormat};
use crate::structure::StructureBuilder;
use crate::timestamp::Offsets;
use crate::value::Value;

/// The two query protocols name and number their parameters differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Aws,
    Ec2,
}

impl Dialect {
    fn name_of(self, member: &'static Member) -> &'static str {
        match self {
            Dialect::Aws => member.query_name,
            Dialect::Ec2 => member.ec2_name,
        }
    }
}

/// A parameter that is not what the model says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadParameter {
    /// Name of the parameter, as far as the model gives it.
    pub(crate) name: String,
    pub(crate) wanted: &'static str,
}

pub(crate) fn decode(
    params: &Params,
    shape: &'static Shape,
    dialect: Dialect,
) -> Result<Value, BadParameter> {
    Decoder {
        dialect,
        path: Vec::new(),
    }
    .value(params, shape, None, false)
}

struct Decoder {
    dialect: Dialect,
    /// Names on the way to the current parameter, for the error.
    path: Vec<&'static str>,
}

// Recursion follows the parameter tree, whose depth `Params` limits.
impl Decoder {
    fn value(
        &mut self,
        params: &Params,
        shape: &'static Shape,
        timestamp_format: Option<TimestampFormat>,
        flattened: bool,
    ) -> Result<Value, BadParameter> {
        match &shape.kind {
            Kind::Structure(structure) => self.structure(params, structure),
            Kind::List(list) => self.list(params, list, flattened || list.flattened),
            Kind::Map(map) => self.map(params, map, flattened || map.flattened),
            _ => params
                .value
                .as_deref()
                .and_then(|text| {
                    scalar::parse(
                        shape,
                        text,
                        timestamp_format,
                        TimestampFormat::DateTime,
                        Offsets::Taken,
                    )
                })
                .ok_or_else(|| self.bad(scalar::wanted(shape))),
        }
    }

    fn structure(
        &mut self,
        params: &Params,
        structure: &'static StructureShape,
    ) -> Result<Value, BadParameter> {
        if params.value.as_deref().is_some_and(|text| !text.is_empty()) {
            return Err(self.bad("a structure"));
        }
        let mut builder = StructureBuilder::new(structure);
        for (index, member) in structure.members.iter().enumerate() {
            let name = self.dialect.name_of(member);
            let Some(child) = params.get(name) else {
                continue;
            };
            if child.is_blank() && !self.may_be_empty(member) {
                continue;
            }
            self.path.push(name);
            let value = self.value(
                child,
                member.target,
                member.timestamp_format,
                member.flattened,
            )?;
            self.path.pop();
            builder.set(index as u16, value);
        }
        builder
            .finish()
            .map_err(|_| self.bad("a union with exactly one member"))
    }

    /// Whether `Name=` says something: clients write whatever of their input is unset as empty text (Terraform's
    /// `ProtocolVersion=`), and AWS takes that as not given.
    ///
    /// Empty text remains what it is where a model lets it mean something: it names a least length of 0 (tag values,
    /// messages) or demands the member, so that the checks after this can say what is wrong with it. EC2's model
    /// constrains no text at all, and its operations tell an empty value from none (DeleteTags, descriptions). For lists
    /// and maps it is how botocore writes that they are empty.
    fn may_be_empty(&self, member: &'static Member) -> bool {
        match &member.target.kind {
            Kind::List(_) | Kind::Map(_) => true,
            Kind::String(text) if text.enum_values.is_empty() => {
                self.dialect == Dialect::Ec2 || member.required || text.min == Some(0)
            }
            _ => false,
        }
    }

    fn list(
        &mut self,
        params: &Params,
        list: &'static ListShape,
        flattened: bool,
    ) -> Result<Value, BadParameter> {
        if params.is_blank() {
            return Ok(Value::List(Vec::new()));
        }
        let items = if flattened || self.dialect == Dialect::Ec2 {
            params.numbered()
        } else {
            params
                .get(list.member_name.unwrap_or("member"))
                .map(Params::numbered)
                .unwrap_or_default()
        };
        if items.is_empty() {
            return Err(self.bad("a list"));
        }
        let values = items
            .into_iter()
            .map(|item| self.value(item, list.member, list.member_timestamp_format, false))
            .collect::<Result<_, _>>()?;
        Ok(Value::List(values))
    }

    fn map(
        &mut self,
        params: &Params,
        map: &'static MapShape,
        flattened: bool,
    ) -> Result<Value, BadParameter> {
        if params.is_blank() {
            return Ok(Value::Map(Vec::new()));
        }
        let entries = if flattened {
            params.numbered()
        } else {
            params
                .get("entry")
                .map(Params::numbered)
                .unwrap_or_default()
        };
        let mut values: Vec<(String, Value)> = Vec::with_capacity(entries.len());
        for entry in entries {
            let key = entry.text(map.key_name.unwrap_or("key"));
            let value = entry.get(map.value_name.unwrap_or("value"));
            let (Some(key), Some(value)) = (key, value) else {
                return Err(self.bad("a map of keys and values"));
            };
            values.push((key.to_owned(), self.value(value, map.value, None, false)?));
        }
        Ok(Value::Map(values))
    }

    fn bad(&self, wanted: &'static str) -> BadParameter {
        BadParameter {
            name: self.path.join("."),
            wanted,
        }
    }
}
