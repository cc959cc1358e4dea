//! What becomes of each member of the requests that make something run, beside a task definition's
//! (`ecs::task_definitions::fields`): the tables to edit when a model gets a new one.

use neargate_aws_wire::schema::{ServiceSchema, Shape};

use crate::fields::Fate::*;
use crate::fields::Field;
use crate::fields::tests::check_complete;

const NOT_BUILT: &str = "in the container's log, by ecs::notices";
const IN_EVENTS: &str = "in the service's events, by ecs::notices";
const IN_MESSAGES: &str = "in GetDeployment's deploymentStatusMessages";

#[rustfmt::skip]
const RUN_TASK: &[Field] = &[
    ("capacityProviderStrategy", Works),
    ("capacityProviderStrategy.base", Works),
    ("capacityProviderStrategy.capacityProvider", Works),
    ("capacityProviderStrategy.weight", Works),
    ("clientToken", Works),
    ("cluster", Works),
    ("count", Works),
    ("enableECSManagedTags", Works),
    // ExecuteCommand itself answers that it is not built.
    ("enableExecuteCommand", Described),
    ("group", Described),
    ("launchType", Works),
    ("networkConfiguration", Works),
    ("networkConfiguration.awsvpcConfiguration", Works),
    ("networkConfiguration.awsvpcConfiguration.assignPublicIp", Works),
    ("networkConfiguration.awsvpcConfiguration.securityGroups", Works),
    ("networkConfiguration.awsvpcConfiguration.subnets", Works),
    ("overrides", Works),
    ("overrides.containerOverrides", Works),
    ("overrides.containerOverrides.command", Works),
    ("overrides.containerOverrides.cpu", Works),
    ("overrides.containerOverrides.environment", Works),
    ("overrides.containerOverrides.environment.name", Works),
    ("overrides.containerOverrides.environment.value", Works),
    ("overrides.containerOverrides.environmentFiles", Announced(NOT_BUILT)),
    ("overrides.containerOverrides.memory", Works),
    ("overrides.containerOverrides.memoryReservation", Works),
    ("overrides.containerOverrides.name", Works),
    ("overrides.containerOverrides.resourceRequirements", Refused),
    ("overrides.cpu", Works),
    ("overrides.ephemeralStorage", Works),
    ("overrides.ephemeralStorage.sizeInGiB", Works),
    ("overrides.executionRoleArn", Described),
    ("overrides.inferenceAcceleratorOverrides", Refused),
    ("overrides.memory", Works),
    ("overrides.taskRoleArn", Announced(NOT_BUILT)),
    ("placementConstraints", Refused),
    ("placementStrategy", Refused),
    ("platformVersion", Works),
    ("propagateTags", Works),
    // "This parameter is only used by Amazon ECS. It is not intended for use by customers."
    ("referenceId", Described),
    ("startedBy", Described),
    ("tags", Works),
    ("tags.key", Works),
    ("tags.value", Works),
    ("taskDefinition", Works),
    ("volumeConfigurations", Refused),
];

#[rustfmt::skip]
const OF_BOTH_SERVICE_CALLS: &[Field] = &[
    ("availabilityZoneRebalancing", Works),
    ("capacityProviderStrategy", Works),
    ("capacityProviderStrategy.base", Works),
    ("capacityProviderStrategy.capacityProvider", Works),
    ("capacityProviderStrategy.weight", Works),
    ("cluster", Works),
    ("deploymentConfiguration", Works),
    ("deploymentConfiguration.alarms", Announced(IN_EVENTS)),
    ("deploymentConfiguration.bakeTimeInMinutes", Works),
    ("deploymentConfiguration.canaryConfiguration", Works),
    ("deploymentConfiguration.canaryConfiguration.canaryBakeTimeInMinutes", Works),
    ("deploymentConfiguration.canaryConfiguration.canaryPercent", Works),
    ("deploymentConfiguration.deploymentCircuitBreaker", Works),
    ("deploymentConfiguration.deploymentCircuitBreaker.enable", Works),
    ("deploymentConfiguration.deploymentCircuitBreaker.resetOnHealthyTask", Works),
    ("deploymentConfiguration.deploymentCircuitBreaker.rollback", Works),
    ("deploymentConfiguration.deploymentCircuitBreaker.thresholdConfiguration", Works),
    ("deploymentConfiguration.deploymentCircuitBreaker.thresholdConfiguration.type", Works),
    ("deploymentConfiguration.deploymentCircuitBreaker.thresholdConfiguration.value", Works),
    ("deploymentConfiguration.earlySuccessCriteria", Refused),
    ("deploymentConfiguration.lifecycleHooks", Works),
    ("deploymentConfiguration.lifecycleHooks.hookDetails", Works),
    ("deploymentConfiguration.lifecycleHooks.hookTargetArn", Works),
    ("deploymentConfiguration.lifecycleHooks.lifecycleStages", Works),
    // Hooks are called without asking it.
    ("deploymentConfiguration.lifecycleHooks.roleArn", Described),
    ("deploymentConfiguration.lifecycleHooks.targetType", Works),
    ("deploymentConfiguration.lifecycleHooks.timeoutConfiguration", Works),
    ("deploymentConfiguration.lifecycleHooks.timeoutConfiguration.action", Works),
    ("deploymentConfiguration.lifecycleHooks.timeoutConfiguration.timeoutInMinutes", Works),
    ("deploymentConfiguration.linearConfiguration", Works),
    ("deploymentConfiguration.linearConfiguration.stepBakeTimeInMinutes", Works),
    ("deploymentConfiguration.linearConfiguration.stepPercent", Works),
    ("deploymentConfiguration.maximumPercent", Works),
    ("deploymentConfiguration.minimumHealthyPercent", Works),
    ("deploymentConfiguration.strategy", Works),
    ("deploymentController", Works),
    ("deploymentController.type", Works),
    ("desiredCount", Works),
    ("enableECSManagedTags", Works),
    ("enableExecuteCommand", Described),
    ("gatewayConnectors", Refused),
    ("healthCheckGracePeriodSeconds", Works),
    ("loadBalancers", Works),
    ("loadBalancers.advancedConfiguration", Works),
    ("loadBalancers.advancedConfiguration.alternateTargetGroupArn", Works),
    ("loadBalancers.advancedConfiguration.productionListenerRule", Works),
    ("loadBalancers.advancedConfiguration.roleArn", Described),
    ("loadBalancers.advancedConfiguration.testListenerRule", Works),
    ("loadBalancers.containerName", Works),
    ("loadBalancers.containerPort", Works),
    ("loadBalancers.loadBalancerName", Refused),
    ("loadBalancers.targetGroupArn", Works),
    // How often metrics are written; there are none yet.
    ("monitoring", Described),
    ("networkConfiguration", Works),
    ("networkConfiguration.awsvpcConfiguration", Works),
    ("networkConfiguration.awsvpcConfiguration.assignPublicIp", Works),
    ("networkConfiguration.awsvpcConfiguration.securityGroups", Works),
    ("networkConfiguration.awsvpcConfiguration.subnets", Works),
    ("placementConstraints", Refused),
    ("placementStrategy", Refused),
    ("platformVersion", Works),
    ("propagateTags", Works),
    ("serviceConnectConfiguration", Refused),
    ("serviceRegistries", Refused),
    ("taskDefinition", Works),
    ("volumeConfigurations", Refused),
    ("vpcLatticeConfigurations", Refused),
];

#[rustfmt::skip]
const ONLY_OF_CREATE_SERVICE: &[Field] = &[
    ("clientToken", Works),
    ("launchType", Works),
    ("role", Refused),
    ("schedulingStrategy", Works),
    ("serviceName", Works),
    ("tags", Works),
    ("tags.key", Works),
    ("tags.value", Works),
];

const ONLY_OF_UPDATE_SERVICE: &[Field] = &[("forceNewDeployment", Works), ("service", Works)];

#[rustfmt::skip]
const CREATE_LOAD_BALANCER: &[Field] = &[
    ("CustomerOwnedIpv4Pool", Refused),
    ("EnablePrefixForIpv6SourceNat", Refused),
    ("IpAddressType", Works),
    ("IpamPools", Refused),
    ("Name", Works),
    ("Scheme", Works),
    ("SecurityGroups", Works),
    ("SubnetMappings", Works),
    ("SubnetMappings.AllocationId", Refused),
    ("SubnetMappings.IPv6Address", Refused),
    ("SubnetMappings.PrivateIPv4Address", Works),
    ("SubnetMappings.SourceNatIpv6Prefix", Refused),
    ("SubnetMappings.SubnetId", Works),
    ("Subnets", Works),
    ("Tags", Works),
    ("Tags.Key", Works),
    ("Tags.Value", Works),
    ("Type", Works),
];

#[rustfmt::skip]
const CREATE_TARGET_GROUP: &[Field] = &[
    ("HealthCheckEnabled", Works),
    ("HealthCheckIntervalSeconds", Works),
    ("HealthCheckPath", Works),
    ("HealthCheckPort", Works),
    ("HealthCheckProtocol", Works),
    ("HealthCheckTimeoutSeconds", Works),
    ("HealthyThresholdCount", Works),
    ("IpAddressType", Works),
    ("Matcher", Works),
    ("Matcher.GrpcCode", Works),
    ("Matcher.HttpCode", Works),
    ("Name", Works),
    ("Port", Works),
    ("Protocol", Works),
    ("ProtocolVersion", Works),
    ("Tags", Works),
    ("Tags.Key", Works),
    ("Tags.Value", Works),
    ("TargetControlPort", Refused),
    ("TargetType", Works),
    ("UnhealthyThresholdCount", Works),
    ("VpcId", Works),
];

#[rustfmt::skip]
const CREATE_LISTENER: &[Field] = &[
    ("AlpnPolicy", Works),
    ("Certificates", Works),
    ("Certificates.CertificateArn", Works),
    ("Certificates.IsDefault", Refused),
    ("DefaultActions", Works),
    ("DefaultActions.AuthenticateCognitoConfig", Refused),
    ("DefaultActions.AuthenticateOidcConfig", Refused),
    ("DefaultActions.FixedResponseConfig", Works),
    ("DefaultActions.FixedResponseConfig.ContentType", Works),
    ("DefaultActions.FixedResponseConfig.MessageBody", Works),
    ("DefaultActions.FixedResponseConfig.StatusCode", Works),
    ("DefaultActions.ForwardConfig", Works),
    ("DefaultActions.ForwardConfig.TargetGroupStickinessConfig", Works),
    ("DefaultActions.ForwardConfig.TargetGroupStickinessConfig.DurationSeconds", Works),
    ("DefaultActions.ForwardConfig.TargetGroupStickinessConfig.Enabled", Works),
    ("DefaultActions.ForwardConfig.TargetGroups", Works),
    ("DefaultActions.ForwardConfig.TargetGroups.TargetGroupArn", Works),
    ("DefaultActions.ForwardConfig.TargetGroups.Weight", Works),
    ("DefaultActions.JwtValidationConfig", Refused),
    ("DefaultActions.Order", Described),
    ("DefaultActions.RedirectConfig", Works),
    ("DefaultActions.RedirectConfig.Host", Works),
    ("DefaultActions.RedirectConfig.Path", Works),
    ("DefaultActions.RedirectConfig.Port", Works),
    ("DefaultActions.RedirectConfig.Protocol", Works),
    ("DefaultActions.RedirectConfig.Query", Works),
    ("DefaultActions.RedirectConfig.StatusCode", Works),
    ("DefaultActions.TargetGroupArn", Works),
    ("DefaultActions.Type", Works),
    ("LoadBalancerArn", Works),
    ("MutualAuthentication", Refused),
    ("Port", Works),
    ("Protocol", Works),
    ("SslPolicy", Works),
    ("Tags", Works),
    ("Tags.Key", Works),
    ("Tags.Value", Works),
];

#[rustfmt::skip]
const CREATE_DEPLOYMENT_GROUP: &[Field] = &[
    ("alarmConfiguration", Announced(IN_MESSAGES)),
    ("applicationName", Works),
    ("autoRollbackConfiguration", Works),
    ("autoRollbackConfiguration.enabled", Works),
    ("autoRollbackConfiguration.events", Works),
    ("autoScalingGroups", Refused),
    ("blueGreenDeploymentConfiguration", Works),
    ("blueGreenDeploymentConfiguration.deploymentReadyOption", Works),
    ("blueGreenDeploymentConfiguration.deploymentReadyOption.actionOnTimeout", Works),
    ("blueGreenDeploymentConfiguration.deploymentReadyOption.waitTimeInMinutes", Works),
    ("blueGreenDeploymentConfiguration.greenFleetProvisioningOption", Refused),
    ("blueGreenDeploymentConfiguration.terminateBlueInstancesOnDeploymentSuccess", Works),
    ("blueGreenDeploymentConfiguration.terminateBlueInstancesOnDeploymentSuccess.action", Works),
    ("blueGreenDeploymentConfiguration.terminateBlueInstancesOnDeploymentSuccess.terminationWaitTimeInMinutes", Works),
    ("deploymentConfigName", Works),
    ("deploymentGroupName", Works),
    ("deploymentStyle", Works),
    ("deploymentStyle.deploymentOption", Works),
    ("deploymentStyle.deploymentType", Works),
    ("ec2DeploymentOptions", Refused),
    ("ec2TagFilters", Refused),
    ("ec2TagSet", Refused),
    ("ecsServices", Works),
    ("ecsServices.clusterName", Works),
    ("ecsServices.serviceName", Works),
    ("loadBalancerInfo", Works),
    ("loadBalancerInfo.elbInfoList", Refused),
    ("loadBalancerInfo.targetGroupInfoList", Refused),
    ("loadBalancerInfo.targetGroupPairInfoList", Works),
    ("loadBalancerInfo.targetGroupPairInfoList.prodTrafficRoute", Works),
    ("loadBalancerInfo.targetGroupPairInfoList.prodTrafficRoute.listenerArns", Works),
    ("loadBalancerInfo.targetGroupPairInfoList.targetGroups", Works),
    ("loadBalancerInfo.targetGroupPairInfoList.targetGroups.name", Works),
    ("loadBalancerInfo.targetGroupPairInfoList.testTrafficRoute", Works),
    ("loadBalancerInfo.targetGroupPairInfoList.testTrafficRoute.listenerArns", Works),
    ("onPremisesInstanceTagFilters", Refused),
    ("onPremisesTagSet", Refused),
    // Of instances.
    ("outdatedInstancesStrategy", Described),
    // Deployments are made without asking it.
    ("serviceRoleArn", Described),
    ("tags", Works),
    ("tags.Key", Works),
    ("tags.Value", Works),
    ("terminationHookEnabled", Refused),
    ("triggerConfigurations", Announced(IN_MESSAGES)),
];

#[rustfmt::skip]
const CREATE_DEPLOYMENT: &[Field] = &[
    ("applicationName", Works),
    ("autoRollbackConfiguration", Works),
    ("autoRollbackConfiguration.enabled", Works),
    ("autoRollbackConfiguration.events", Works),
    ("deploymentConfigName", Works),
    ("deploymentGroupName", Works),
    ("deploymentMode", Refused),
    ("description", Works),
    ("ec2DeploymentOptions", Refused),
    ("fileExistsBehavior", Refused),
    // Of instances' applications; tools send it.
    ("ignoreApplicationStopFailures", Described),
    ("overrideAlarmConfiguration", Announced(IN_MESSAGES)),
    ("revision", Works),
    ("revision.appSpecContent", Works),
    ("revision.appSpecContent.content", Works),
    ("revision.appSpecContent.sha256", Works),
    ("revision.gitHubLocation", Refused),
    ("revision.revisionType", Works),
    ("revision.s3Location", Refused),
    ("revision.string", Works),
    ("revision.string.content", Works),
    ("revision.string.sha256", Works),
    ("targetInstances", Refused),
    ("updateOutdatedInstancesOnly", Refused),
];

fn input(service: &ServiceSchema, operation: &str) -> &'static Shape {
    let operation = service.operation(operation);
    operation.and_then(|o| o.input).expect("it is in the model")
}

#[test]
fn every_member_of_the_requests_has_its_line() {
    use neargate_aws_api::{codedeploy, ecs, elbv2};
    let both = OF_BOTH_SERVICE_CALLS;
    for (service, operation, table) in [
        (&ecs::SCHEMA, "RunTask", RUN_TASK.to_vec()),
        (
            &ecs::SCHEMA,
            "CreateService",
            [both, ONLY_OF_CREATE_SERVICE].concat(),
        ),
        (
            &ecs::SCHEMA,
            "UpdateService",
            [both, ONLY_OF_UPDATE_SERVICE].concat(),
        ),
        (
            &elbv2::SCHEMA,
            "CreateLoadBalancer",
            CREATE_LOAD_BALANCER.to_vec(),
        ),
        (
            &elbv2::SCHEMA,
            "CreateTargetGroup",
            CREATE_TARGET_GROUP.to_vec(),
        ),
        (&elbv2::SCHEMA, "CreateListener", CREATE_LISTENER.to_vec()),
        (
            &codedeploy::SCHEMA,
            "CreateDeploymentGroup",
            CREATE_DEPLOYMENT_GROUP.to_vec(),
        ),
        (
            &codedeploy::SCHEMA,
            "CreateDeployment",
            CREATE_DEPLOYMENT.to_vec(),
        ),
    ] {
        check_complete(input(service, operation), &table);
    }
}
