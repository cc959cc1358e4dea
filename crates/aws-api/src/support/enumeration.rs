//! Enumerations: a Rust enum beside a table of the wire's names.

/// The text is none of the enumeration's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownValue;

impl std::fmt::Display for UnknownValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not one of the values that the API model lists")
    }
}

impl std::error::Error for UnknownValue {}

/// Index of `name` in `names`.
fn position(names: &[&str], name: &str) -> Option<usize> {
    names.iter().position(|candidate| *candidate == name)
}

/// The variant of that name.
pub fn from_name<T: Copy>(names: &[&str], values: &[T], name: &str) -> Result<T, UnknownValue> {
    position(names, name)
        .map(|index| values[index])
        .ok_or(UnknownValue)
}

macro_rules! wire_enum {
    ($type:ident, $shape:expr, $first:ident = $first_name:literal, $($variant:ident = $name:literal,)*) => {
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub enum $type {
            #[default]
            #[doc = concat!("`", $first_name, "`")]
            $first,
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }
        impl $type {
            /// All values in the model's order.
            pub const ALL: &'static [Self] = &[Self::$first, $(Self::$variant,)*];
            const NAMES: &'static [&'static str] = &[$first_name, $($name,)*];
            /// The value as it is on the wire.
            pub const fn as_str(self) -> &'static str {
                Self::NAMES[self as usize]
            }
        }
        impl ::std::str::FromStr for $type {
            type Err = $crate::support::UnknownValue;
            fn from_str(name: &str) -> ::std::result::Result<Self, Self::Err> {
                $crate::support::from_name(Self::NAMES, Self::ALL, name)
            }
        }
        impl ::std::fmt::Display for $type {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.as_str())
            }
        }
        impl ::std::fmt::Debug for $type {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl $crate::support::Field for $type {
            fn from_value(value: $crate::support::Value) -> $crate::support::Converted<Self> {
                $crate::support::enum_from_value(value, &$shape, Self::NAMES, Self::ALL)
            }
            fn into_value(self) -> $crate::support::Value {
                $crate::support::Value::String(self.as_str().to_owned())
            }
        }
        $crate::support::shaped!($type, $shape);
    };
}
pub(crate) use wire_enum;

pub fn enum_from_value<T: Copy>(
    value: super::Value,
    shape: &'static neargate_aws_wire::schema::Shape,
    names: &[&str],
    values: &[T],
) -> super::Converted<T> {
    let expected = super::mismatch(shape, "one of the enumeration's values");
    match value {
        super::Value::String(name) => from_name(names, values, &name).map_err(|_| expected),
        _ => Err(expected),
    }
}
