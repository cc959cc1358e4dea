//! CBOR into a value, driven by the schema.

use ciborium_io::Read as _;
use ciborium_ll::{Decoder, Header, simple};

use crate::schema::{Kind, ListShape, MapShape, Shape, StructureShape};
use crate::structure::{MAX_DEPTH, Names, StructureBuilder, UnionError};
use crate::timestamp;
use crate::value::Value;

/// Tag of epoch timestamps, RFC 8949 section 3.4.2.
const TAG_EPOCH: u64 = 1;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CborError {
    #[error("The body is not well-formed CBOR (at byte {0})")]
    Syntax(usize),
    #[error("The body nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
    #[error("The body goes on after its end (at byte {0})")]
    Trailing(usize),
    #[error("A value of type {found} can not be converted to {wanted}")]
    WrongType {
        found: &'static str,
        wanted: &'static str,
    },
    #[error("A number is out of range for its member")]
    OutOfRange,
    #[error(transparent)]
    Union(#[from] UnionError),
}

/// Reads one CBOR item to its end.
pub(crate) fn decode(body: &[u8], shape: &'static Shape) -> Result<Value, CborError> {
    let mut reader = Reader {
        decoder: Decoder::from(body),
        len: body.len(),
        depth: 0,
    };
    let header = reader.pull()?;
    let value = reader.value(header, shape)?;
    match reader.decoder.offset() {
        end if end == body.len() => Ok(value),
        end => Err(CborError::Trailing(end)),
    }
}

struct Reader<'b> {
    decoder: Decoder<&'b [u8]>,
    len: usize,
    depth: usize,
}

impl Reader<'_> {
    fn pull(&mut self) -> Result<Header, CborError> {
        self.decoder.pull().map_err(|_| self.syntax())
    }

    fn syntax(&mut self) -> CborError {
        CborError::Syntax(self.decoder.offset())
    }

    fn deeper<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, CborError>,
    ) -> Result<T, CborError> {
        if self.depth == MAX_DEPTH {
            return Err(CborError::TooDeep);
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// The value that begins with `header`; `null` and `undefined` give [`Value::Null`] only below the top.
    fn value(&mut self, header: Header, shape: &'static Shape) -> Result<Value, CborError> {
        match (&shape.kind, header) {
            (Kind::Structure(structure), Header::Map(len)) => {
                self.deeper(|r| r.structure(len, structure))
            }
            (Kind::Map(map), Header::Map(len)) => self.deeper(|r| r.map(len, map)),
            (Kind::List(list), Header::Array(len)) => self.deeper(|r| r.list(len, list)),
            (Kind::String(_), Header::Text(len)) => self.text(len).map(Value::String),
            (Kind::Blob { .. }, Header::Bytes(len)) => {
                self.bytes(len).map(|bytes| Value::Blob(bytes.into()))
            }
            (Kind::Boolean, Header::Simple(simple::TRUE)) => Ok(Value::Bool(true)),
            (Kind::Boolean, Header::Simple(simple::FALSE)) => Ok(Value::Bool(false)),
            (
                Kind::Integer { .. } | Kind::Long { .. },
                Header::Positive(_) | Header::Negative(_),
            ) => {
                let number = integer(header)?;
                if matches!(shape.kind, Kind::Integer { .. }) && i32::try_from(number).is_err() {
                    return Err(CborError::OutOfRange);
                }
                Ok(Value::Int(number))
            }
            (Kind::Float { .. } | Kind::Double { .. }, Header::Float(number)) => {
                Ok(Value::Double(number))
            }
            (
                Kind::Float { .. } | Kind::Double { .. },
                Header::Positive(_) | Header::Negative(_),
            ) => Ok(Value::Double(integer(header)? as f64)),
            (Kind::Timestamp { .. }, Header::Tag(TAG_EPOCH)) => {
                let timestamp = match self.pull()? {
                    Header::Float(seconds) => timestamp::from_epoch_float(seconds),
                    number @ (Header::Positive(_) | Header::Negative(_)) => {
                        timestamp::from_epoch_integer(integer(number)?)
                    }
                    other => return Err(wrong_type(other, shape)),
                };
                timestamp.map(Value::Timestamp).ok_or(CborError::OutOfRange)
            }
            (_, other) => Err(wrong_type(other, shape)),
        }
    }

    fn nullable(&mut self, header: Header, shape: &'static Shape) -> Result<Value, CborError> {
        match header {
            Header::Simple(simple::NULL | simple::UNDEFINED) => Ok(Value::Null),
            header => self.value(header, shape),
        }
    }

    fn structure(
        &mut self,
        len: Option<usize>,
        structure: &'static StructureShape,
    ) -> Result<Value, CborError> {
        let mut builder = StructureBuilder::new(structure);
        let mut left = len;
        while let Some(header) = self.next_item(&mut left)? {
            let key = self.key(header)?;
            let header = self.pull()?;
            match builder.find(Names::Model, &key) {
                Some((index, member)) => match self.nullable(header, member.target)? {
                    Value::Null => {}
                    value => builder.set(index, value),
                },
                None => {
                    if !matches!(header, Header::Simple(simple::NULL | simple::UNDEFINED))
                        && key != "__type"
                    {
                        builder.set_unknown();
                    }
                    self.skip(header)?;
                }
            }
        }
        Ok(builder.finish()?)
    }

    fn map(&mut self, len: Option<usize>, map: &'static MapShape) -> Result<Value, CborError> {
        let mut entries = Vec::new();
        let mut left = len;
        while let Some(header) = self.next_item(&mut left)? {
            let key = self.key(header)?;
            let header = self.pull()?;
            let value = self.nullable(header, map.value)?;
            if value == Value::Null && !map.sparse {
                return Err(CborError::WrongType {
                    found: "null",
                    wanted: "a map's value",
                });
            }
            entries.push((key, value));
        }
        Ok(Value::Map(entries))
    }

    fn list(&mut self, len: Option<usize>, list: &'static ListShape) -> Result<Value, CborError> {
        let mut items = Vec::new();
        let mut left = len;
        while let Some(header) = self.next_item(&mut left)? {
            let value = self.nullable(header, list.member)?;
            if value == Value::Null && !list.sparse {
                return Err(CborError::WrongType {
                    found: "null",
                    wanted: "a list's item",
                });
            }
            items.push(value);
        }
        Ok(Value::List(items))
    }

    /// Header of the next item (or key) of a container; `None` at its end.
    fn next_item(&mut self, left: &mut Option<usize>) -> Result<Option<Header>, CborError> {
        match left {
            Some(0) => Ok(None),
            Some(count) => {
                *count -= 1;
                self.pull().map(Some)
            }
            None => match self.pull()? {
                Header::Break => Ok(None),
                header => Ok(Some(header)),
            },
        }
    }

    fn key(&mut self, header: Header) -> Result<String, CborError> {
        match header {
            Header::Text(len) => self.text(len),
            _ => Err(self.syntax()),
        }
    }

    fn text(&mut self, len: Option<usize>) -> Result<String, CborError> {
        let bytes = self.segments(len, |header| match header {
            Header::Text(Some(len)) => Some(len),
            _ => None,
        })?;
        String::from_utf8(bytes).map_err(|_| self.syntax())
    }

    fn bytes(&mut self, len: Option<usize>) -> Result<Vec<u8>, CborError> {
        self.segments(len, |header| match header {
            Header::Bytes(Some(len)) => Some(len),
            _ => None,
        })
    }

    /// Text or bytes in one piece, or in segments up to a break.
    fn segments(
        &mut self,
        len: Option<usize>,
        segment_len: impl Fn(Header) -> Option<usize>,
    ) -> Result<Vec<u8>, CborError> {
        let mut bytes = Vec::new();
        if let Some(len) = len {
            self.append(&mut bytes, len)?;
            return Ok(bytes);
        }
        loop {
            match self.pull()? {
                Header::Break => return Ok(bytes),
                header => {
                    let len = segment_len(header).ok_or_else(|| self.syntax())?;
                    self.append(&mut bytes, len)?;
                }
            }
        }
    }

    fn append(&mut self, bytes: &mut Vec<u8>, len: usize) -> Result<(), CborError> {
        // A length is only a claim: no memory for it before the bytes are known to be there.
        if len > self.len.saturating_sub(self.decoder.offset()) {
            return Err(self.syntax());
        }
        let start = bytes.len();
        bytes.resize(start + len, 0);
        self.decoder
            .read_exact(&mut bytes[start..])
            .map_err(|_| self.syntax())
    }

    /// Passes over a value that no member takes.
    fn skip(&mut self, header: Header) -> Result<(), CborError> {
        match header {
            Header::Text(len) => self.text(len).map(drop),
            Header::Bytes(len) => self.bytes(len).map(drop),
            Header::Array(len) => self.deeper(|r| r.skip_items(len, 1)),
            Header::Map(len) => self.deeper(|r| r.skip_items(len, 2)),
            Header::Tag(_) => self.deeper(|r| {
                let header = r.pull()?;
                r.skip(header)
            }),
            Header::Break => Err(self.syntax()),
            Header::Positive(_) | Header::Negative(_) | Header::Float(_) | Header::Simple(_) => {
                Ok(())
            }
        }
    }

    fn skip_items(&mut self, len: Option<usize>, per_item: usize) -> Result<(), CborError> {
        let mut left = len;
        while let Some(header) = self.next_item(&mut left)? {
            self.skip(header)?;
            for _ in 1..per_item {
                let header = self.pull()?;
                self.skip(header)?;
            }
        }
        Ok(())
    }
}

fn integer(header: Header) -> Result<i64, CborError> {
    let number = match header {
        Header::Positive(number) => i64::try_from(number).ok(),
        // All bits are inverted: 0 stands for -1.
        Header::Negative(number) => i64::try_from(number).ok().map(|n| !n),
        _ => None,
    };
    number.ok_or(CborError::OutOfRange)
}

fn wrong_type(header: Header, shape: &Shape) -> CborError {
    let found = match header {
        Header::Positive(_) | Header::Negative(_) => "integer",
        Header::Float(_) => "float",
        Header::Simple(simple::TRUE | simple::FALSE) => "boolean",
        Header::Simple(_) => "null",
        Header::Tag(_) => "tag",
        Header::Break => "break",
        Header::Bytes(_) => "bytes",
        Header::Text(_) => "text",
        Header::Array(_) => "array",
        Header::Map(_) => "map",
    };
    CborError::WrongType {
        found,
        wanted: crate::scalar::wanted(shape),
    }
}
