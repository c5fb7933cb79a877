/** The editor of a plan: how a job goes. Only what differs from the plan that is shown is sent. */

import { ActionButton, Input, Select } from "./components.js";
import { html, useState } from "./vendored/htm-preact.js";

const DURATIONS = [
  ["validating", "validating (s)"],
  ["queued", "queued (s)"],
  ["starting", "starting (s)"],
  ["seconds_per_step", "seconds per step"],
  ["finishing", "finishing (s)"],
];

/** @param {any} plan */
function fieldsOf(plan) {
  const failAt = plan.fail_at === null || plan.fail_at === "validation" ? "" : String(plan.fail_at);
  const error = plan.error && (typeof plan.error === "string" ? plan.error : plan.error.code);
  return {
    ending: plan.outcome === "succeeded" ? "succeeded" : failAt ? "step" : "validation",
    step: failAt || "60",
    error: error ?? "server_error",
    curve: plan.curve,
    ...Object.fromEntries(DURATIONS.map(([name]) => [name, String(plan[name])])),
  };
}

/** @param {any} plan @param {any} fields @returns {Record<string, unknown>} */
function changesOf(plan, fields) {
  const before = fieldsOf(plan);
  /** @type {Record<string, unknown>} */
  const changes = {};
  const isOtherFailure = ["ending", "step", "error"].some((name) => fields[name] !== before[name]);
  if (fields.ending === "succeeded") {
    if (plan.outcome !== "succeeded") changes.outcome = "succeeded";
  } else if (isOtherFailure) {
    changes.fail_at = fields.ending === "step" ? Number(fields.step) : "validation";
    changes.error = fields.error;
  }
  for (const [name] of DURATIONS) {
    if (fields[name] === before[name]) continue;
    const seconds = Number(fields[name]);
    changes[name] = Number.isNaN(seconds) ? fields[name] : seconds; // "90s" is a duration, too
  }
  if (fields.curve !== before.curve) changes.curve = fields.curve;
  return changes;
}

/**
 * Return a plan with changes, without what follows from the rest: an ending is given by what makes a job fail, or by
 * its outcome.
 * @param {any} plan
 * @param {Record<string, unknown>} changes
 */
export function changedPlan(plan, changes) {
  const kept = Object.fromEntries(Object.entries(plan).filter(([, value]) => value !== null));
  const isFailing = kept.outcome === "failed" && !kept.fail_at && !kept.error;
  if (!isFailing || "fail_at" in changes) delete kept.outcome;
  if (changes.outcome === "succeeded") {
    delete kept.fail_at;
    delete kept.error;
  }
  return { ...kept, ...changes };
}

/**
 * @param {{plan: any, choices: any, mayBeSame?: boolean, onDone?: (response: Response) => void,
 *   targets: Array<(changes: Record<string, unknown>) => import("./actions.js").Action>}} props
 */
export function PlanEditor({ plan, choices, targets, mayBeSame = false, onDone }) {
  const [edited, setEdited] = useState({});
  const fields = { ...fieldsOf(plan), ...edited };
  const set = (name) => (value) => setEdited((before) => ({ ...before, [name]: value }));
  const changes = changesOf(plan, fields);
  const finish = (response) => {
    setEdited({});
    onDone?.(response);
  };
  const curves = choices.curves.includes(fields.curve) ? choices.curves : [...choices.curves, fields.curve];
  const errors = choices.errors.includes(fields.error) ? choices.errors : [...choices.errors, fields.error];
  const isChanged = Object.keys(changes).length > 0;
  return html`<form class="plan" onSubmit=${(event) => event.preventDefault()}>
    <${Select} label="The job" value=${fields.ending} onChange=${set("ending")}
      options=${[["succeeded", "succeeds"], ["validation", "fails in validation"], ["step", "fails at a step"]]} />
    ${fields.ending === "step" && html`
      <${Input} label="at step" type="number" value=${fields.step} onInput=${set("step")} />`}
    ${fields.ending !== "succeeded" && html`
      <${Select} label="with error" value=${fields.error} options=${errors} onChange=${set("error")} />`}
    <${Select} label="Curve" value=${fields.curve} options=${curves} onChange=${set("curve")} />
    ${DURATIONS.map(([name, label]) => html`<${Input} key=${name} label=${label} value=${fields[name]} onInput=${set(name)} />`)}
    <div class="actions">
      ${targets.map((target) => {
        const action = target(changes);
        return html`<${ActionButton} key=${action.label} action=${action} isDisabled=${!mayBeSame && !isChanged} onDone=${finish} />`;
      })}
    </div>
    <p class="small muted">${isChanged ? html`Changes <code>${JSON.stringify(changes)}</code>` : "Nothing is changed."}</p>
  </form>`;
}
