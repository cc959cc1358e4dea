//! Writes a service's trait, and the `Service` that calls it by the operation's index.
//!
//! The methods are spelled as `async_trait` expands them, so that implementations can use `#[async_trait]`. Their
//! default bodies are plain functions: 350 async blocks would cost more than everything else that is generated.

use std::error::Error;
use std::fmt::Write;

use super::ServiceProfile;
use super::model::{Model, Operation, Reference, Type};
use super::names;

pub fn write(
    out: &mut String,
    profile: &ServiceProfile,
    model: &Model,
) -> Result<(), Box<dyn Error>> {
    let trait_name = profile.trait_name;
    let service_id = &model.metadata.service_id;
    writeln!(
        out,
        "use crate::support as s;\n\
         pub use schema::SCHEMA;\n\
         /// Operations of {service_id}. What is not overridden answers that it is not implemented.\n\
         pub trait {trait_name}: s::Send + s::Sync + 'static {{"
    )?;
    for (name, operation) in &model.operations {
        write_method(out, model, name, operation)?;
    }
    writeln!(out, "}}")?;
    let all = model.all_operations();
    writeln!(
        out,
        "type Handler = for<'a> fn(&'a dyn {trait_name}, &'a s::RequestContext, s::Value) -> s::CallFuture<'a>;\n\
         static HANDLERS: [s::Option<Handler>; {}] = [",
        all.len()
    )?;
    for (name, operation) in all {
        let method = names::field(name);
        match operation {
            None => writeln!(out, "s::None,")?,
            Some(Operation { input: None, .. }) => {
                writeln!(out, "s::Some(|t, c, _| s::answer(t.{method}(c))),")?;
            }
            Some(_) => writeln!(
                out,
                "s::Some(|t, c, v| s::call(v, move |i| t.{method}(c, i))),"
            )?,
        }
    }
    writeln!(
        out,
        "];\n\
         s::service!({trait_name});"
    )?;
    Ok(())
}

fn write_method(
    out: &mut String,
    model: &Model,
    name: &str,
    operation: &Operation,
) -> Result<(), Box<dyn Error>> {
    let structure = |reference: &Reference| -> Result<String, Box<dyn Error>> {
        if model.shape(reference)?.r#type != Type::Structure {
            return Err(format!("{} of {name} is no structure", reference.shape).into());
        }
        Ok(format!("types::{}", names::type_name(&reference.shape)))
    };
    let input = match &operation.input {
        Some(reference) => format!(", input: {}", structure(reference)?),
        None => String::new(),
    };
    let output = match &operation.output {
        Some(reference) => structure(reference)?,
        None => "()".to_owned(),
    };
    writeln!(
        out,
        "/// `{name}`\n\
         fn {}<'life0, 'life1, 'async_trait>(&'life0 self, context: &'life1 s::RequestContext{input}) \
         -> s::Answer<'async_trait, {output}> \
         where 'life0: 'async_trait, 'life1: 'async_trait, Self: 'async_trait \
         {{ s::not_implemented(&SCHEMA, {name:?}) }}",
        names::field(name),
    )?;
    Ok(())
}
