#!/usr/bin/env bash
# Once, before the workflow runs for the first time: a load balancer, a service of two tasks that CodeDeploy deploys, and
# CodeDeploy's application and deployment group. `set-up.sh IMAGE` with the image of the first version, pushed already.
#
# AWS_ENDPOINT_URL and credentials come from the environment, as for the aws CLI. WEB_PORT (8080) and TEST_PORT (9090)
# are the ports that users and testers come in by.
set -euo pipefail
image=${1:?usage: set-up.sh IMAGE}
cd "$(dirname "$0")"
web_port=${WEB_PORT:-8080} test_port=${TEST_PORT:-9090}
export AWS_PAGER= AWS_DEFAULT_OUTPUT=text

vpc=$(aws ec2 describe-vpcs --filters Name=is-default,Values=true --query 'Vpcs[0].VpcId')
read -ra subnets < <(aws ec2 describe-subnets --filters "Name=vpc-id,Values=$vpc" --query 'Subnets[:2].SubnetId')

security_group() { # NAME PORT...: lets these ports in from everywhere
  local name=$1 id
  shift
  id=$(aws ec2 create-security-group --group-name "$name" --description "$name" --vpc-id "$vpc" --query GroupId)
  for port in "$@"; do
    aws ec2 authorize-security-group-ingress --group-id "$id" --protocol tcp --port "$port" --cidr 0.0.0.0/0 >/dev/null
  done
  echo "$id"
}
target_group() {
  aws elbv2 create-target-group --name "$1" --protocol HTTP --port 8080 --vpc-id "$vpc" --target-type ip \
    --health-check-path /health --health-check-interval-seconds 5 --health-check-timeout-seconds 2 \
    --healthy-threshold-count 2 --query 'TargetGroups[0].TargetGroupArn'
}
listener() {
  aws elbv2 create-listener --load-balancer-arn "$balancer" --protocol HTTP --port "$1" \
    --default-actions "Type=forward,TargetGroupArn=$2" --query 'Listeners[0].ListenerArn'
}

balancer=$(aws elbv2 create-load-balancer --name hello --subnets "${subnets[@]}" \
  --security-groups "$(security_group hello-web "$web_port" "$test_port")" --query 'LoadBalancers[0].LoadBalancerArn')
first=$(target_group hello-1)
target_group hello-2
# Both begin at the version that runs. A deployment moves the test listener first.
production=$(listener "$web_port" "$first")
test=$(listener "$test_port" "$first")
aws elbv2 wait load-balancer-available --load-balancer-arns "$balancer"

aws ecs create-cluster --cluster-name default --query cluster.clusterArn
definition=$(jq --arg image "$image" '.containerDefinitions[0].image = $image' task-definition.json)
aws ecs register-task-definition --cli-input-json "$definition" --query taskDefinition.taskDefinitionArn
network="awsvpcConfiguration={subnets=[$(IFS=,; echo "${subnets[*]}")],securityGroups=[$(security_group hello-task 8080)]}"
aws ecs create-service --service-name hello --task-definition hello --desired-count 2 --launch-type FARGATE \
  --deployment-controller type=CODE_DEPLOY --network-configuration "$network" --health-check-grace-period-seconds 30 \
  --load-balancers "targetGroupArn=$first,containerName=hello,containerPort=8080" --query service.serviceArn

aws deploy create-application --application-name AppECS-default-hello --compute-platform ECS --query applicationId
aws deploy create-deployment-group --application-name AppECS-default-hello --deployment-group-name DgpECS-default-hello \
  --service-role-arn arn:aws:iam::000000000000:role/ecsCodeDeployRole \
  --ecs-services clusterName=default,serviceName=hello \
  --deployment-config-name CodeDeployDefault.ECSCanary10Percent5Minutes \
  --deployment-style deploymentType=BLUE_GREEN,deploymentOption=WITH_TRAFFIC_CONTROL \
  --blue-green-deployment-configuration 'deploymentReadyOption={actionOnTimeout=CONTINUE_DEPLOYMENT},terminateBlueInstancesOnDeploymentSuccess={action=TERMINATE,terminationWaitTimeInMinutes=5}' \
  --auto-rollback-configuration enabled=true,events=DEPLOYMENT_FAILURE,DEPLOYMENT_STOP_ON_REQUEST \
  --load-balancer-info "targetGroupPairInfoList=[{targetGroups=[{name=hello-1},{name=hello-2}],prodTrafficRoute={listenerArns=[$production]},testTrafficRoute={listenerArns=[$test]}}]" \
  --query deploymentGroupId

host=$(aws elbv2 describe-load-balancers --load-balancer-arns "$balancer" --query 'LoadBalancers[0].DNSName')
echo "Users:   http://$host:$web_port/"
echo "Testers: http://$host:$test_port/"
