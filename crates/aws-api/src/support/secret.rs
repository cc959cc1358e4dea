//! `Debug` forms that leave secrets out.

use std::fmt::{Debug, Formatter, Result};

/// Stands for a member that is not shown.
pub struct Hidden;

impl Debug for Hidden {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str("<sensitive>")
    }
}

pub fn debug_struct(f: &mut Formatter<'_>, name: &str, fields: &[(&str, &dyn Debug)]) -> Result {
    let mut debug = f.debug_struct(name);
    for (label, value) in fields {
        debug.field(label, value);
    }
    debug.finish()
}
