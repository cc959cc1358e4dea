//! Short forms for the static tables.

pub use neargate_aws_wire::schema::{
    ErrorTrait, Kind, ListShape, Location, MapShape, Member, OperationSchema, Protocol,
    ServiceSchema, Shape, StringShape, StructureShape, TimestampFormat, ValidationStyle,
};

/// A member under construction. Most of the 15 facts about a member are the same for nearly all of them.
pub struct MemberBuilder(pub Member);

/// `wire_name` is the model's `locationName`, or the name.
pub const fn member(
    name: &'static str,
    target: &'static Shape,
    required: bool,
    wire_name: &'static str,
    ec2_name: &'static str,
) -> MemberBuilder {
    MemberBuilder(Member {
        name,
        target,
        required,
        wire_name,
        query_name: wire_name,
        ec2_name,
        xml_name: wire_name,
        xml_attribute: false,
        xml_namespace: None,
        flattened: false,
        location: Location::Body,
        timestamp_format: None,
        idempotency_token: false,
        default: None,
    })
}

impl MemberBuilder {
    pub const fn flattened(mut self) -> Self {
        self.0.flattened = true;
        self
    }

    pub const fn idempotency_token(mut self) -> Self {
        self.0.idempotency_token = true;
        self
    }

    pub const fn xml_attribute(mut self) -> Self {
        self.0.xml_attribute = true;
        self
    }

    pub const fn xml_namespace(mut self, uri: &'static str) -> Self {
        self.0.xml_namespace = Some(uri);
        self
    }

    pub const fn timestamp_format(mut self, format: Option<TimestampFormat>) -> Self {
        self.0.timestamp_format = format;
        self
    }

    pub const fn location(mut self, location: Location) -> Self {
        self.0.location = location;
        self
    }
}

/// An operation whose shapes were not taken over.
pub const fn name_only(name: &'static str, index: usize) -> OperationSchema {
    OperationSchema {
        name,
        index,
        http_method: "POST",
        http_uri: "/",
        http_status: 200,
        input: None,
        output: None,
        result_wrapper: None,
        errors: &[],
        modelled: false,
    }
}
