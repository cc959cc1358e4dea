// Runs a workflow of GitHub Actions on this machine, as far as deployments need it: steps in order, expressions of env,
// secrets, github and earlier steps' outputs, `run` by bash, `uses` by the actions of actions.cjs.
//
// usage: run.cjs WORKSPACE WORKFLOW SHA; prints each step's outputs as JSON

"use strict";

const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const yaml = require("yaml");

const { actions } = require("./actions.cjs");

const STEP_KEYS = ["name", "id", "uses", "with", "env", "run"];

/** Replaces `${{ env.NAME }}`, `${{ github.sha }}` and `${{ steps.ID.outputs.NAME }}`; anything else is an error. */
function evaluate(text, context) {
  return String(text).replace(/\$\{\{\s*([\w.-]+)\s*\}\}/g, (whole, expression) => {
    const value = expression.split(".").reduce((from, key) => from?.[key], context);
    if (value === undefined) throw new Error(`${whole} has no value`);
    return value;
  });
}

function evaluateAll(values, context) {
  return Object.fromEntries(Object.entries(values ?? {}).map(([name, value]) => [name, evaluate(value, context)]));
}

/** What a workflow file must be, before anything of it is run. */
function check(workflow) {
  const jobs = Object.values(workflow.jobs ?? {});
  if (!workflow.on || jobs.length !== 1) throw new Error("a workflow has `on` and, here, one job");
  for (const step of jobs[0].steps) {
    const unknown = Object.keys(step).filter((key) => !STEP_KEYS.includes(key));
    if (unknown.length || !step.uses === !step.run) throw new Error(`not a step: ${JSON.stringify(step)}`);
    if (step.uses) checkInputs(step);
  }
  return jobs[0].steps;
}

function checkInputs(step) {
  const action = actions[step.uses];
  if (!action) throw new Error(`${step.uses} is not known here`);
  for (const name of Object.keys(step.with ?? {})) {
    if (!action.inputs.includes(name)) throw new Error(`${step.uses} has no input ${name}`);
  }
  for (const name of action.required) {
    if (step.with?.[name] === undefined) throw new Error(`${step.uses} needs the input ${name}`);
  }
}

/** Runs a step's script as a runner does, and answers what it wrote to GITHUB_OUTPUT. */
function runScript(script, env, workspace) {
  const output = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "step-")), "output");
  fs.writeFileSync(output, "");
  const done = spawnSync("bash", ["-e", "-o", "pipefail", "-c", script], {
    cwd: workspace,
    env: { ...env, GITHUB_OUTPUT: output },
    stdio: ["ignore", process.stderr, process.stderr],
  });
  if (done.status !== 0) throw new Error(`the script ended with ${done.status ?? done.signal}`);
  const lines = fs.readFileSync(output, "utf8").split("\n").filter(Boolean);
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]));
}

async function run(workspace, file, sha) {
  const workflow = yaml.parse(fs.readFileSync(file, "utf8"));
  const steps = check(workflow);
  const context = { github: { sha }, env: workflow.env ?? {}, steps: {} };
  // An action that sets variables sets them for later steps, as the SDKs read them from the environment.
  Object.assign(process.env, context.env, { GITHUB_WORKSPACE: workspace, GITHUB_SHA: sha });
  for (const step of steps) {
    const title = step.name ?? step.uses;
    console.error(`# ${title}`);
    try {
      const outputs = step.run
        ? runScript(step.run, { ...process.env, ...evaluateAll(step.env, context) }, workspace)
        : await actions[step.uses].run(evaluateAll(step.with, context), workspace);
      if (step.id) context.steps[step.id] = { outputs };
      console.log(JSON.stringify({ step: title, outputs }));
    } catch (error) {
      console.error(`${title}: ${error.stack}`);
      process.exit(1);
    }
  }
}

run(...process.argv.slice(2));
