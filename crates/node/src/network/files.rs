//! The files by which a task's containers learn their name and their resolver.

use super::{
    error::Result,
    model::{Interface, is_host_name},
    rules,
};
use neargate_node_api::NetworkInterface;

/// Contents for `/etc/hostname`, `/etc/hosts` and `/etc/resolv.conf` of every container of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskFiles {
    /// The VPC's private DNS name of the interface (developer guide, fargate-task-networking).
    pub hostname: String,
    pub hosts: String,
    pub resolv_conf: String,
}

/// The files for a task with this interface.
pub fn task_files(message: &NetworkInterface) -> Result<TaskFiles> {
    let interface = Interface::try_from(message)?;
    let fallback = || format!("ip-{}", interface.address.to_string().replace('.', "-"));
    let hostname = Some(message.private_dns_name.clone())
        .filter(|name| is_host_name(name))
        .unwrap_or_else(fallback);
    let search = match interface.domain.as_str() {
        "" => String::new(),
        domain => format!("search {domain}\n"),
    };
    Ok(TaskFiles {
        // As AWS writes it for a task of IPv4: many programs take the first address of a name, and servers that bind
        // 0.0.0.0 do not listen on ::1.
        hosts: format!("127.0.0.1 localhost\n{} {hostname}\n", interface.address),
        resolv_conf: format!(
            "{search}nameserver {}\n",
            rules::resolver_of(interface.vpc_cidr)
        ),
        hostname,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_follow_the_interface() {
        let interface = |name: &str| NetworkInterface {
            eni_id: "eni-0123456789abcdef0".into(),
            mac_address: "0e:00:00:00:00:05".into(),
            private_ipv4_address: "172.31.16.5".into(),
            subnet_cidr: "172.31.16.0/20".into(),
            vpc_cidr: "172.31.0.0/16".into(),
            subnet_gateway: "172.31.16.1".into(),
            private_dns_name: name.into(),
            security_group_ids: vec!["sg-1".into()],
            ..NetworkInterface::default()
        };
        for (name, dns_name, hostname, search) in [
            (
                "us-east-1",
                "ip-172-31-16-5.ec2.internal",
                "ip-172-31-16-5.ec2.internal",
                "search ec2.internal\n",
            ),
            ("without a name", "", "ip-172-31-16-5", ""),
            (
                "a name with a line break",
                "a\nnameserver 6.6.6.6",
                "ip-172-31-16-5",
                "",
            ),
        ] {
            let files = task_files(&interface(dns_name)).expect(name);
            assert_eq!(files.hostname, hostname, "{name}");
            assert_eq!(
                files.resolv_conf,
                format!("{search}nameserver 172.31.0.2\n"),
                "{name}"
            );
            assert_eq!(
                files.hosts,
                format!("127.0.0.1 localhost\n172.31.16.5 {hostname}\n"),
                "{name}"
            );
        }
    }
}
