//! What a protocol needs to know of a service: shapes, operations, constraints and wire names.
//!
//! Schemas are `static` tables emitted by `aws-api`'s build script from the trimmed models (or leaked at run time by
//! the protocol conformance tests). They cost no start-up time and no heap.

/// One AWS service: how it is told apart on the wire, and its operations.
#[derive(Debug)]
pub struct ServiceSchema {
    /// Our name and the model's directory: `ecs`, `ecr`, `logs`, `sts`, `ec2`.
    pub name: &'static str,
    /// `serviceId` of the model, as users see it: `ECS`, `CloudWatch Logs`.
    pub service_id: &'static str,
    /// Service name in the signature's credential scope.
    pub signing_name: &'static str,
    /// Dated API version; query protocols send it as `Version`.
    pub api_version: &'static str,
    /// Prefix of `X-Amz-Target` for the JSON protocols, service name in the path for rpc-v2-CBOR.
    pub target_prefix: &'static str,
    /// XML namespace of the query protocols' answers.
    pub xml_namespace: &'static str,
    /// Every protocol that the service speaks.
    pub protocols: &'static [Protocol],
    /// All operations of the service, implemented or not, sorted by name.
    pub operations: &'static [OperationSchema],
    /// Which error code and message form a violated model constraint gets.
    pub validation: ValidationStyle,
    /// `awsQueryCompatible`: errors carry `x-amzn-query-error` in the JSON and CBOR protocols.
    pub query_compatible: bool,
}

impl ServiceSchema {
    /// The operation of that exact name.
    pub fn operation(&self, name: &str) -> Option<&'static OperationSchema> {
        let operations = self.operations;
        operations
            .binary_search_by(|o| o.name.cmp(name))
            .ok()
            .map(|i| &operations[i])
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    AwsJson1_0,
    AwsJson1_1,
    AwsQuery,
    Ec2Query,
    RestJson1,
    RpcV2Cbor,
}

/// Services differ in how they answer input that breaks a model constraint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValidationStyle {
    /// `ValidationException`, "1 validation error detected: Value 'x' at 'field' failed to satisfy constraint: ...".
    Coral,
    /// `InvalidParameterException`, with the Coral text (ECS, Logs, ECR's own "Invalid parameter at ..." text is
    /// chosen by [`ValidationStyle::Ecr`]).
    InvalidParameter,
    /// `InvalidParameterException`, "Invalid parameter at 'field' failed to satisfy constraint: '...'".
    Ecr,
    /// `ValidationError` (query services such as STS and ELBv2).
    Query,
    /// EC2: `MissingParameter` "The request must contain the parameter X", `InvalidParameterValue` otherwise.
    Ec2,
    /// `ClientException` for ECS parameters; a missing top-level one is an `InvalidParameterException`.
    Ecs,
}

#[derive(Debug)]
pub struct OperationSchema {
    pub name: &'static str,
    /// Position in [`ServiceSchema::operations`]; generated dispatch switches on it.
    pub index: usize,
    pub http_method: &'static str,
    /// URI template, `/` for the RPC protocols, `/schedules/{Name}` for REST.
    pub http_uri: &'static str,
    /// Success status from the model, 200 unless it says otherwise.
    pub http_status: u16,
    /// `None`: the operation is known by name only (its shapes were not taken over), and answers "not implemented".
    pub input: Option<&'static Shape>,
    /// `None`: the operation has no output.
    pub output: Option<&'static Shape>,
    /// Query: name of the element around the output, `RunTaskResult`; most models follow `<Op>Result`.
    pub result_wrapper: Option<&'static str>,
    pub errors: &'static [&'static Shape],
    /// Whether the shapes were taken over from the model. False: name only, see `input`.
    pub modelled: bool,
}

/// A type of the model. Shapes refer to each other, also in circles.
pub struct Shape {
    /// Name in the model: `TaskDefinition`.
    pub name: &'static str,
    pub kind: Kind,
}

impl PartialEq for Shape {
    // One static per shape: identity is equality.
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl std::fmt::Debug for Shape {
    // Shapes are cyclic, so a derived form would not end.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shape({})", self.name)
    }
}

#[derive(Debug)]
pub enum Kind {
    Structure(StructureShape),
    List(ListShape),
    Map(MapShape),
    String(StringShape),
    Integer {
        min: Option<i64>,
        max: Option<i64>,
    },
    Long {
        min: Option<i64>,
        max: Option<i64>,
    },
    Float {
        min: Option<f64>,
        max: Option<f64>,
    },
    Double {
        min: Option<f64>,
        max: Option<f64>,
    },
    Boolean,
    Blob {
        min: Option<u64>,
        max: Option<u64>,
        streaming: bool,
    },
    /// The format is the shape's own default; a member may override it.
    Timestamp {
        format: Option<TimestampFormat>,
    },
    /// Free-form JSON.
    Document,
}

#[derive(Debug)]
pub struct StructureShape {
    pub members: &'static [Member],
    /// A tagged union: exactly one member is set.
    pub union: bool,
    /// Set on error shapes.
    pub error: Option<ErrorTrait>,
    /// REST: index of the member that is the whole HTTP payload.
    pub payload: Option<usize>,
    /// XML element name and namespace of the structure itself, where the model sets them.
    pub xml_name: Option<&'static str>,
    pub xml_namespace: Option<&'static str>,
}

#[derive(Debug, Clone, Copy)]
pub struct ErrorTrait {
    /// Code on the wire in JSON protocols (the shape's name unless the model says otherwise).
    pub code: &'static str,
    /// Code on the wire in query protocols (`awsQueryError`).
    pub query_code: &'static str,
    pub status: u16,
    /// The caller's fault (else the service's).
    pub sender_fault: bool,
}

#[derive(Debug)]
pub struct ListShape {
    pub member: &'static Shape,
    /// Element name of the query and EC2 protocols (`member`, `item`, ...), from `locationName` of the member.
    pub member_name: Option<&'static str>,
    pub flattened: bool,
    pub sparse: bool,
    pub min: Option<u64>,
    pub max: Option<u64>,
    /// Timestamp format that the list's member carries, for lists of timestamps.
    pub member_timestamp_format: Option<TimestampFormat>,
}

#[derive(Debug)]
pub struct MapShape {
    pub key: &'static Shape,
    pub value: &'static Shape,
    pub key_name: Option<&'static str>,
    pub value_name: Option<&'static str>,
    pub flattened: bool,
    pub sparse: bool,
    pub min: Option<u64>,
    pub max: Option<u64>,
}

#[derive(Debug)]
pub struct StringShape {
    pub min: Option<u64>,
    pub max: Option<u64>,
    pub pattern: Option<&'static str>,
    /// Values of an enumeration, in the model's order; empty: any text.
    pub enum_values: &'static [&'static str],
    /// `mediaType: application/json` header strings are base64 on the wire (REST `jsonvalue`).
    pub json_value: bool,
    /// Never shown in logs or errors.
    pub sensitive: bool,
}

#[derive(Debug)]
pub struct Member {
    /// Name in the model, and on the wire of the JSON protocols unless `json_name` says otherwise.
    pub name: &'static str,
    pub target: &'static Shape,
    pub required: bool,
    /// `locationName` for JSON bodies and REST locations; `name` where the model has none.
    pub wire_name: &'static str,
    /// Name in query requests (`Tags`), already resolved.
    pub query_name: &'static str,
    /// Name in EC2 query requests (`ec2QueryName`, else capitalised `locationName`, else capitalised name).
    pub ec2_name: &'static str,
    /// Element name in XML answers.
    pub xml_name: &'static str,
    pub xml_attribute: bool,
    pub xml_namespace: Option<&'static str>,
    /// XML and query lists and maps without a wrapping element (the member's own flag, or its shape's).
    pub flattened: bool,
    pub location: Location,
    pub timestamp_format: Option<TimestampFormat>,
    /// The server fills nothing in: clients send it. Kept because validation treats an absent one as absent.
    pub idempotency_token: bool,
    /// Smithy default, applied by the server where the client sent nothing.
    pub default: Option<DefaultValue>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum DefaultValue {
    Bool(bool),
    Int(i64),
    Double(f64),
    String(&'static str),
    EmptyList,
    EmptyMap,
    EmptyBlob,
    /// Any other JSON text (timestamps, documents, blobs).
    Json(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location {
    Body,
    /// Path label; `greedy` takes the rest of the path with its slashes.
    Uri {
        greedy: bool,
    },
    QueryString,
    /// The map that takes all other query parameters.
    QueryParams,
    Header,
    /// Map of headers with the prefix in `wire_name`.
    PrefixHeaders,
    StatusCode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampFormat {
    DateTime,
    HttpDate,
    EpochSeconds,
}
