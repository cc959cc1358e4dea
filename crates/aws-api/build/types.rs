//! Writes the Rust types with their conversions from and to `aws_wire::value::Value`.
//!
//! Only structures, unions and enumerations become types. Everything else is spelled out where it is used.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write;

use super::model::{Model, Reference, Shape, Type};
use super::names;
use super::schema::shape_static;

pub fn write(out: &mut String, model: &Model) -> Result<(), Box<dyn Error>> {
    writeln!(out, "use crate::support as s;\nuse super::schema as sc;")?;
    for (name, shape) in &model.shapes {
        if shape.is_document() {
            continue;
        }
        if shape.is_enum() {
            write_enum(out, name, shape)?;
        } else if shape.r#type == Type::Structure && shape.is_union() {
            write_union(out, model, name, shape)?;
        } else if shape.r#type == Type::Structure {
            write_struct(out, model, name, shape)?;
        }
    }
    Ok(())
}

/// The Rust type of a shape, as it is written in a field.
pub fn rust_type(model: &Model, reference: &Reference) -> Result<String, String> {
    let shape = model.shape(reference)?;
    if shape.is_document() {
        return Ok("s::Document".to_owned());
    }
    let inner = |reference: &Option<Reference>| match reference {
        Some(reference) => rust_type(model, reference),
        None => Err("a list or map without its member".to_owned()),
    };
    Ok(match shape.r#type {
        Type::Structure => names::type_name(&reference.shape),
        Type::String if shape.is_enum() => names::type_name(&reference.shape),
        Type::String => "s::String".to_owned(),
        Type::List => format!("s::Vec<{}>", inner(&shape.member)?),
        Type::Map => format!("s::BTreeMap<s::String, {}>", inner(&shape.value)?),
        Type::Integer => "i32".to_owned(),
        Type::Long => "i64".to_owned(),
        Type::Float => "f32".to_owned(),
        Type::Double => "f64".to_owned(),
        Type::Boolean => "bool".to_owned(),
        Type::Blob => "s::Bytes".to_owned(),
        Type::Timestamp => "s::Timestamp".to_owned(),
    })
}

/// One member as a field.
struct Field<'a> {
    name: String,
    member: &'a str,
    r#type: String,
    required: bool,
    secret: bool,
}

fn fields<'a>(
    model: &Model,
    name: &str,
    shape: &'a Shape,
) -> Result<Vec<Field<'a>>, Box<dyn Error>> {
    let mut seen = BTreeSet::new();
    let mut fields = Vec::new();
    for (member, reference) in &shape.members {
        let target = model.shape(reference)?;
        let mut r#type = rust_type(model, reference)?;
        let recursive = target.r#type == Type::Structure
            && (reference.shape == name || model.holds_by_value(&reference.shape, name));
        if recursive && !target.is_document() {
            r#type = format!("s::Box<{type}>");
        }
        let field = names::field(member);
        if !seen.insert(field.clone()) {
            return Err(format!("two members of {name} are called {field}").into());
        }
        let error_message = shape.exception && field == "message";
        fields.push(Field {
            required: shape.required.contains(member) && !error_message,
            secret: shape.sensitive || target.sensitive,
            name: field,
            member,
            r#type,
        });
    }
    Ok(fields)
}

fn write_struct(
    out: &mut String,
    model: &Model,
    name: &str,
    shape: &Shape,
) -> Result<(), Box<dyn Error>> {
    let r#type = names::type_name(name);
    let fields = fields(model, name, shape)?;
    let has_secrets = shape.sensitive || fields.iter().any(|f| f.secret);
    let derives = if has_secrets { "" } else { "Debug, " };
    writeln!(
        out,
        "#[derive({derives}Clone, PartialEq, Default)]\npub struct {type} {{"
    )?;
    for field in &fields {
        let doc = field.member;
        match field.required {
            true => writeln!(out, "/// `{doc}`\npub {}: {},", field.name, field.r#type)?,
            false => writeln!(
                out,
                "/// `{doc}`\npub {}: s::Option<{}>,",
                field.name, field.r#type
            )?,
        }
    }
    // An error always has a text, also where the model leaves it to the protocol.
    let message_not_modelled = shape.exception && !fields.iter().any(|f| f.name == "message");
    if message_not_modelled {
        writeln!(out, "pub message: s::Option<s::String>,")?;
    }
    writeln!(out, "}}")?;
    write_struct_conversion(out, &r#type, name, &fields, message_not_modelled)?;
    if has_secrets {
        write_struct_debug(out, &r#type, &fields)?;
    }
    if shape.exception {
        writeln!(out, "s::model_error!({type}, sc::{});", shape_static(name))?;
    }
    Ok(())
}

fn write_struct_conversion(
    out: &mut String,
    r#type: &str,
    name: &str,
    fields: &[Field<'_>],
    message_not_modelled: bool,
) -> Result<(), Box<dyn Error>> {
    let shape = shape_static(name);
    write!(
        out,
        "impl s::Field for {type} {{ fn from_value(v: s::Value) -> s::Converted<Self> {{ "
    )?;
    let mutable = if fields.is_empty() { "" } else { "mut " };
    write!(
        out,
        "let {mutable}r = s::Reader::new(v, &sc::{shape}); let x = {type} {{ "
    )?;
    for (index, field) in fields.iter().enumerate() {
        let read = if field.required {
            "required"
        } else {
            "optional"
        };
        write!(out, "{}: r.{read}({index}), ", field.name)?;
    }
    if message_not_modelled {
        write!(out, "message: s::None ")?;
    }
    writeln!(out, "}}; r.finish(x) }}")?;
    write!(out, "fn into_value(self) -> s::Value {{ ")?;
    if fields.is_empty() {
        write!(out, "s::empty() ")?;
    } else {
        write!(out, "let mut w = s::Writer::new({}); ", fields.len())?;
        for (index, field) in fields.iter().enumerate() {
            let put = if field.required {
                "required"
            } else {
                "optional"
            };
            write!(out, "w.{put}({index}, self.{}); ", field.name)?;
        }
        write!(out, "w.finish() ")?;
    }
    writeln!(out, "}} }}\ns::shaped!({type}, sc::{shape});")?;
    Ok(())
}

/// A `Debug` form that leaves secrets out.
fn write_struct_debug(
    out: &mut String,
    r#type: &str,
    fields: &[Field<'_>],
) -> Result<(), Box<dyn Error>> {
    write!(
        out,
        "impl s::Debug for {type} {{ fn fmt(&self, f: &mut s::Formatter<'_>) -> s::FmtResult {{ \
         s::debug_struct(f, {type:?}, &["
    )?;
    for field in fields {
        let label = field.name.trim_start_matches("r#");
        match field.secret {
            true => write!(out, "({label:?}, &s::Hidden), ")?,
            false => write!(out, "({label:?}, &self.{}), ", field.name)?,
        }
    }
    writeln!(out, "]) }} }}")?;
    Ok(())
}

fn write_union(
    out: &mut String,
    model: &Model,
    name: &str,
    shape: &Shape,
) -> Result<(), Box<dyn Error>> {
    let r#type = names::type_name(name);
    let fields = fields(model, name, shape)?;
    let variants = names::variants(fields.iter().map(|f| f.member));
    if fields.iter().any(|f| f.secret) {
        return Err(
            format!("{name} is a union with a secret; its Debug form would show it").into(),
        );
    }
    writeln!(
        out,
        "#[derive(Debug, Clone, PartialEq)]\npub enum {type} {{"
    )?;
    for (field, variant) in fields.iter().zip(&variants) {
        writeln!(out, "/// `{}`\n{variant}({}),", field.member, field.r#type)?;
    }
    writeln!(out, "}}")?;
    let first = variants.first().ok_or("a union without members")?;
    writeln!(
        out,
        "impl s::Default for {type} {{ fn default() -> Self {{ {type}::{first}(s::Default::default()) }} }}"
    )?;
    let shape = shape_static(name);
    writeln!(
        out,
        "impl s::Field for {type} {{ fn from_value(v: s::Value) -> s::Converted<Self> {{ \
         let (i, v) = s::union_member(v, &sc::{shape})?; match i {{"
    )?;
    for (index, variant) in variants.iter().enumerate() {
        writeln!(
            out,
            "{index} => s::Field::from_value(v).map({type}::{variant}),"
        )?;
    }
    writeln!(
        out,
        "_ => s::Err(s::mismatch(&sc::{shape}, \"a known member\")) }} }}\n\
         fn into_value(self) -> s::Value {{ match self {{"
    )?;
    for (index, variant) in variants.iter().enumerate() {
        writeln!(
            out,
            "{type}::{variant}(v) => s::union_value({index}, s::Field::into_value(v)),"
        )?;
    }
    writeln!(out, "}} }} }}\ns::shaped!({type}, sc::{shape});")?;
    Ok(())
}

fn write_enum(out: &mut String, name: &str, shape: &Shape) -> Result<(), Box<dyn Error>> {
    let variants = names::variants(shape.r#enum.iter().map(String::as_str));
    write!(
        out,
        "s::wire_enum!({}, sc::{}, ",
        names::type_name(name),
        shape_static(name)
    )?;
    for (variant, value) in variants.iter().zip(&shape.r#enum) {
        write!(out, "{variant} = {value:?}, ")?;
    }
    writeln!(out, ");")?;
    Ok(())
}
