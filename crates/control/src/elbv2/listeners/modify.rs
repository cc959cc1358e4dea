//! ModifyListener.

use neargate_aws_api::elbv2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::Scope;

use super::create::{checked_port, port_in_use, require_certificate, take_turn};
use super::settings::{self, Encryption};
use super::view;
use crate::elbv2::listener_records::{ActionRecord, ListenerRecord};
use crate::elbv2::rules::{actions, fit};
use crate::elbv2::{Elbv2Service, errors, lookup, uses};
use crate::scope_of;
use crate::state::{Attempt, Changes, State};

struct Wanted {
    arn: String,
    protocol: Option<ProtocolEnum>,
    port: Option<u16>,
    encryption: settings::Wanted,
    action: Option<ActionRecord>,
}

/// What is not given stays. The default rule is the listener's default actions, so both views change together.
///
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_ModifyListener.html>
pub async fn modify(
    service: &Elbv2Service,
    context: &RequestContext,
    input: ModifyListenerInput,
) -> Result<ModifyListenerOutput, ApiError> {
    let (state, scope) = (&service.state, scope_of(context));
    let wanted = Wanted {
        arn: input.listener_arn,
        protocol: input.protocol,
        port: input.port.map(checked_port).transpose()?,
        encryption: settings::Wanted {
            certificates: input.certificates,
            ssl_policy: input.ssl_policy,
            alpn_policy: input.alpn_policy,
            mutual_authentication: input.mutual_authentication,
        },
        // The query protocol writes an empty list where nothing is given.
        action: input
            .default_actions
            .filter(|actions| !actions.is_empty())
            .map(actions::parse)
            .transpose()?,
    };
    let record = state
        .retrying(|| async { attempt(state, &scope, &wanted).await })
        .await?;
    Ok(ModifyListenerOutput {
        listeners: Some(vec![view::view(&record)]),
    })
}

async fn attempt(
    state: &State,
    scope: &Scope,
    wanted: &Wanted,
) -> Result<ListenerRecord, Attempt<ApiError>> {
    let found = lookup::listener(state, scope, &wanted.arn).await?;
    let load_balancer = lookup::find_load_balancer(state, scope, &found.record.load_balancer)
        .await?
        .ok_or_else(errors::load_balancer_not_found)?;
    let mut record = found.record.clone();
    if let Some(protocol) = wanted.protocol {
        record.protocol = settings::protocol(record.load_balancer.kind, protocol)?;
    }
    let before = Encryption {
        certificate: record.default_certificate.take(),
        ssl_policy: record.ssl_policy.take(),
        alpn_policy: record.alpn_policy.take(),
    };
    let encryption = settings::encryption(record.protocol, before, &wanted.encryption)?;
    record.default_certificate = encryption.certificate;
    record.ssl_policy = encryption.ssl_policy;
    record.alpn_policy = encryption.alpn_policy;
    if !record.protocol.is_encrypted() {
        record.certificates.clear();
    }
    if let Some(arn) = &record.default_certificate {
        settings::check_certificate(state, arn).await?;
    }
    if let Some(action) = &wanted.action {
        record.default_action = action.clone();
    }
    let mut changes = Changes::new();
    if let Some(port) = wanted.port.filter(|port| *port != record.port) {
        let others = lookup::listeners_of(state, scope, &record.load_balancer.id).await?;
        if others.iter().any(|other| other.record.port == port) {
            return Err(port_in_use().into());
        }
        record.port = port;
        take_turn(&load_balancer, &mut changes);
    }
    fit::check(state, &load_balancer.record, &record).await?;
    require_certificate(&record, &mut changes);
    uses::change(state, &mut changes, Some(&found.record), Some(&record)).await?;
    changes.replace(&found, &record);
    state.commit(changes).await?;
    Ok(record)
}
