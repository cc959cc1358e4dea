//! Where access logs are kept: AWS's names of the objects, as files below a directory.

use crate::table::LoadBalancer;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use neargate_lb_api::{AccessLogs as Config, LoadBalancerType};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// AWS publishes a file per load balancer node every five minutes.
const INTERVAL_MILLIS: u64 = 5 * 60 * 1000;

/// The logs of one node of a load balancer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Node {
    /// `BUCKET/PREFIX/AWSLogs/ACCOUNT`
    base: PathBuf,
    account: String,
    region: String,
    /// `app.NAME.ID`
    name: String,
    /// Of application load balancers only: AWS's names of network load balancers' files have none.
    address: Option<IpAddr>,
}

impl Node {
    /// `None`: the load balancer has no access logs, or they are configured so that their files would lie elsewhere.
    pub(super) fn new(load_balancer: &LoadBalancer, address: IpAddr) -> Option<Self> {
        let config = load_balancer.attributes.access_logs.as_ref()?;
        let name = load_balancer.full_name.replace('/', ".");
        let (account, region) = (config.account.clone(), config.region.clone());
        let single = [&name, &account, &region]
            .into_iter()
            .all(|part| is_single(part));
        Some(Self {
            base: base(config).filter(|_| single)?,
            account,
            region,
            name,
            address: (load_balancer.kind != LoadBalancerType::Network).then_some(address),
        })
    }

    /// The file that a line of that moment belongs into.
    pub(super) fn path(&self, millis: u64, random: &str) -> PathBuf {
        let end = (millis / INTERVAL_MILLIS + 1) * INTERVAL_MILLIS;
        let Self {
            account,
            region,
            name,
            address,
            ..
        } = self;
        let end = i64::try_from(end)
            .ok()
            .and_then(|end| Timestamp::from_millisecond(end).ok());
        let end = end.unwrap_or_default().to_zoned(TimeZone::UTC);
        let day = end.strftime("%Y/%m/%d").to_string();
        let end = end.strftime("%Y%m%dT%H%MZ");
        let address = address.map(|address| format!("{address}_"));
        let address = address.unwrap_or_default();
        self.base
            .join(format!("elasticloadbalancing/{region}/{day}"))
            .join(format!(
                "{account}_elasticloadbalancing_{region}_{name}_{end}_{address}{random}.log.gz"
            ))
    }
}

/// Writes the file that tells that logs can be written, unless it is there. AWS does so when logs are switched on.
pub(super) fn write_test_file(
    directory: &Path,
    load_balancer: &LoadBalancer,
    now_millis: u64,
) -> io::Result<()> {
    let Some(base) = load_balancer.attributes.access_logs.as_ref().and_then(base) else {
        return Ok(());
    };
    let base = directory.join(base);
    fs::create_dir_all(&base)?;
    let time = i64::try_from(now_millis)
        .ok()
        .and_then(|millis| Timestamp::from_millisecond(millis).ok());
    let text = format!(
        "Enable AccessLog for ELB: {} at {:.0}\n",
        load_balancer.full_name,
        time.unwrap_or_default()
    );
    match OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(base.join("ELBAccessLogTestFile"))
    {
        Ok(mut file) => file.write_all(text.as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Appends lines as a gzip member of their own: a file of several members is a valid file, and stays one whenever the
/// process is killed.
pub(super) fn append(path: &Path, lines: &str) -> io::Result<()> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(lines.len() / 4), Compression::fast());
    encoder.write_all(lines.as_bytes())?;
    let member = encoder.finish()?;
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)?
        .write_all(&member)
}

fn base(config: &Config) -> Option<PathBuf> {
    let prefix = config.prefix.trim_matches('/');
    let mut base = PathBuf::from(is_single(&config.bucket).then_some(&config.bucket)?);
    for part in prefix.split('/').filter(|_| !prefix.is_empty()) {
        base.push(is_single(part).then_some(part)?);
    }
    base.push("AWSLogs");
    base.push(is_single(&config.account).then_some(&config.account)?);
    Some(base)
}

/// Whether a name from the configuration is one path component and no way out of the directory.
fn is_single(part: &str) -> bool {
    !part.is_empty() && part != "." && part != ".." && !part.contains(['/', '\0'])
}
