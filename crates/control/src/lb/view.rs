//! The records that load balancers depend on, as the store has them.

use std::collections::BTreeMap;
use std::sync::Arc;

use neargate_store::{KeyValue, Revision};
use serde::de::DeserializeOwned;

use crate::certificates::{self, CertificateMaterial};
use crate::ec2::{self, NetworkInterfaceRecord, SubnetRecord, VpcRecord};
use crate::elbv2;
use crate::elbv2::listener_records::ListenerRecord;
use crate::elbv2::records::{LoadBalancerRecord, TargetGroupRecord, TargetRecord};
use crate::secrets::{Secret, Secrets};
use crate::state::decode;
use crate::{acm, iam};

/// Records by store key, each as of the revision beside it.
type Records<T> = BTreeMap<String, (Revision, T)>;

#[derive(Default)]
pub struct View {
    pub balancers: Records<LoadBalancerRecord>,
    pub listeners: Records<ListenerRecord>,
    pub groups: Records<TargetGroupRecord>,
    pub targets: Records<TargetRecord>,
    pub interfaces: Records<NetworkInterfaceRecord>,
    pub subnets: Records<SubnetRecord>,
    pub vpcs: Records<VpcRecord>,
    pub certificates: Records<OpenCertificate>,
}

/// A certificate with its key in clear, for the table.
pub struct OpenCertificate {
    pub material: CertificateMaterial,
    pub private_key: Arc<Secret>,
}

/// What a key is the place of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    LoadBalancer,
    Listener,
    TargetGroup,
    Target,
    Interface,
    Subnet,
    Vpc,
    Acm,
    Iam,
}

/// The prefixes under which the records are.
pub const PREFIXES: [&str; 4] = [
    elbv2::keys::ALL,
    ec2::keys::ALL,
    acm::keys::ALL,
    iam::keys::ALL,
];

fn kind_of(key: &str) -> Option<Kind> {
    if key.starts_with(elbv2::keys::ALL) {
        return match elbv2::keys::kind_of(key)? {
            elbv2::keys::Kind::LoadBalancer => Some(Kind::LoadBalancer),
            elbv2::keys::Kind::Listener => Some(Kind::Listener),
            elbv2::keys::Kind::TargetGroup => Some(Kind::TargetGroup),
            elbv2::keys::Kind::Target => Some(Kind::Target),
            elbv2::keys::Kind::Use => None,
        };
    }
    if ec2::keys::is_network_interface(key) {
        Some(Kind::Interface)
    } else if ec2::keys::is_subnet(key) {
        Some(Kind::Subnet)
    } else if ec2::keys::is_vpc(key) {
        Some(Kind::Vpc)
    } else if acm::keys::is_certificate(key) {
        Some(Kind::Acm)
    } else if iam::keys::is_server_certificate(key) {
        Some(Kind::Iam)
    } else {
        None
    }
}

impl View {
    /// Takes over a record. Answers whether anything may have changed for load balancers.
    pub fn put(&mut self, entry: &KeyValue, secrets: &Secrets) -> bool {
        let key = String::from_utf8_lossy(&entry.key).into_owned();
        match kind_of(&key) {
            Some(Kind::LoadBalancer) => keep(&mut self.balancers, key, entry),
            Some(Kind::Listener) => keep(&mut self.listeners, key, entry),
            Some(Kind::TargetGroup) => keep(&mut self.groups, key, entry),
            Some(Kind::Target) => keep(&mut self.targets, key, entry),
            // Most are those of tasks, which matter to nobody here.
            Some(Kind::Interface) => {
                keep(&mut self.interfaces, key.clone(), entry) && self.is_of_balancer(&key)
            }
            Some(Kind::Subnet) => keep(&mut self.subnets, key, entry),
            Some(Kind::Vpc) => keep(&mut self.vpcs, key, entry),
            Some(Kind::Acm) => {
                let material = read::<acm::CertificateRecord>(entry).map(|r| r.material());
                self.keep_certificate(key, entry, material, secrets)
            }
            Some(Kind::Iam) => {
                let material = read::<iam::ServerCertificateRecord>(entry).map(|r| r.material());
                self.keep_certificate(key, entry, material, secrets)
            }
            None => false,
        }
    }

    /// Forgets a record that is gone.
    pub fn remove(&mut self, key: &str) -> bool {
        match kind_of(key) {
            Some(Kind::LoadBalancer) => self.balancers.remove(key).is_some(),
            Some(Kind::Listener) => self.listeners.remove(key).is_some(),
            Some(Kind::TargetGroup) => self.groups.remove(key).is_some(),
            Some(Kind::Target) => self.targets.remove(key).is_some(),
            Some(Kind::Interface) => {
                let matters = self.is_of_balancer(key);
                self.interfaces.remove(key).is_some() && matters
            }
            Some(Kind::Subnet) => self.subnets.remove(key).is_some(),
            Some(Kind::Vpc) => self.vpcs.remove(key).is_some(),
            Some(Kind::Acm | Kind::Iam) => self.certificates.remove(key).is_some(),
            None => false,
        }
    }

    fn is_of_balancer(&self, key: &str) -> bool {
        let id = key.rsplit('/').next().unwrap_or_default();
        let mut zones = self.balancers.values().flat_map(|(_, lb)| &lb.zones);
        zones.any(|zone| zone.interface_id == id)
    }

    fn keep_certificate(
        &mut self,
        key: String,
        entry: &KeyValue,
        material: Option<CertificateMaterial>,
        secrets: &Secrets,
    ) -> bool {
        let Some(material) = material else {
            return false;
        };
        let known = self.certificates.get(&key);
        if known.is_some_and(|(revision, _)| *revision >= entry.mod_revision) {
            return false;
        }
        match material.private_key(secrets) {
            Ok(private_key) => {
                let open = OpenCertificate {
                    material,
                    private_key: Arc::new(private_key),
                };
                self.certificates.insert(key, (entry.mod_revision, open));
                true
            }
            Err(error) => {
                tracing::error!(certificate = material.arn, %error, "a certificate is not served");
                self.certificates.remove(&key).is_some()
            }
        }
    }

    /// The certificate of an ARN.
    pub fn certificate(&self, arn: &str) -> Option<&OpenCertificate> {
        let key = certificates::key_of(arn)?;
        let (_, found) = self.certificates.get(&key)?;
        (found.material.arn == arn).then_some(found)
    }
}

/// Takes over a record unless a newer one is known: what a range has shown, a watch may repeat.
fn keep<T: DeserializeOwned>(records: &mut Records<T>, key: String, entry: &KeyValue) -> bool {
    let known = records.get(&key).map(|(revision, _)| *revision);
    if known.is_some_and(|revision| revision >= entry.mod_revision) {
        return false;
    }
    match read::<T>(entry) {
        Some(record) => {
            records.insert(key, (entry.mod_revision, record));
            true
        }
        None => false,
    }
}

fn read<T: DeserializeOwned>(entry: &KeyValue) -> Option<T> {
    match decode::<T>(entry) {
        Ok(stored) => Some(stored.record),
        Err(error) => {
            tracing::error!(%error, "a record is passed over, and load balancers go on without it");
            None
        }
    }
}
