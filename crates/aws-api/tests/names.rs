//! How the generator spells the model's names. Other crates write these names, so a change here breaks them all.

#[path = "../build/names.rs"]
mod names;

#[test]
fn members_become_snake_case() {
    for (model, want) in [
        ("taskDefinition", "task_definition"),
        ("VpcId", "vpc_id"),
        ("roleARN", "role_arn"),
        ("enableECSManagedTags", "enable_ecs_managed_tags"),
        ("privateIPv4Address", "private_ipv4_address"),
        ("Ipv6CidrBlock", "ipv6_cidr_block"),
        ("PublicIPs", "public_ips"),
        ("sizeInGiB", "size_in_gib"),
        ("type", "r#type"),
        ("self", "self_"),
    ] {
        assert_eq!(names::field(model), want, "{model}");
    }
}

#[test]
fn types_begin_with_a_capital() {
    assert_eq!(
        names::type_name("policyDescriptorType"),
        "PolicyDescriptorType"
    );
}

#[test]
fn values_become_variants_and_stay_distinct() {
    for (values, want) in [
        (&["FARGATE_SPOT", "EC2"][..], &["FargateSpot", "Ec2"][..]),
        (&["non-blocking", "awsvpc"], &["NonBlocking", "Awsvpc"]),
        (&["fargateFIPSMode"], &["FargateFipsMode"]),
        (&["-1", "1.4"], &["V1", "V14"]),
        (&["a-b", "a_b"], &["AB", "AB2"]),
        (&["", "self"], &["Empty", "SelfValue"]),
    ] {
        assert_eq!(names::variants(values.iter().copied()), want, "{values:?}");
    }
}
