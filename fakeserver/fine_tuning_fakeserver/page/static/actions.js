/** What can be done to an account: each action as a request, as curl and as Python. */

import { keywords, python, shellQuote } from "./format.js";
import { ACCOUNT_ROOT, CONTROL, controlToken, steer } from "./server.js";

/**
 * @typedef {object} Action
 * @property {string} label what a button says
 * @property {string} method
 * @property {string} path below the control API
 * @property {unknown} [body]
 * @property {string} [python] the same with a handle called `fake`; without one there is the request
 */

/** @param {Action} action */
export function perform(action) {
  return steer(action.method, action.path, action.body);
}

/** @param {Action} action */
export function asCurl(action) {
  const parts = ["curl -sS --fail-with-body", `-X ${action.method}`, shellQuote(new URL(action.path, CONTROL).href)];
  if (controlToken()) parts.push('-H "Authorization: Bearer $FAKE_FINE_TUNING_CONTROL_TOKEN"');
  if (action.body !== undefined) {
    parts.push("-H 'Content-Type: application/json'", `-d ${shellQuote(JSON.stringify(action.body))}`);
  }
  return parts.join(" ");
}

/** @param {Action} action */
export function asPython(action) {
  return action.python ? withHandle(action.python) : withRequest(action);
}

const TOKEN = 'os.environ["FAKE_FINE_TUNING_CONTROL_TOKEN"]';

/** @param {string} statement */
function withHandle(statement) {
  const [imports, token] = controlToken() ? ["import os\n\n", `, token=${TOKEN}`] : ["", ""];
  const connect = `fake = FakeFineTuning.connect(${python(ACCOUNT_ROOT.href.replace(/\/$/, ""))}${token})`;
  return `${imports}from fine_tuning_fakeserver import FakeFineTuning\n\n${connect}\n${statement}\n`;
}

/** @param {Action} action */
function withRequest(action) {
  const header = `, headers={"Authorization": f"Bearer {${TOKEN}}"}`;
  const [imports, token] = controlToken() ? ["import os\n\n", header] : ["", ""];
  const body = action.body === undefined ? "" : `, json=${python(action.body)}`;
  const address = python(new URL(action.path, CONTROL).href);
  return `${imports}import httpx\n\nhttpx.request("${action.method}", ${address}${body}${token}).raise_for_status()\n`;
}

/** @param {string} label @param {number} seconds @returns {Action} */
export const advance = (label, seconds) => ({
  label,
  method: "POST",
  path: "clock/advance",
  body: { seconds },
  python: `fake.advance(${python(seconds)})`,
});

/** @param {string} label @param {string} status @param {string} job @returns {Action} */
export const advanceTo = (label, status, job) => ({
  label,
  method: "POST",
  path: "clock/advance",
  body: { to: status, job },
  python: `fake.advance_to(${python(status)}, ${python(job)})`,
});

/** @param {number} step @param {string} job @returns {Action} */
export const advanceToStep = (step, job) => ({
  label: `To step ${step}`,
  method: "POST",
  path: "clock/advance",
  body: { step, job },
  python: `fake.advance_to(step=${step}, job=${python(job)})`,
});

/** @param {string | number} pace @returns {Action} */
export const setPace = (pace) => ({
  label: "Set pace",
  method: "PATCH",
  path: "clock",
  body: { pace },
  python: `fake.pace = ${python(pace)}`,
});

/** @param {"pause" | "resume" | "cancel"} verb @param {string} job @returns {Action} */
export const intervene = (verb, job) => ({
  label: `${verb[0].toUpperCase()}${verb.slice(1)}`,
  method: "POST",
  path: `jobs/${encodeURIComponent(job)}/${verb}`,
  python: `fake.${verb}_job(${python(job)})`,
});

/** @param {string} file @returns {Action} */
export const deleteFile = (file) => ({
  label: "Delete file",
  method: "DELETE",
  path: `files/${encodeURIComponent(file)}`,
  python: `fake.delete_file(${python(file)})`,
});

/** @param {string} filename @param {string} content @returns {Action} */
export const addFile = (filename, content) => ({
  label: "Add file",
  method: "POST",
  path: "files",
  body: { filename, content },
  python: `fake.add_file(${python(content)}, filename=${python(filename)})`,
});

/** @param {string} job @param {Record<string, unknown>} changes @returns {Action} */
export const planJob = (job, changes) => ({
  label: "Change this job's plan",
  method: "PUT",
  path: `jobs/${encodeURIComponent(job)}/plan`,
  body: changes,
  python: `fake.plan_job(${[python(job), keywords(changes)].filter(Boolean).join(", ")})`,
});

/**
 * Request the same job again, with another plan, or on another file.
 * @param {any} job as the page sees it
 * @param {string} trainingFile
 * @param {Record<string, unknown>} plan
 * @returns {Action}
 */
export function repeatJob(job, trainingFile, plan) {
  const { object } = job;
  const chosen = job.hyperparameters.filter(({ asked }) => asked !== "auto" && asked !== "default");
  const asked = Object.fromEntries(chosen.map((each) => [each.name, each.asked]));
  const metadata = Object.entries(object.metadata ?? {}).filter(([name]) => !name.startsWith("fake_")); // they are a plan
  const method = { type: job.method, [job.method]: { ...object.method?.[job.method], hyperparameters: asked } };
  const members = {
    status: "validating_files",
    model: job.model,
    validation_file: object.validation_file,
    suffix: job.suffix,
    seed: job.seed,
    metadata: metadata.length ? Object.fromEntries(metadata) : null,
    ...(job.method === "supervised" ? { hyperparameters: asked } : { method }),
    plan,
  };
  const given = Object.fromEntries(Object.entries(members).filter(([, value]) => value !== null));
  return {
    label: "Run it again",
    method: "POST",
    path: "jobs",
    body: { training_file: trainingFile, ...given },
    python: `fake.add_job(${python(trainingFile)}, ${keywords(given)})`,
  };
}

/** @param {Record<string, unknown>} plan @returns {Action} */
export const planAll = (plan) => ({
  label: "Plan all jobs from now on",
  method: "PUT",
  path: "plan",
  body: plan,
  python: `fake.plan = ${python(plan)}`,
});

/** @param {Record<string, unknown>} changes @returns {Action} */
export const planNext = (changes) => ({
  label: "Plan the next job",
  method: "POST",
  path: "plan/next",
  body: changes,
  python: `fake.plan_next(${keywords(changes)})`,
});

/** @param {Record<string, unknown>} fault @returns {Action} */
export const armFault = (fault) => ({
  label: "Arm fault",
  method: "POST",
  path: "faults",
  body: fault,
  python: `fake.arm(${python(fault)})`,
});

/** @returns {Action} */
export const clearFaults = () => ({
  label: "Remove all faults",
  method: "DELETE",
  path: "faults",
  python: "fake.clear_faults()",
});

/** @param {number} number @returns {Action} */
export const endScript = (number) => ({
  label: "End script",
  method: "DELETE",
  path: `scripts/${number}`,
});

/** @param {Record<string, unknown>} settings @returns {Action} */
export const reset = (settings) => ({
  label: "Reset the account",
  method: "POST",
  path: "reset",
  body: settings,
  python: `fake.reset(${keywords(settings)})`,
});

/** @param {string} name @returns {Action} */
export const fork = (name) => ({
  label: "Fork",
  method: "POST",
  path: "fork",
  body: { name },
});

/** @param {number} request @returns {Action} */
export const rewind = (request) => ({
  label: request ? `Rewind to request ${request}` : "Rewind to the beginning",
  method: "POST",
  path: "rewind",
  body: { request },
  python: `fake.rewind_to(request=${request})`,
});

/** @returns {Action} */
export const save = () => ({
  label: "Save",
  method: "GET",
  path: "export",
  python: 'fake.save("account.zip")',
});
