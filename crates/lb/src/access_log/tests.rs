use super::*;
use crate::desync::{Reason, Verdict};
use crate::routing::TransformStatus;
use crate::table::fixture::{compile, fixed_rule, table};
use flate2::read::MultiGzDecoder;
use neargate_lb_api as api;
use std::io::Read;
use std::path::Path;

const TARGET_GROUP: &str =
    "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc24d8a067";

/// The first example of AWS's page, with the precision that we have.
fn example() -> Record<'static> {
    Record {
        kind: Kind::Http,
        ended_millis: 1_530_570_180_186,
        created_millis: 1_530_570_168_364,
        load_balancer: "app/my-loadbalancer/50dc6c495c0c9188",
        client: ([192, 168, 131, 39], 2817).into(),
        target: Some(([10, 0, 0, 1], 80).into()),
        request_processing: Some(Duration::ZERO),
        target_processing: Some(Duration::from_micros(1_100)),
        response_processing: Some(Duration::ZERO),
        status: Some(200),
        target_status: Some(200),
        received_bytes: 34,
        sent_bytes: 366,
        request: Some(RequestLine {
            method: "GET",
            protocol: "http",
            host: "www.example.com",
            port: 80,
            path: "/",
            query: None,
            version: "HTTP/1.1",
        }),
        user_agent: b"curl/7.46.0",
        tls_cipher: "",
        tls_protocol: "",
        target_group_arn: TARGET_GROUP,
        trace_id: "Root=1-58337262-36d228ad5d99923122bbe354",
        domain_name: "",
        certificate_arn: "",
        rule_priority: Some(0),
        action: Some(ActionTaken::Forward),
        redirect_url: "",
        error_reason: "",
        verdict: Verdict::default(),
        connection_trace_id: "1234abcd5678ef90",
        transformed_host: "",
        transformed_uri: "",
        transform: TransformStatus::None,
    }
}

fn line(record: &Record<'_>) -> String {
    let mut line = String::new();
    record.write_line(&mut line);
    line
}

/// The fields of a line, quoted ones with their quotes.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for c in line.trim_end().chars() {
        quoted ^= c == '"';
        match c {
            ' ' if !quoted => fields.push(String::new()),
            _ => fields.last_mut().expect("never empty").push(c),
        }
    }
    fields
}

#[test]
fn a_line_is_the_vendors_example() {
    assert_eq!(
        line(&example()),
        format!(
            "http 2018-07-02T22:23:00.186000Z app/my-loadbalancer/50dc6c495c0c9188 192.168.131.39:2817 10.0.0.1:80 \
             0.000 0.001 0.000 200 200 34 366 \"GET http://www.example.com:80/ HTTP/1.1\" \"curl/7.46.0\" - - \
             {TARGET_GROUP} \"Root=1-58337262-36d228ad5d99923122bbe354\" \"-\" \"-\" 0 2018-07-02T22:22:48.364000Z \
             \"forward\" \"-\" \"-\" \"10.0.0.1:80\" \"200\" \"-\" \"-\" TID_1234abcd5678ef90 \"-\" \"-\" \"-\"\n"
        )
    );
}

#[test]
fn a_tls_connections_line_is_the_vendors_example() {
    let offered = [b"h2".to_vec(), b"http/1.1".to_vec()];
    let example = TlsRecord {
        ended_millis: 1_585_730_502_900,
        created_millis: 1_585_730_480_100,
        load_balancer: "net/my-network-loadbalancer/c6e77e28c25b2234",
        listener_arn: "arn:aws:elasticloadbalancing:us-east-2:671290407336:listener/net/my-network-loadbalancer/\
                       c6e77e28c25b2234/g3d4b5e8bb8464cd",
        client: ([72, 21, 218, 154], 51341).into(),
        destination: ([172, 100, 100, 185], 443).into(),
        connection: Duration::from_micros(5_100),
        handshake: Some(Duration::from_millis(2)),
        received_bytes: 98,
        sent_bytes: 246,
        alert: None,
        certificate_arn: "arn:aws:acm:us-east-2:671290407336:certificate/2a108f19-aded-46b0-8493-c63eb1ef4a99",
        cipher: "ECDHE-RSA-AES128-SHA",
        protocol: "TLSv1.2",
        domain_name: "my-network-loadbalancer-c6e77e28c25b2234.elb.us-east-2.amazonaws.com",
        alpn_front: "h2",
        alpn_back: "h2",
        alpn_offered: &offered,
    };
    let line = |record: &TlsRecord<'_>| {
        let mut line = String::new();
        record.write_line(&mut line);
        line
    };
    assert_eq!(
        line(&example),
        "tls 2.0 2020-04-01T08:41:42 net/my-network-loadbalancer/c6e77e28c25b2234 g3d4b5e8bb8464cd 72.21.218.154:51341 \
         172.100.100.185:443 5 2 98 246 - \
         arn:aws:acm:us-east-2:671290407336:certificate/2a108f19-aded-46b0-8493-c63eb1ef4a99 - ECDHE-RSA-AES128-SHA \
         tlsv12 - my-network-loadbalancer-c6e77e28c25b2234.elb.us-east-2.amazonaws.com h2 h2 \"h2\",\"http/1.1\" \
         2020-04-01T08:41:20\n"
    );
    let hostile = [b"a b\"\n".to_vec(), vec![b'x'; 500]];
    let failed = TlsRecord {
        handshake: None,
        received_bytes: 0,
        sent_bytes: 0,
        alert: Some(48),
        cipher: "",
        protocol: "",
        domain_name: "a\nb c",
        alpn_front: "",
        alpn_back: "-",
        alpn_offered: &hostile,
        ..example
    };
    let line = line(&failed);
    let fields: Vec<&str> = line.trim_end().split(' ').collect();
    assert_eq!(fields.len(), 22, "{line}");
    for (number, want) in [
        (9, "-"),
        (10, "0"),
        (12, "48"),
        (15, "-"),
        (16, "-"),
        (18, "a%0Ab%20c"),
        (19, "-"),
        (20, "-"),
    ] {
        assert_eq!(fields[number - 1], want, "field {number}");
    }
    assert!(
        fields[20].starts_with("\"a%20b%22%0A\",\"xxx") && fields[20].ends_with("x..."),
        "{line}"
    );
}

#[test]
fn what_is_absent_has_its_placeholder_and_what_is_hostile_stays_in_its_field() {
    let refused = Record {
        target: None,
        request_processing: None,
        target_processing: None,
        response_processing: None,
        status: Some(400),
        target_status: None,
        request: None,
        user_agent: b"a\" \"b\n\\",
        target_group_arn: "",
        trace_id: "",
        rule_priority: None,
        action: None,
        verdict: Verdict {
            reason: Some(Reason::BadHeader),
        },
        connection_trace_id: "",
        transform: TransformStatus::Failed,
        ..example()
    };
    let line = line(&refused);
    let fields = fields(&line);
    assert_eq!(fields.len(), 33, "{line}");
    for (number, want) in [
        (5, "-"),
        (6, "-1"),
        (8, "-1"),
        (9, "400"),
        (10, "-"),
        (13, "\"- - -\""),
        (14, "\"a\\x22 \\x22b\\x0a\\x5c\""),
        (17, "-"),
        (21, "-1"),
        (23, "\"-\""),
        (26, "\"-\""),
        (28, "\"Severe\""),
        (29, "\"BadHeader\""),
        (30, "-"),
        (33, "\"TransformFailed\""),
    ] {
        assert_eq!(fields[number - 1], want, "field {number}");
    }
}

fn logging(bucket: &str, prefix: &str) -> Arc<Table> {
    let mut proto = table(vec![fixed_rule(0, Vec::new())], Vec::new());
    let attributes = proto.load_balancers[0]
        .attributes
        .as_mut()
        .expect("the fixture has attributes");
    attributes.access_logs = Some(api::AccessLogs {
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
        account: "123456789012".to_owned(),
        region: "us-east-1".to_owned(),
    });
    compile(&proto)
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut files = Vec::new();
    for path in entries.map(|entry| entry.expect("readable").path()) {
        match path.is_dir() {
            true => files.extend(files_below(&path)),
            false => files.push(path),
        }
    }
    files
}

#[test]
fn lines_are_in_their_file_after_a_flush_and_the_file_is_whole_each_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let logs = AccessLogs::start(directory.path().to_owned()).expect("a thread");
    let table = logging("bucket", "my/prefix");
    let balancer = &table.load_balancers[0];
    let node = IpAddr::from([10, 0, 0, 5]);
    logs.table_changed(&table);
    logs.log(balancer, node, "one\n".to_owned());
    logs.flush();
    logs.log(balancer, node, "two\n".to_owned());
    logs.close();
    let base = directory
        .path()
        .join("bucket/my/prefix/AWSLogs/123456789012");
    let test_file =
        std::fs::read_to_string(base.join("ELBAccessLogTestFile")).expect("the test file");
    assert!(
        test_file.contains("app/web/0123456789abcdef"),
        "{test_file}"
    );
    let mut lines = String::new();
    for file in files_below(&base.join("elasticloadbalancing/us-east-1")) {
        let name = file
            .file_name()
            .expect("a file")
            .to_string_lossy()
            .into_owned();
        let parts: Vec<&str> = name.split('_').collect();
        assert_eq!(
            parts[..4],
            [
                "123456789012",
                "elasticloadbalancing",
                "us-east-1",
                "app.web.0123456789abcdef"
            ]
        );
        assert!(
            parts[4].ends_with('Z') && parts[5] == "10.0.0.5" && parts[6].ends_with(".log.gz"),
            "{name}"
        );
        let file = std::fs::File::open(file).expect("readable");
        MultiGzDecoder::new(file)
            .read_to_string(&mut lines)
            .expect("gzip");
    }
    // The five minutes may have ended between the two.
    let mut lines: Vec<&str> = lines.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["one", "two"]);
}

#[test]
fn a_file_covers_five_minutes_and_is_named_after_their_end() {
    let table = logging("bucket", "");
    let node =
        Node::new(&table.load_balancers[0], IpAddr::from([10, 0, 0, 5])).expect("logs are on");
    let noon = 1_530_532_800_000;
    let end = "elasticloadbalancing/us-east-1/2018/07/02/\
               123456789012_elasticloadbalancing_us-east-1_app.web.0123456789abcdef_20180702T1205Z_10.0.0.5_r.log.gz";
    for moment in [noon, noon + 299_999] {
        assert_eq!(
            node.path(moment, "r"),
            Path::new("bucket/AWSLogs/123456789012").join(end)
        );
    }
    assert_ne!(node.path(noon + 300_000, "r"), node.path(noon, "r"));
    // AWS: those of a network load balancer have no address in their names.
    let network = LoadBalancer {
        kind: api::LoadBalancerType::Network,
        full_name: "net/web/0123456789abcdef".to_owned(),
        attributes: table.load_balancers[0].attributes.clone(),
        arn: "arn".into(),
        dns_name: String::new(),
        interfaces: Vec::new(),
        serve_on_loopback: false,
    };
    let node = Node::new(&network, IpAddr::from([10, 0, 0, 5])).expect("logs are on");
    let path = node.path(noon, "r");
    let name = path.file_name().expect("a file").to_string_lossy();
    assert_eq!(
        name,
        "123456789012_elasticloadbalancing_us-east-1_net.web.0123456789abcdef_20180702T1205Z_r.log.gz"
    );
}

#[test]
fn no_configuration_leads_out_of_the_directory() {
    for (name, bucket, prefix) in [
        ("bucket", "..", ""),
        ("bucket with a path", "a/b", ""),
        ("prefix", "bucket", "a/../../b"),
        ("no bucket", "", ""),
    ] {
        let table = logging(bucket, prefix);
        assert_eq!(
            Node::new(&table.load_balancers[0], IpAddr::from([10, 0, 0, 5])),
            None,
            "{name}"
        );
    }
}
