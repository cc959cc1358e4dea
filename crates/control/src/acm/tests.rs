//! The ACM API on a real store, with an authority of the test's own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use neargate_aws_api::acm::Acm as _;
use neargate_aws_api::acm::types::*;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::Timestamp;
use neargate_store::EmbeddedStore;

use super::authority::{Authority, KeyKind};
use super::{AcmService, CertificateRecord, keys, renewal};
use crate::certificates;
use crate::clock::{Clock as _, SystemClock, TestClock};
use crate::elbv2;
use crate::elbv2::listener_records::{Action, ActionRecord, FixedResponse, ListenerRecord};
use crate::elbv2::names::LoadBalancerId;
use crate::elbv2::records::{LoadBalancerKind, Protocol};
use crate::secrets::Secrets;
use crate::state::{Changes, State};

struct Fixture {
    acm: AcmService,
    state: State,
    clock: Arc<TestClock>,
    secrets: Arc<Secrets>,
    authority: Arc<Authority>,
    context: RequestContext,
    directory: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(&directory.path().join("state.redb")).unwrap();
        let clock = Arc::new(TestClock::new(SystemClock::new(1.0).now(), 1));
        let state = State::new(Arc::new(store), clock.clone());
        let secrets = Arc::new(Secrets::open(&directory.path().join("secrets.key")).unwrap());
        let authority =
            Arc::new(Authority::open(&directory.path().join("ca"), &secrets, state.now()).unwrap());
        Self {
            acm: AcmService::new(state.clone(), secrets.clone(), authority.clone()),
            state,
            clock,
            secrets,
            authority,
            context: RequestContext {
                request_id: "r".into(),
                account: "123456789012".into(),
                region: "eu-west-1".into(),
                access_key_id: None,
                host: "localhost".into(),
            },
            directory,
        }
    }

    async fn request(&self, change: impl FnOnce(&mut RequestCertificateRequest)) -> String {
        let mut request = RequestCertificateRequest {
            domain_name: "example.com".into(),
            // RSA keys take their time in a debug build.
            key_algorithm: Some(KeyAlgorithm::EcPrime256v1),
            ..Default::default()
        };
        change(&mut request);
        let answer = self.acm.request_certificate(&self.context, request).await;
        answer.unwrap().certificate_arn.unwrap()
    }

    async fn describe(&self, arn: &str) -> CertificateDetail {
        let request = DescribeCertificateRequest {
            certificate_arn: arn.into(),
        };
        let answer = self.acm.describe_certificate(&self.context, request).await;
        answer.unwrap().certificate.unwrap()
    }

    /// A listener that serves a certificate, as far as ACM looks at it.
    async fn put_to_use(&self, arn: &str) {
        let scope = crate::scope_of(&self.context);
        let load_balancer = LoadBalancerId {
            kind: LoadBalancerKind::Application,
            name: "web".to_owned(),
            id: "0000000000000001".to_owned(),
        };
        let listener = ListenerRecord {
            scope: scope.clone(),
            load_balancer,
            id: "0000000000000002".to_owned(),
            port: 443,
            protocol: Protocol::Https,
            ssl_policy: None,
            default_certificate: Some(arn.to_owned()),
            certificates: Vec::new(),
            alpn_policy: None,
            default_rule_id: "0000000000000003".to_owned(),
            default_action: ActionRecord {
                action: Action::FixedResponse(FixedResponse {
                    status_code: 200,
                    content_type: None,
                    message_body: None,
                }),
                order: None,
            },
            rules: Vec::new(),
            attributes: Default::default(),
            tags: Default::default(),
            default_rule_tags: Default::default(),
            created_at: self.state.now(),
        };
        let key = elbv2::keys::listener(&scope, &listener.load_balancer.id, &listener.id);
        let mut changes = Changes::new();
        changes.create(&key, &listener);
        self.state.commit(changes).await.unwrap();
    }

    async fn export(&self, arn: &str) {
        let request = ExportCertificateRequest {
            certificate_arn: arn.into(),
            passphrase: "secret".into(),
        };
        let exported = self.acm.export_certificate(&self.context, request).await;
        exported.unwrap();
    }

    async fn import(
        &self,
        change: impl FnOnce(&mut ImportCertificateRequest),
    ) -> Result<String, String> {
        let issued = self
            .authority
            .issue(&["own.example".into()], KeyKind::P256, self.state.now())
            .unwrap();
        let mut request = ImportCertificateRequest {
            certificate: issued.certificate_pem.into(),
            private_key: issued.private_key.expose().to_vec().into(),
            certificate_chain: Some(self.authority.certificate_pem().to_owned().into()),
            ..Default::default()
        };
        change(&mut request);
        let answer = self.acm.import_certificate(&self.context, request).await;
        answer
            .map(|answer| answer.certificate_arn.unwrap())
            .map_err(|error| error.message)
    }
}

#[tokio::test]
async fn a_requested_certificate_is_issued_by_our_authority() {
    let fixture = Fixture::new();
    let arn = fixture
        .request(|r| {
            r.subject_alternative_names = Some(vec!["*.example.com".into(), "example.com".into()]);
            r.validation_method = Some(ValidationMethod::Dns);
        })
        .await;
    let detail = fixture.describe(&arn).await;
    assert_eq!(detail.status, Some(CertificateStatus::Issued));
    assert_eq!(detail.r#type, Some(CertificateType::AmazonIssued));
    assert_eq!(detail.key_algorithm, Some(KeyAlgorithm::EcPrime256v1));
    assert_eq!(detail.subject.as_deref(), Some("CN=example.com"));
    assert_eq!(detail.issuer.as_deref(), Some("Neargate"));
    let names = detail.subject_alternative_names.unwrap();
    assert_eq!(names, ["example.com", "*.example.com"]);
    let validations = detail.domain_validation_options.unwrap();
    let records: Vec<_> = validations
        .iter()
        .map(|v| v.resource_record.clone().unwrap())
        .collect();
    assert_eq!(
        records[0], records[1],
        "a wildcard is proved by its domain's record"
    );
    assert!(records[0].name.ends_with(".example.com."));
    let record = fixture
        .state
        .list::<CertificateRecord>(&keys::certificates(&crate::scope_of(&fixture.context)))
        .await
        .unwrap()
        .remove(0);
    let stored = serde_json::to_string(&record.record).unwrap();
    assert!(!stored.contains("PRIVATE KEY"), "keys are sealed");
    let material = certificates::find(&fixture.state, &arn)
        .await
        .unwrap()
        .unwrap();
    let key = material.private_key(&fixture.secrets).unwrap();
    let upload = certificates::check_upload(
        record.record.certificate_pem.as_bytes(),
        key.expose(),
        record.record.chain_pem.as_deref().map(str::as_bytes),
        fixture.state.now(),
    );
    assert!(upload.is_ok(), "the key is the certificate's");
}

#[tokio::test]
async fn an_rsa_key_is_made_where_none_is_named() {
    let fixture = Fixture::new();
    let arn = fixture.request(|r| r.key_algorithm = None).await;
    let detail = fixture.describe(&arn).await;
    assert_eq!(detail.key_algorithm, Some(KeyAlgorithm::Rsa2048));
    let list = async |key_types: Option<Vec<KeyAlgorithm>>| {
        let request = ListCertificatesRequest {
            includes: key_types.map(|key_types| Filters {
                key_types: Some(key_types),
                ..Default::default()
            }),
            ..Default::default()
        };
        let answer = fixture
            .acm
            .list_certificates(&fixture.context, request)
            .await;
        answer.unwrap().certificate_summary_list.unwrap().len()
    };
    fixture.request(|_| {}).await;
    assert_eq!(list(None).await, 1, "only RSA unless others are asked for");
    assert_eq!(list(Some(vec![KeyAlgorithm::EcPrime256v1])).await, 1);
    assert_eq!(list(Some(vec![KeyAlgorithm::EcSecp384r1])).await, 0);
}

#[tokio::test]
async fn the_same_token_answers_the_same_certificate() {
    let fixture = Fixture::new();
    let token = |r: &mut RequestCertificateRequest| r.idempotency_token = Some("t".into());
    let first = fixture.request(token).await;
    assert_eq!(fixture.request(token).await, first);
    let other = fixture
        .request(|r| {
            token(r);
            r.domain_name = "other.example".into();
        })
        .await;
    assert_ne!(other, first, "another domain is another request");
}

#[tokio::test]
async fn requests_that_cannot_be_met_are_refused() {
    let fixture = Fixture::new();
    let long = format!("{}.example.com", "a".repeat(60));
    for (name, change, code) in [
        (
            "private authority",
            (|r| r.certificate_authority_arn = Some("arn:aws:acm-pca:x".into()))
                as fn(&mut RequestCertificateRequest),
            "InvalidParameterException",
        ),
        (
            "a key that public certificates cannot have",
            |r| r.key_algorithm = Some(KeyAlgorithm::Rsa4096),
            "InvalidParameterException",
        ),
        (
            "a reserved tag",
            |r| {
                r.tags = Some(vec![Tag {
                    key: "aws:x".into(),
                    value: None,
                }]);
            },
            "InvalidTagException",
        ),
        (
            "validation elsewhere",
            |r| {
                r.domain_validation_options = Some(vec![DomainValidationOption {
                    domain_name: "example.com".into(),
                    validation_domain: "other.com".into(),
                }]);
            },
            "InvalidDomainValidationOptionsException",
        ),
    ] {
        let mut request = RequestCertificateRequest {
            domain_name: "example.com".into(),
            ..Default::default()
        };
        change(&mut request);
        let error = fixture
            .acm
            .request_certificate(&fixture.context, request)
            .await;
        assert_eq!(error.unwrap_err().code, code, "{name}");
    }
    let request = RequestCertificateRequest {
        domain_name: long,
        ..Default::default()
    };
    let error = fixture
        .acm
        .request_certificate(&fixture.context, request)
        .await;
    assert_eq!(error.unwrap_err().code, "InvalidParameterException");
}

#[tokio::test]
async fn imports_are_checked() {
    let fixture = Fixture::new();
    let arn = fixture.import(|_| {}).await.unwrap();
    let detail = fixture.describe(&arn).await;
    assert_eq!(detail.r#type, Some(CertificateType::Imported));
    assert_eq!(detail.domain_name.as_deref(), Some("own.example"));
    let other = fixture
        .authority
        .issue(&["other".into()], KeyKind::P256, fixture.state.now())
        .unwrap();
    let past = fixture
        .authority
        .issue(&["old".into()], KeyKind::P256, Timestamp(0))
        .unwrap();
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let (other_key, other_pem) = (
        bytes(other.private_key.expose_text()),
        bytes(&other.certificate_pem),
    );
    let (past_key, past_pem) = (
        bytes(past.private_key.expose_text()),
        bytes(&past.certificate_pem),
    );
    type Change = Box<dyn FnOnce(&mut ImportCertificateRequest)>;
    let cases: Vec<(&str, Change, &str)> = vec![
        (
            "no certificate",
            Box::new(|r| r.certificate = "x".into()),
            "certificate is not PEM",
        ),
        (
            "broken certificate",
            Box::new(|r| {
                r.certificate =
                    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into();
            }),
            "certificate is not PEM",
        ),
        (
            "two certificates",
            Box::new(move |r| r.certificate = [&r.certificate[..], &other_pem[..]].concat().into()),
            "more than one certificate",
        ),
        (
            "no key",
            Box::new(|r| r.private_key = "x".into()),
            "private key is not PEM",
        ),
        (
            "another's key",
            Box::new(move |r| r.private_key = other_key),
            "do not match",
        ),
        (
            "no chain",
            Box::new(|r| r.certificate_chain = None),
            "valid self signed",
        ),
        (
            "broken chain",
            Box::new(|r| r.certificate_chain = Some("x".into())),
            "chain is not PEM",
        ),
        (
            "expired",
            Box::new(move |r| (r.certificate, r.private_key) = (past_pem, past_key)),
            "expired",
        ),
    ];
    for (name, change, want) in cases {
        let message = fixture.import(change).await.unwrap_err();
        assert!(message.contains(want), "{name}: {message}");
    }
    let again = arn.clone();
    let same = fixture
        .import(move |r| r.certificate_arn = Some(again))
        .await;
    assert_eq!(
        same.as_deref(),
        Ok(arn.as_str()),
        "in the place of the first"
    );
    let requested = fixture.request(|_| {}).await;
    let refused = fixture
        .import(move |r| r.certificate_arn = Some(requested))
        .await;
    assert!(refused.unwrap_err().contains("was not imported"));
}

#[tokio::test]
async fn only_exportable_certificates_give_their_key_away_and_only_encrypted() {
    let fixture = Fixture::new();
    let export = async |arn: &str| {
        let request = ExportCertificateRequest {
            certificate_arn: arn.into(),
            passphrase: "secret".into(),
        };
        fixture
            .acm
            .export_certificate(&fixture.context, request)
            .await
    };
    let arn = fixture.request(|_| {}).await;
    assert_eq!(export(&arn).await.unwrap_err().code, "ValidationException");
    let request = UpdateCertificateOptionsRequest {
        certificate_arn: arn.clone(),
        options: CertificateOptions {
            export: Some(CertificateExport::Enabled),
            ..Default::default()
        },
    };
    let updated = fixture
        .acm
        .update_certificate_options(&fixture.context, request);
    updated.await.unwrap();
    let key = export(&arn).await.unwrap().private_key.unwrap();
    assert!(
        key.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"),
        "{key}"
    );
}

#[tokio::test]
async fn an_authority_is_the_same_after_a_restart() {
    let fixture = Fixture::new();
    let directory = fixture.directory.path().join("ca");
    let again = Authority::open(&directory, &fixture.secrets, Timestamp(1)).unwrap();
    assert_eq!(again.certificate_pem(), fixture.authority.certificate_pem());
    let key = std::fs::read_to_string(directory.join("ca.key.sealed")).unwrap();
    assert!(!key.contains("PRIVATE"), "sealed");
    let issued = again
        .issue(&["a.example".into()], KeyKind::P384, fixture.state.now())
        .unwrap();
    let facts = certificates::facts_of(&issued.certificate_pem).unwrap();
    assert_eq!(facts.key_algorithm, "EC_secp384r1");
    assert_eq!(facts.issuer, "Neargate");
}

#[tokio::test]
async fn a_certificate_that_is_gone_is_unknown() {
    let fixture = Fixture::new();
    let arn = fixture.request(|_| {}).await;
    let delete = || {
        let request = DeleteCertificateRequest {
            certificate_arn: arn.clone(),
        };
        fixture.acm.delete_certificate(&fixture.context, request)
    };
    delete().await.unwrap();
    assert_eq!(
        delete().await.unwrap_err().code,
        "ResourceNotFoundException"
    );
    assert_eq!(
        certificates::find(&fixture.state, &arn).await.unwrap(),
        None
    );
}

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test]
async fn certificates_that_somebody_has_are_renewed_before_they_end() {
    let fixture = Fixture::new();
    let in_use = fixture
        .request(|r| {
            r.subject_alternative_names = Some(vec!["*.example.com".into()]);
            r.key_algorithm = Some(KeyAlgorithm::EcSecp384r1);
        })
        .await;
    fixture.put_to_use(&in_use).await;
    let exported = fixture
        .request(|r| {
            r.options = Some(CertificateOptions {
                export: Some(CertificateExport::Enabled),
                ..Default::default()
            });
        })
        .await;
    fixture.export(&exported).await;
    let idle = fixture.request(|_| {}).await;
    let imported = fixture.import(|_| {}).await.unwrap();
    let all = [&in_use, &exported, &idle, &imported];
    let mut before = Vec::new();
    for arn in all {
        before.push(fixture.describe(arn).await);
    }
    let eligible = |details: &[CertificateDetail]| -> Vec<_> {
        let eligible = RenewalEligibility::Eligible;
        let one = |detail: &CertificateDetail| detail.renewal_eligibility == Some(eligible);
        details.iter().map(one).collect()
    };
    assert_eq!(eligible(&before), [true, true, false, false]);
    let pass = || renewal::pass(&fixture.state, &fixture.secrets, &fixture.authority);
    let end = Timestamp::from(before[0].not_after.unwrap());
    let due = end.plus_millis(-60 * 24 * 3600 * 1000);
    assert_eq!(
        pass().await.unwrap(),
        Some(due),
        "nothing is due for 335 days"
    );
    fixture.clock.advance(DAY * 334);
    assert_eq!(pass().await.unwrap(), Some(due));
    assert_eq!(fixture.describe(&in_use).await, before[0]);

    fixture.clock.advance(DAY);
    pass().await.unwrap();
    let mut after = Vec::new();
    for arn in all {
        after.push(fixture.describe(arn).await);
    }
    let renewed: Vec<_> = before
        .iter()
        .zip(&after)
        .map(|(before, after)| before.serial != after.serial)
        .collect();
    assert_eq!(renewed, [true, true, false, false]);
    assert_eq!(
        eligible(&after),
        [true, false, false, false],
        "who exported it has the old one"
    );
    let (old, new) = (&before[0], &after[0]);
    assert!(new.not_after > old.not_after);
    assert_eq!(new.subject_alternative_names, old.subject_alternative_names);
    assert_eq!(new.key_algorithm, Some(KeyAlgorithm::EcSecp384r1));
    let summary = new.renewal_summary.clone().unwrap();
    assert_eq!(summary.renewal_status, RenewalStatus::Success);
    assert_eq!(Timestamp::from(summary.updated_at), fixture.state.now());
    assert_eq!(
        Some(summary.domain_validation_options),
        new.domain_validation_options
    );
    assert_eq!(old.renewal_summary, None);
    let served = certificates::find(&fixture.state, &in_use)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        certificates::facts_of(&served.chain_pem).unwrap().serial,
        new.serial.clone().unwrap()
    );
    served.private_key(&fixture.secrets).unwrap();
}

#[tokio::test]
async fn the_reconciler_wakes_when_a_certificate_is_due() {
    let fixture = Fixture::new();
    let arn = fixture.request(|_| {}).await;
    let first = fixture.describe(&arn).await;
    let reconciler = tokio::spawn({
        let (state, secrets) = (fixture.state.clone(), fixture.secrets.clone());
        let authority = fixture.authority.clone();
        async move { renewal::run(&state, &secrets, &authority).await }
    });
    // Put to use while it sleeps: the next day's pass sees it.
    fixture.put_to_use(&arn).await;
    for _ in 0..335 {
        tokio::task::yield_now().await;
        fixture.clock.advance(DAY);
    }
    while fixture.describe(&arn).await.serial == first.serial {
        assert!(!reconciler.is_finished());
        tokio::task::yield_now().await;
    }
    reconciler.abort();
}
