//! Which questions a VPC's resolver answers itself. No IO.

use super::names::{Lookup, Named, VpcNames};
use hickory_proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, PTR},
    },
};
use ipnet::{IpNet, Ipv4Net};
use rand::seq::SliceRandom as _;
use std::{net::Ipv4Addr, sync::Arc};

/// As on AWS, whose resolver answers with 60 seconds.
const TTL_SECS: u32 = 60;
/// What an answer over UDP may have when the question does not say (RFC 1035, 4.2.1).
pub const MAX_UDP_ANSWER: usize = 512;

/// The names that a VPC has by itself, `ip-172-31-0-5.ec2.internal` for each address of its range and back, and those
/// that it is given ([`VpcNames`]).
///
/// An address needs no interface to have its name; it has one in every VPC anyway, and a task that just started is
/// found without a race.
#[derive(Debug, Clone)]
pub struct Zone {
    range: Ipv4Net,
    /// `ec2.internal.` or `<region>.compute.internal.`
    domain: Option<Name>,
    given: Arc<VpcNames>,
}

/// What to do with a question.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    Answer(Vec<u8>),
    Forward,
    /// Not a question at all.
    Ignore,
}

impl Zone {
    /// `domain`: the private DNS names' part behind the first dot.
    pub fn new(range: Ipv4Net, domain: &str, given: Arc<VpcNames>) -> Zone {
        let domain = Name::from_ascii(domain)
            .ok()
            .filter(|name| name.num_labels() > 0);
        let absolute = |mut name: Name| {
            name.set_fqdn(true);
            name
        };
        Zone {
            range,
            domain: domain.map(absolute),
            given,
        }
    }

    pub fn answer(&self, question: &[u8], limit: Option<usize>) -> Verdict {
        let Ok(message) = Message::from_vec(question) else {
            return Verdict::Ignore;
        };
        if message.metadata.message_type != MessageType::Query {
            return Verdict::Ignore;
        }
        if message.metadata.op_code != OpCode::Query {
            return encode(error(&message, ResponseCode::NotImp), limit);
        }
        let [query] = message.queries.as_slice() else {
            return encode(error(&message, ResponseCode::FormErr), limit);
        };
        match self.known(query) {
            None => Verdict::Forward,
            Some(Ok(records)) => {
                let mut reply = error(&message, ResponseCode::NoError);
                reply.add_answers(records);
                encode(reply, limit)
            }
            Some(Err(code)) => encode(error(&message, code), limit),
        }
    }

    /// `None`: not a name of this VPC.
    fn known(&self, query: &Query) -> Option<Result<Vec<Record>, ResponseCode>> {
        let name = query.name();
        match self.given.look_up(name.to_ascii().trim_end_matches('.')) {
            Lookup::Found(named) => return Some(Ok(addresses(query, named))),
            Lookup::Absent => return Some(Err(ResponseCode::NXDomain)),
            Lookup::Foreign => {}
        }
        let domain = self.domain.as_ref()?;
        let only = |kind: RecordType, data: RData| {
            let asked = query.query_type() == kind || query.query_type() == RecordType::ANY;
            Some(Ok(if asked {
                vec![Record::from_rdata(name.clone(), TTL_SECS, data)]
            } else {
                Vec::new()
            }))
        };
        if domain.zone_of(name) {
            let address = address_of(name).filter(|address| self.range.contains(address));
            return match address {
                Some(address) if name.num_labels() == domain.num_labels() + 1 => {
                    only(RecordType::A, RData::A(A(address)))
                }
                _ if name == domain => Some(Ok(Vec::new())),
                // The domain is of no use outside: do not ask the world.
                _ => Some(Err(ResponseCode::NXDomain)),
            };
        }
        match name.parse_arpa_name() {
            Ok(IpNet::V4(net)) if net.prefix_len() == 32 && self.range.contains(&net.addr()) => {
                let host =
                    Name::from_ascii(format!("ip-{}", net.addr().to_string().replace('.', "-")))
                        .ok()?;
                only(
                    RecordType::PTR,
                    RData::PTR(PTR(host.append_domain(domain).ok()?)),
                )
            }
            _ => None,
        }
    }
}

/// In another order for each question, since most clients take the first address: as Route 53 does for a load balancer.
fn addresses(query: &Query, named: Named) -> Vec<Record> {
    let Named {
        mut addresses,
        ttl_secs,
    } = named;
    if !matches!(query.query_type(), RecordType::A | RecordType::ANY) {
        return Vec::new();
    }
    addresses.shuffle(&mut rand::rng());
    let record = |address| Record::from_rdata(query.name().clone(), ttl_secs, RData::A(A(address)));
    addresses.into_iter().map(record).collect()
}

/// `ip-172-31-0-5`, the first label of a private DNS name.
fn address_of(name: &Name) -> Option<Ipv4Addr> {
    let label = std::str::from_utf8(name.iter().next()?)
        .ok()?
        .to_ascii_lowercase();
    label.strip_prefix("ip-")?.replace('-', ".").parse().ok()
}

/// A reply to a question with a code and no records yet.
fn error(question: &Message, code: ResponseCode) -> Message {
    let mut reply = Message::response(question.metadata.id, question.metadata.op_code);
    reply.metadata.recursion_desired = question.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    reply.metadata.response_code = code;
    reply.add_queries(question.queries.iter().cloned());
    reply
}

fn encode(reply: Message, limit: Option<usize>) -> Verdict {
    let Ok(bytes) = reply.to_vec() else {
        return Verdict::Ignore;
    };
    if limit.is_none_or(|limit| bytes.len() <= limit) {
        return Verdict::Answer(bytes);
    }
    reply
        .truncate()
        .to_vec()
        .map_or(Verdict::Ignore, Verdict::Answer)
}

/// "The machine's resolvers do not answer".
pub fn failure(question: &[u8]) -> Vec<u8> {
    let reply = Message::from_vec(question).map(|message| error(&message, ResponseCode::ServFail));
    reply
        .ok()
        .and_then(|reply| reply.to_vec().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::dns::Names;
    use neargate_node_api::{DnsRecord, DnsRecords};

    fn ask(name: &str, kind: RecordType) -> Vec<u8> {
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        message.add_query(Query::query(Name::from_ascii(name).expect("a name"), kind));
        message.to_vec().expect("a question")
    }

    fn zone(domain: &str) -> Zone {
        let range = "172.31.0.0/16".parse().expect("a range");
        Zone::new(range, domain, Arc::default())
    }

    fn text(verdict: Verdict) -> String {
        let bytes = match verdict {
            Verdict::Answer(bytes) => bytes,
            other => return format!("{other:?}"),
        };
        let reply = Message::from_vec(&bytes).expect("a reply");
        assert_eq!(
            (reply.metadata.id, reply.metadata.recursion_available),
            (7, true)
        );
        let records: Vec<_> = reply
            .answers
            .iter()
            .map(|record| format!("{} {}", record.ttl, record.data))
            .collect();
        format!("{:?} {}", reply.metadata.response_code, records.join(" "))
            .trim_end()
            .to_owned()
    }

    #[test]
    fn a_vpc_knows_its_own_names_and_no_others() {
        use RecordType::{A, AAAA, ANY, PTR};
        let zone = zone("us-west-2.compute.internal");
        for (name, kind, want) in [
            (
                "ip-172-31-0-5.us-west-2.compute.internal.",
                A,
                "NoError 60 172.31.0.5",
            ),
            (
                "IP-172-31-0-5.US-WEST-2.Compute.Internal.",
                A,
                "NoError 60 172.31.0.5",
            ),
            (
                "ip-172-31-0-5.us-west-2.compute.internal.",
                ANY,
                "NoError 60 172.31.0.5",
            ),
            ("ip-172-31-0-5.us-west-2.compute.internal.", AAAA, "NoError"),
            ("ip-172-32-0-5.us-west-2.compute.internal.", A, "NXDomain"),
            ("ip-172-31-0-256.us-west-2.compute.internal.", A, "NXDomain"),
            ("a.ip-172-31-0-5.us-west-2.compute.internal.", A, "NXDomain"),
            ("example.com.us-west-2.compute.internal.", A, "NXDomain"),
            ("us-west-2.compute.internal.", A, "NoError"),
            ("ip-172-31-0-5.ec2.internal.", A, "Forward"),
            (
                "5.0.31.172.in-addr.arpa.",
                PTR,
                "NoError 60 ip-172-31-0-5.us-west-2.compute.internal.",
            ),
            ("5.0.31.172.in-addr.arpa.", A, "NoError"),
            ("5.0.32.172.in-addr.arpa.", PTR, "Forward"),
            ("31.172.in-addr.arpa.", PTR, "Forward"),
            ("example.com.", A, "Forward"),
            (".", A, "Forward"),
        ] {
            assert_eq!(
                text(zone.answer(&ask(name, kind), Some(MAX_UDP_ANSWER))),
                want,
                "{name} {kind}"
            );
        }
    }

    #[test]
    fn what_is_no_question_is_refused_or_ignored() {
        let zone = zone("ec2.internal");
        let question = ask("example.com.", RecordType::A);
        let (mut update, mut two, mut reply) =
            (question.clone(), question.clone(), question.clone());
        update[2] |= 5 << 3;
        two[5] = 2;
        two.extend_from_within(12..);
        reply[2] |= 0x80;
        for (name, bytes, want) in [
            ("empty", &[][..], "Ignore"),
            ("noise", &[0xff; 40][..], "Ignore"),
            ("cut", &question[..20], "Ignore"),
            ("a reply", &reply, "Ignore"),
            ("an update", &update, "NotImp"),
            ("two questions", &two, "FormErr"),
        ] {
            assert_eq!(text(zone.answer(bytes, None)), want, "{name}");
        }
        assert_eq!(text(Verdict::Answer(failure(&question))), "ServFail");
    }

    #[test]
    fn names_of_load_balancers_are_answered_by_type() {
        use RecordType::{A, AAAA, ANY};
        let names = Names::default();
        let vpc = "vpc-1".parse().expect("an id");
        let records = vec![DnsRecord {
            vpc_id: "vpc-1".to_owned(),
            name: "web-1.us-east-1.elb.localhost".to_owned(),
            ipv4_addresses: vec!["172.31.0.9".to_owned()],
            ttl_secs: 30,
        }];
        names.replace(&DnsRecords { records }).expect("valid");
        let range = "172.31.0.0/16".parse().expect("a range");
        let zone = Zone::new(range, "", names.of(&vpc));
        for (name, kind, want) in [
            ("web-1.us-east-1.elb.localhost.", A, "NoError 30 172.31.0.9"),
            ("WEB-1.us-east-1.ELB.localhost.", A, "NoError 30 172.31.0.9"),
            (
                "web-1.us-east-1.elb.localhost.",
                ANY,
                "NoError 30 172.31.0.9",
            ),
            ("web-1.us-east-1.elb.localhost.", AAAA, "NoError"),
            ("web-2.us-east-1.elb.localhost.", A, "NXDomain"),
            ("us-east-1.elb.amazonaws.com.", A, "Forward"),
        ] {
            assert_eq!(
                text(zone.answer(&ask(name, kind), None)),
                want,
                "{name} {kind}"
            );
        }
    }

    #[test]
    fn without_a_domain_everything_is_forwarded() {
        let zone = zone("");
        assert_eq!(
            zone.answer(&ask("5.0.31.172.in-addr.arpa.", RecordType::PTR), None),
            Verdict::Forward
        );
    }
}
