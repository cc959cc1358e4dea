//! CreateListener.

use neargate_aws_api::elbv2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::Scope;

use super::settings::{self, Encryption};
use super::view;
use crate::certificates;
use crate::elbv2::listener_records::{ActionRecord, ListenerRecord};
use crate::elbv2::names::{LoadBalancerId, new_id};
use crate::elbv2::records::{LoadBalancerRecord, Tags};
use crate::elbv2::rules::{actions, fit};
use crate::elbv2::{Elbv2Service, errors, keys, limits, lookup, tags, uses};
use crate::scope_of;
use crate::state::{Attempt, Changes, State, Stored};

struct Wanted {
    load_balancer_arn: String,
    protocol: ProtocolEnum,
    port: u16,
    encryption: settings::Wanted,
    action: ActionRecord,
    tags: Tags,
}

/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateListener.html>
pub async fn create(
    service: &Elbv2Service,
    context: &RequestContext,
    input: CreateListenerInput,
) -> Result<CreateListenerOutput, ApiError> {
    let (state, scope) = (&service.state, scope_of(context));
    let wanted = parse(input)?;
    let record = state
        .retrying(|| async { attempt(state, &scope, &wanted).await })
        .await?;
    Ok(CreateListenerOutput {
        listeners: Some(vec![view::view(&record)]),
    })
}

fn parse(input: CreateListenerInput) -> Result<Wanted, ApiError> {
    let protocol = input
        .protocol
        .ok_or_else(|| errors::validation("A listener protocol must be specified"))?;
    let port = input
        .port
        .ok_or_else(|| errors::validation("A listener port must be specified"))?;
    Ok(Wanted {
        load_balancer_arn: input.load_balancer_arn,
        protocol,
        port: checked_port(port)?,
        encryption: settings::Wanted {
            certificates: input.certificates,
            ssl_policy: input.ssl_policy,
            alpn_policy: input.alpn_policy,
            mutual_authentication: input.mutual_authentication,
        },
        action: actions::parse(input.default_actions)?,
        tags: tags::checked(input.tags)?,
    })
}

pub fn checked_port(port: i32) -> Result<u16, ApiError> {
    u16::try_from(port)
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| {
            errors::validation(format!("Listener port '{port}' must be between '1-65535'"))
        })
}

async fn attempt(
    state: &State,
    scope: &Scope,
    wanted: &Wanted,
) -> Result<ListenerRecord, Attempt<ApiError>> {
    let load_balancer = lookup::load_balancer(state, scope, &wanted.load_balancer_arn).await?;
    let protocol = settings::protocol(load_balancer.record.kind, wanted.protocol)?;
    let encryption = settings::encryption(protocol, Encryption::default(), &wanted.encryption)?;
    if let Some(arn) = &encryption.certificate {
        settings::check_certificate(state, arn).await?;
    }
    let record = ListenerRecord {
        scope: scope.clone(),
        load_balancer: id_of(&load_balancer.record),
        id: new_id(),
        port: wanted.port,
        protocol,
        ssl_policy: encryption.ssl_policy,
        default_certificate: encryption.certificate,
        certificates: Vec::new(),
        alpn_policy: encryption.alpn_policy,
        default_rule_id: new_id(),
        default_action: wanted.action.clone(),
        rules: Vec::new(),
        attributes: Default::default(),
        tags: wanted.tags.clone(),
        default_rule_tags: Tags::new(),
        created_at: state.now(),
    };
    let others = lookup::listeners_of(state, scope, &load_balancer.record.id).await?;
    if let Some(found) = others.iter().find(|l| l.record.port == record.port) {
        return Ok(existing(&found.record, &record)?);
    }
    if others.len() >= limits::LISTENERS {
        return Err(ApiError::from(TooManyListenersException::new(format!(
            "You have reached the maximum number of listeners for a load balancer: [{}]",
            limits::LISTENERS
        )))
        .into());
    }
    fit::check(state, &load_balancer.record, &record).await?;
    let mut changes = Changes::new();
    take_turn(&load_balancer, &mut changes);
    require_certificate(&record, &mut changes);
    uses::change(state, &mut changes, None, Some(&record)).await?;
    let key = keys::listener(scope, &load_balancer.record.id, &record.id);
    changes.create(&key, &record);
    state.commit(changes).await?;
    Ok(record)
}

fn id_of(record: &LoadBalancerRecord) -> LoadBalancerId {
    LoadBalancerId {
        kind: record.kind,
        name: record.name.clone(),
        id: record.id.clone(),
    }
}

/// Whatever adds a listener or changes its port rewrites the load balancer's record, so that two such calls follow each
/// other: ports stay unique, and no listener is left behind by a deletion.
pub fn take_turn(load_balancer: &Stored<LoadBalancerRecord>, changes: &mut Changes) {
    changes.replace(load_balancer, &load_balancer.record);
}

/// The certificate is not deleted between the look and the use.
pub fn require_certificate(listener: &ListenerRecord, changes: &mut Changes) {
    let key = listener.default_certificate.as_deref();
    if let Some(key) = key.and_then(certificates::key_of) {
        changes.require_exists(&key);
    }
}

/// A repeated call answers what there is, if it wants the same.
fn existing(found: &ListenerRecord, wanted: &ListenerRecord) -> Result<ListenerRecord, ApiError> {
    let settings = |listener: &ListenerRecord| {
        (
            listener.protocol,
            listener.default_certificate.clone(),
            listener.ssl_policy.clone(),
            listener.alpn_policy.clone(),
            listener.default_action.clone(),
        )
    };
    if settings(found) == settings(wanted) {
        return Ok(found.clone());
    }
    Err(port_in_use())
}

pub fn port_in_use() -> ApiError {
    DuplicateListenerException::new("A listener with the specified port already exists.").into()
}
