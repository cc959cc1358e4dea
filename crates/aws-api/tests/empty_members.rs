//! `Name=` in the query protocols, on the models of the services that speak them: clients write whatever of their input
//! is unset like that, and AWS takes it as not given, save where an empty text means something.

use std::sync::{Arc, Mutex};

use http::Request;
use http_body_util::{BodyExt as _, Full};
use neargate_aws_api::{ec2, elbv2, iam};
use neargate_aws_wire::auth::DevAuthenticator;
use neargate_aws_wire::schema::{Kind, OperationSchema, ServiceSchema, Shape};
use neargate_aws_wire::serve::{Router, RouterConfig};
use neargate_aws_wire::service::{CallFuture, RequestContext, Service};
use neargate_aws_wire::value::{Fields, Value};

/// Writes down what it is asked, and answers nothing.
struct Recorder {
    schema: &'static ServiceSchema,
    input: Arc<Mutex<Option<Value>>>,
}

impl Service for Recorder {
    fn schema(&self) -> &'static ServiceSchema {
        self.schema
    }

    fn call<'a>(
        &'a self,
        _: RequestContext,
        _: &'static OperationSchema,
        input: Value,
    ) -> CallFuture<'a> {
        *self.input.lock().expect("no test panics with it") = Some(input);
        Box::pin(async { Ok(Value::Struct(Fields::default())) })
    }
}

/// The members that reached the service, `Path=value` each and sorted, or the code of the error.
async fn given(schema: &'static ServiceSchema, form: &str) -> Result<Vec<String>, String> {
    let input = Arc::default();
    let recorder = Recorder {
        schema,
        input: Arc::clone(&input),
    };
    let authenticator = DevAuthenticator {
        default_account: "000000000000".to_owned(),
        default_region: "us-east-1".to_owned(),
    };
    let router = Router::new(
        vec![Arc::new(recorder)],
        RouterConfig::new(Arc::new(authenticator)),
    );
    let form = format!("Version={}&{form}", schema.api_version);
    let request = Request::post("/")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::<bytes::Bytes>::from(form.clone()))
        .expect("a valid request");
    let answer = router.handle(request).await.into_body().collect().await;
    let answer = String::from_utf8(answer.expect("in memory").to_bytes().to_vec()).expect("text");
    let Some(input) = input.lock().expect("no test panics with it").take() else {
        let code = answer.split("<Code>").nth(1).expect("an error");
        return Err(code.split('<').next().unwrap_or_default().to_owned());
    };
    let action = form.split("Action=").nth(1).expect("an action");
    let action = action.split('&').next().unwrap_or_default();
    let operation = schema.operation(action).expect("an operation");
    let mut seen = Vec::new();
    list(operation.input.expect("an input"), &input, "", &mut seen);
    seen.sort();
    Ok(seen)
}

fn list(shape: &'static Shape, value: &Value, path: &str, seen: &mut Vec<String>) {
    match (&shape.kind, value) {
        (Kind::Structure(structure), Value::Struct(fields)) => {
            for (index, value) in &fields.0 {
                let member = &structure.members[usize::from(*index)];
                let path = format!("{path}{}.", member.name);
                list(member.target, value, &path, seen);
            }
        }
        (Kind::List(of), Value::List(items)) if !items.is_empty() => {
            for (number, item) in items.iter().enumerate() {
                list(of.member, item, &format!("{path}{}.", number + 1), seen);
            }
        }
        (_, Value::List(_)) => seen.push(format!("{}=[]", path.trim_end_matches('.'))),
        (_, Value::String(text)) => seen.push(format!("{}={text}", path.trim_end_matches('.'))),
        (_, other) => seen.push(format!("{}={other:?}", path.trim_end_matches('.'))),
    }
}

#[tokio::test]
async fn empty_members_are_not_given_unless_empty_text_means_something() {
    for (name, schema, form, want) in [
        (
            // As Terraform's provider writes a target group of TCP.
            "text without limits",
            &elbv2::SCHEMA,
            "Action=CreateTargetGroup&Name=g&ProtocolVersion=&HealthCheckPort=",
            Ok(&["Name=g"][..]),
        ),
        (
            "enumeration, number, boolean",
            &elbv2::SCHEMA,
            "Action=CreateTargetGroup&Name=g&Protocol=&TargetType=&Port=&HealthCheckEnabled=&Matcher.HttpCode=",
            Ok(&["Name=g"][..]),
        ),
        (
            "text of at least one character, text with a pattern",
            &elbv2::SCHEMA,
            "Action=ModifyRule&RuleArn=r&Actions.member.1.Type=redirect\
             &Actions.member.1.RedirectConfig.StatusCode=HTTP_301&Actions.member.1.RedirectConfig.Host=\
             &Actions.member.1.RedirectConfig.Protocol=&Actions.member.1.RedirectConfig.Query=",
            Ok(&[
                // No query at all, whereas none given keeps the request's.
                "Actions.1.RedirectConfig.Query=",
                "Actions.1.RedirectConfig.StatusCode=HTTP_301",
                "Actions.1.Type=redirect",
                "RuleArn=r",
            ][..]),
        ),
        (
            "tag value, message",
            &elbv2::SCHEMA,
            "Action=AddTags&ResourceArns.member.1=a&Tags.member.1.Key=k&Tags.member.1.Value=",
            Ok(&["ResourceArns.1=a", "Tags.1.Key=k", "Tags.1.Value="][..]),
        ),
        (
            "lists, as botocore writes empty ones",
            &elbv2::SCHEMA,
            "Action=SetSecurityGroups&LoadBalancerArn=a&SecurityGroups=",
            Ok(&["LoadBalancerArn=a", "SecurityGroups=[]"][..]),
        ),
        (
            "a required number is missing",
            &elbv2::SCHEMA,
            "Action=CreateRule&ListenerArn=l&Conditions=&Actions=&Priority=",
            Err("ValidationError"),
        ),
        (
            "a required text is empty, and that is what is said about it",
            &iam::SCHEMA,
            "Action=GetServerCertificate&ServerCertificateName=",
            Err("ValidationError"),
        ),
        (
            "optional text of at least one character",
            &iam::SCHEMA,
            "Action=ListServerCertificates&PathPrefix=&Marker=&MaxItems=",
            Ok(&[][..]),
        ),
        (
            "enumeration, number, boolean of EC2",
            &ec2::SCHEMA,
            "Action=CreateVpc&CidrBlock=10.0.0.0/16&InstanceTenancy=&AmazonProvidedIpv6CidrBlock=&Ipv4NetmaskLength=\
             &DryRun=",
            Ok(&["CidrBlock=10.0.0.0/16"][..]),
        ),
        (
            // With an empty value only tags that are empty are deleted.
            "text of EC2",
            &ec2::SCHEMA,
            "Action=DeleteTags&ResourceId.1=vpc-1&Tag.1.Key=k&Tag.1.Value=",
            Ok(&["Resources.1=vpc-1", "Tags.1.Key=k", "Tags.1.Value="][..]),
        ),
    ] {
        let want: Result<Vec<String>, String> = want
            .map(|members| members.iter().map(|m| (*m).to_owned()).collect())
            .map_err(str::to_owned);
        assert_eq!(given(schema, form).await, want, "{name}");
    }
}
