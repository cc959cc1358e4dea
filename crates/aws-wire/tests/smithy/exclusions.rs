//! Cases that do not pass, each with the reason why that is right for us. One that passes must leave this list.

use super::cases::Direction::{self, Malformed, Request, Response};

const NO_DEFAULTS_IN_ANSWERS: &str = "botocore's models, which ours are made of, have no defaults; a service sets all that it answers";
const NO_BODY_IN_CASE: &str = "a client's case: it says that the body is gzip data, but has no body, so there is nothing to read";
const CLIENT_FILLS_IN: &str = "the client fills in the token; the server sees it like any other";
const NOT_SENT: &str = "the client sends nothing for an empty collection, which a server cannot tell from an absent one";
const OFFSET_IN_ANSWER: &str =
    "clients must understand offsets in answers; AWS's services, and we, always send Z";
const NO_BYTE_OR_SHORT: &str =
    "botocore's models have no bytes and shorts, so schemas have no such kinds";
const NO_MEDIA_TYPES: &str =
    "botocore's models have no media types of payloads, so schemas have none";
const NO_UNIQUE_ITEMS: &str =
    "botocore's models do not say that items are unique; services check it themselves";

/// Direction, id and reason.
pub const EXCLUSIONS: &[(Direction, &str, &str)] = &[
    (
        Response,
        "AwsJson10ServerPopulatesDefaultsInResponseWhenMissingInParams",
        NO_DEFAULTS_IN_ANSWERS,
    ),
    (
        Response,
        "AwsJson10ServerPopulatesNestedDefaultValuesWhenMissingInInResponseParams",
        NO_DEFAULTS_IN_ANSWERS,
    ),
    (
        Response,
        "RestJsonServerPopulatesDefaultsInResponseWhenMissingInParams",
        NO_DEFAULTS_IN_ANSWERS,
    ),
    (
        Response,
        "RestJsonServerPopulatesNestedDefaultValuesWhenMissingInInResponseParams",
        NO_DEFAULTS_IN_ANSWERS,
    ),
    (
        Response,
        "RpcV2CborServerPopulatesDefaultsInResponseWhenMissingInParams",
        NO_DEFAULTS_IN_ANSWERS,
    ),
    (
        Request,
        "SDKAppliedContentEncoding_awsJson1_0",
        NO_BODY_IN_CASE,
    ),
    (
        Request,
        "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_0",
        NO_BODY_IN_CASE,
    ),
    (
        Request,
        "SDKAppliedContentEncoding_awsJson1_1",
        NO_BODY_IN_CASE,
    ),
    (
        Request,
        "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_1",
        NO_BODY_IN_CASE,
    ),
    (
        Request,
        "SDKAppliedContentEncoding_awsQuery",
        NO_BODY_IN_CASE,
    ),
    (
        Request,
        "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsQuery",
        NO_BODY_IN_CASE,
    ),
    (
        Request,
        "SDKAppliedContentEncoding_ec2Query",
        NO_BODY_IN_CASE,
    ),
    (
        Request,
        "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_ec2Query",
        NO_BODY_IN_CASE,
    ),
    (
        Request,
        "SDKAppliedContentEncoding_restJson1",
        NO_BODY_IN_CASE,
    ),
    (
        Request,
        "SDKAppendedGzipAfterProvidedEncoding_restJson1",
        NO_BODY_IN_CASE,
    ),
    (
        Response,
        "AwsJson11IntEnums",
        "a mistake in the case: it wants the request header X-Amz-Target in the answer",
    ),
    (
        Response,
        "Ec2ComplexError",
        "a mistake in the case: the body that it wants has a message that its parameters have not",
    ),
    (
        Request,
        "QueryProtocolIdempotencyTokenAutoFill",
        CLIENT_FILLS_IN,
    ),
    (
        Request,
        "Ec2ProtocolIdempotencyTokenAutoFill",
        CLIENT_FILLS_IN,
    ),
    (Request, "QueryEmptyQueryMaps", NOT_SENT),
    (Request, "Ec2EmptyQueryLists", NOT_SENT),
    (Request, "RestJsonOmitsEmptyListQueryValues", NOT_SENT),
    (
        Response,
        "Ec2QueryDateTimeWithNegativeOffset",
        OFFSET_IN_ANSWER,
    ),
    (
        Response,
        "Ec2QueryDateTimeWithPositiveOffset",
        OFFSET_IN_ANSWER,
    ),
    (
        Malformed,
        "RestJsonBodyByteUnderflowOverflow",
        NO_BYTE_OR_SHORT,
    ),
    (
        Malformed,
        "RestJsonPathByteUnderflowOverflow",
        NO_BYTE_OR_SHORT,
    ),
    (
        Malformed,
        "RestJsonQueryByteUnderflowOverflow",
        NO_BYTE_OR_SHORT,
    ),
    (
        Malformed,
        "RestJsonHeaderByteUnderflowOverflow",
        NO_BYTE_OR_SHORT,
    ),
    (
        Malformed,
        "RestJsonBodyShortUnderflowOverflow",
        NO_BYTE_OR_SHORT,
    ),
    (
        Malformed,
        "RestJsonPathShortUnderflowOverflow",
        NO_BYTE_OR_SHORT,
    ),
    (
        Malformed,
        "RestJsonQueryShortUnderflowOverflow",
        NO_BYTE_OR_SHORT,
    ),
    (
        Malformed,
        "RestJsonHeaderShortUnderflowOverflow",
        NO_BYTE_OR_SHORT,
    ),
    (
        Response,
        "RestJsonHttpPayloadTraitsWithMediaTypeWithBlob",
        NO_MEDIA_TYPES,
    ),
    (
        Response,
        "RestJsonStreamingTraitsWithMediaTypeWithBlob",
        NO_MEDIA_TYPES,
    ),
    (
        Malformed,
        "RestJsonWithPayloadExpectsModeledAccept",
        NO_MEDIA_TYPES,
    ),
    (
        Malformed,
        "RestJsonWithPayloadExpectsModeledContentType",
        NO_MEDIA_TYPES,
    ),
    (
        Malformed,
        "RestJsonWithPayloadExpectsImpliedContentType",
        NO_MEDIA_TYPES,
    ),
    (
        Malformed,
        "RestJsonWithoutBodyExpectsEmptyContentType",
        "AWS's services take a stray `{}` where no input is modelled, and old tools send it",
    ),
    (
        Malformed,
        "RestJsonWithoutBodyEmptyInputExpectsEmptyContentType",
        "contradicts RestJsonEmptyInputAndEmptyOutputWithJson, which wants the same request to work",
    ),
    (
        Request,
        "RestJsonHttpWithEmptyStructurePayload",
        "a client's case: it sends `{}` for an unset payload; a server sees an empty structure",
    ),
    (
        Request,
        "RestJsonHttpWithHeadersButNoPayload",
        "a client's case: it sends `{}` for an unset payload; a server sees an empty structure",
    ),
    (
        Malformed,
        "RestJsonMalformedUniqueItemsBlobList",
        NO_UNIQUE_ITEMS,
    ),
    (
        Malformed,
        "RestJsonMalformedUniqueItemsBooleanList",
        NO_UNIQUE_ITEMS,
    ),
    (
        Malformed,
        "RestJsonMalformedUniqueItemsByteList",
        NO_UNIQUE_ITEMS,
    ),
    (
        Malformed,
        "RestJsonMalformedUniqueItemsDateTimeList",
        NO_UNIQUE_ITEMS,
    ),
    (
        Malformed,
        "RestJsonMalformedUniqueItemsEnumList",
        NO_UNIQUE_ITEMS,
    ),
    (
        Malformed,
        "RestJsonMalformedUniqueItemsHttpDateList",
        NO_UNIQUE_ITEMS,
    ),
    (
        Malformed,
        "RestJsonMalformedUniqueItemsIntEnumList",
        NO_UNIQUE_ITEMS,
    ),
    (
        Malformed,
        "RestJsonMalformedUniqueItemsIntegerList",
        NO_UNIQUE_ITEMS,
    ),
    (
        Malformed,
        "RestJsonMalformedUniqueItemsListList",
        NO_UNIQUE_ITEMS,
    ),
    (
        Malformed,
        "RestJsonMalformedUniqueItemsLongList",
        NO_UNIQUE_ITEMS,
    ),
    (
        Malformed,
        "RestJsonMalformedUniqueItemsShortList",
        NO_UNIQUE_ITEMS,
    ),
    (
        Malformed,
        "RestJsonMalformedUniqueItemsStringList",
        NO_UNIQUE_ITEMS,
    ),
    (
        Malformed,
        "RestJsonMalformedUniqueItemsStructureList",
        NO_UNIQUE_ITEMS,
    ),
    (
        Malformed,
        "RestJsonMalformedUniqueItemsTimestampList",
        NO_UNIQUE_ITEMS,
    ),
    (
        Malformed,
        "RestJsonMalformedUniqueItemsUnionList",
        NO_UNIQUE_ITEMS,
    ),
];
