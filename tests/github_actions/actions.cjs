// AWS's actions as calls of the AWS SDK for JavaScript, which they are written with: the same calls in the same order.
// The actions themselves are in no registry.

"use strict";

const { spawnSync } = require("node:child_process");
const { createHash } = require("node:crypto");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const yaml = require("yaml");

const { STSClient, GetCallerIdentityCommand } = require("@aws-sdk/client-sts");
const { ECRClient, GetAuthorizationTokenCommand } = require("@aws-sdk/client-ecr");
const { ECSClient, RegisterTaskDefinitionCommand, DescribeServicesCommand, UpdateServiceCommand,
  waitUntilServicesStable } = require("@aws-sdk/client-ecs");
const { CodeDeployClient, GetDeploymentGroupCommand, CreateDeploymentCommand,
  waitUntilDeploymentSuccessful } = require("@aws-sdk/client-codedeploy");

// The action asks every 15 seconds; tests have time scaled.
const POLL_SECONDS = Number(process.env.POLL_SECONDS ?? 15);
const WAIT_MINUTES = 30;
const MAX_WAIT_MINUTES = 360;

/** The value of an AppSpec key, which may be written in any case, and the key as it is written. */
function appSpecEntry(object, name) {
  const key = Object.keys(object ?? {}).find((key) => key.toLowerCase() === name.toLowerCase());
  if (!key) throw new Error(`the AppSpec has no ${name}`);
  return [key, object[key]];
}

function appSpecFor(file, taskDefinition) {
  const spec = yaml.parse(fs.readFileSync(file, "utf8"));
  const [, resources] = appSpecEntry(spec, "Resources");
  for (const resource of resources.flatMap(Object.values)) {
    const [, properties] = appSpecEntry(resource, "Properties");
    const [key] = appSpecEntry(properties, "TaskDefinition");
    properties[key] = taskDefinition;
  }
  return JSON.stringify(spec);
}

async function updateService(ecs, inputs, cluster, taskDefinition) {
  const { service } = inputs;
  const forceNewDeployment = inputs["force-new-deployment"] === "true";
  await ecs.send(new UpdateServiceCommand({ cluster, service, taskDefinition, forceNewDeployment }));
  if (inputs["wait-for-service-stability"] !== "true") return {};
  const waiting = { client: ecs, maxWaitTime: WAIT_MINUTES * 60, minDelay: POLL_SECONDS, maxDelay: POLL_SECONDS };
  await waitUntilServicesStable(waiting, { cluster, services: [service] });
  return {};
}

async function createDeployment(inputs, workspace, cluster, taskDefinition) {
  const codedeploy = new CodeDeployClient({});
  const names = {
    applicationName: inputs["codedeploy-application"] ?? `AppECS-${cluster}-${inputs.service}`,
    deploymentGroupName: inputs["codedeploy-deployment-group"] ?? `DgpECS-${cluster}-${inputs.service}`,
  };
  const group = await codedeploy.send(new GetDeploymentGroupCommand(names));
  const content = appSpecFor(path.resolve(workspace, inputs["codedeploy-appspec"] ?? "appspec.yaml"), taskDefinition);
  const sha256 = createHash("sha256").update(content).digest("hex");
  const description = inputs["codedeploy-deployment-description"];
  const deploymentConfigName = inputs["codedeploy-deployment-config"];
  const { deploymentId } = await codedeploy.send(new CreateDeploymentCommand({
    ...names,
    revision: { revisionType: "AppSpecContent", appSpecContent: { content, sha256 } },
    ...(description && { description: description.slice(0, 512) }),
    ...(deploymentConfigName && { deploymentConfigName }),
  }));
  if (inputs["wait-for-service-stability"] === "true") {
    const waits = group.deploymentGroupInfo.blueGreenDeploymentConfiguration;
    const minutes = waits.deploymentReadyOption.waitTimeInMinutes +
      waits.terminateBlueInstancesOnDeploymentSuccess.terminationWaitTimeInMinutes + WAIT_MINUTES;
    if (Number.isNaN(minutes)) throw new Error("the deployment group does not say how long it waits");
    const maxWaitTime = Math.min(minutes, MAX_WAIT_MINUTES) * 60;
    const waiting = { client: codedeploy, maxWaitTime, minDelay: POLL_SECONDS, maxDelay: POLL_SECONDS };
    await waitUntilDeploymentSuccessful(waiting, { deploymentId });
  }
  return { "codedeploy-deployment-id": deploymentId };
}

const checkout = {
  required: [],
  inputs: ["repository", "ref", "token", "path", "clean", "fetch-depth", "fetch-tags", "lfs", "submodules"],
  // The files are in the workspace already.
  run: async () => ({}),
};

const configureCredentials = {
  required: ["aws-region"],
  inputs: ["aws-region", "role-to-assume", "aws-access-key-id", "aws-secret-access-key", "aws-session-token",
    "web-identity-token-file", "role-chaining", "audience", "http-proxy", "mask-aws-account-id",
    "role-duration-seconds", "role-external-id", "role-session-name", "role-skip-session-tagging",
    "inline-session-policy", "managed-session-policies", "output-credentials", "unset-current-credentials",
    "disable-retry", "retry-max-attempts", "special-characters-workaround"],
  async run(inputs) {
    process.env.AWS_REGION = process.env.AWS_DEFAULT_REGION = inputs["aws-region"];
    process.env.AWS_ACCESS_KEY_ID = inputs["aws-access-key-id"];
    process.env.AWS_SECRET_ACCESS_KEY = inputs["aws-secret-access-key"];
    const { Account } = await new STSClient({}).send(new GetCallerIdentityCommand({}));
    return { "aws-account-id": Account };
  },
};

const ecrLogin = {
  required: [],
  inputs: ["http-proxy", "mask-password", "registries", "registry-type", "skip-logout"],
  async run() {
    const { authorizationData } = await new ECRClient({}).send(new GetAuthorizationTokenCommand({}));
    const [{ authorizationToken, proxyEndpoint }] = authorizationData;
    const [user, password] = Buffer.from(authorizationToken, "base64").toString().split(":", 2);
    const login = spawnSync("docker", ["login", "-u", user, "-p", password, proxyEndpoint], { encoding: "utf8" });
    if (login.status !== 0) throw new Error(`docker login ${proxyEndpoint}: ${login.stderr}`);
    return { registry: proxyEndpoint.replace(/^https?:\/\//, "") };
  },
};

const render = {
  required: ["container-name", "image"],
  inputs: ["task-definition", "task-definition-arn", "task-definition-family", "task-definition-revision",
    "container-name", "image", "environment-variables", "env-files", "secrets", "log-configuration-log-driver",
    "log-configuration-options", "docker-labels", "command", "task-role-arn", "execution-role-arn"],
  async run(inputs, workspace) {
    const definition = JSON.parse(fs.readFileSync(path.resolve(workspace, inputs["task-definition"]), "utf8"));
    const container = definition.containerDefinitions.find(({ name }) => name === inputs["container-name"]);
    if (!container) throw new Error(`the task definition has no container ${inputs["container-name"]}`);
    container.image = inputs.image;
    for (const line of (inputs["environment-variables"] ?? "").split("\n").filter((line) => line.trim())) {
      const [name, value] = [line.slice(0, line.indexOf("=")).trim(), line.slice(line.indexOf("=") + 1).trim()];
      container.environment = (container.environment ?? []).filter((variable) => variable.name !== name);
      container.environment.push({ name, value });
    }
    const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "definition-")), "task-definition.json");
    fs.writeFileSync(file, JSON.stringify(definition));
    return { "task-definition": file };
  },
};

const deploy = {
  required: ["task-definition"],
  inputs: ["task-definition", "desired-count", "service", "cluster", "wait-for-service-stability", "wait-for-minutes",
    "codedeploy-appspec", "codedeploy-application", "codedeploy-deployment-group",
    "codedeploy-deployment-description", "codedeploy-deployment-config", "force-new-deployment",
    "enable-ecs-managed-tags", "propagate-tags", "service-managed-ebs-volume", "service-managed-ebs-volume-name",
    "run-task", "run-task-container-overrides", "run-task-security-groups", "run-task-subnets",
    "run-task-assign-public-IP", "run-task-capacity-provider-strategy", "run-task-launch-type", "run-task-started-by",
    "run-task-tags", "run-task-managed-ebs-volume", "run-task-managed-ebs-volume-name", "wait-for-task-stopped",
    "max-retries", "keep-null-value-keys"],
  async run(inputs, workspace) {
    const ecs = new ECSClient({});
    const cluster = inputs.cluster ?? "default";
    const definition = yaml.parse(fs.readFileSync(path.resolve(workspace, inputs["task-definition"]), "utf8"));
    const { taskDefinition } = await ecs.send(new RegisterTaskDefinitionCommand(definition));
    const arn = taskDefinition.taskDefinitionArn;
    const outputs = { "task-definition-arn": arn };
    if (!inputs.service) return outputs;
    const { services, failures } = await ecs.send(new DescribeServicesCommand({ cluster, services: [inputs.service] }));
    if (failures?.length) throw new Error(`${failures[0].arn} is ${failures[0].reason}`);
    if (services[0].status !== "ACTIVE") throw new Error(`Service is ${services[0].status}`);
    const controller = services[0].deploymentController?.type ?? "ECS";
    if (controller === "ECS") return { ...outputs, ...await updateService(ecs, inputs, cluster, arn) };
    if (controller === "CODE_DEPLOY") return { ...outputs, ...await createDeployment(inputs, workspace, cluster, arn) };
    throw new Error(`Unsupported deployment controller: ${controller}`);
  },
};

exports.actions = {
  "actions/checkout@v4": checkout,
  "aws-actions/configure-aws-credentials@v4": configureCredentials,
  "aws-actions/amazon-ecr-login@v2": ecrLogin,
  "aws-actions/amazon-ecs-render-task-definition@v1": render,
  "aws-actions/amazon-ecs-deploy-task-definition@v2": deploy,
};
