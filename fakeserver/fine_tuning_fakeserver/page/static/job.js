/** One job: its course, curves, events, checkpoints, numbers, result; and what can be done to it. */

import { advanceTo, advanceToStep, intervene, planJob, repeatJob } from "./actions.js";
import { Chart } from "./chart.js";
import {
  ActionButton,
  CopyButton,
  ErrorNote,
  EvidenceBadge,
  Fact,
  Input,
  Loading,
  Progress,
  StatusChip,
  Table,
  Text,
} from "./components.js";
import { Events } from "./events.js";
import { count, duration, json, time, visible } from "./format.js";
import { changedPlan, PlanEditor } from "./plan.js";
import { link } from "./routes.js";
import { download, useLive } from "./server.js";
import { Timeline } from "./timeline.js";
import { html, useState } from "./vendored/htm-preact.js";

const CHECKPOINT_COLUMNS = ["Step", "Model", { name: "Created (UTC)", kind: "wide" }, "Metrics"];
const TERMINAL = ["succeeded", "failed", "cancelled"];
/** @type {Array<[string, RegExp]>} */
const CHARTS = [
  ["Loss", /loss/],
  ["Accuracy", /accuracy/],
  ["Reward", /reward/],
];

/** @param {{id: string, overview: any, now: number}} props */
export function Job({ id, overview, now }) {
  const { data: job, error } = useLive(`jobs/${encodeURIComponent(id)}`);
  return html`<article aria-labelledby="title">
    <p><a href="#/jobs">← All jobs</a></p>
    <h1 id="title" class="mono"><${Text} value=${id} /></h1>
    <${ErrorNote} error=${error} />
    ${!job && !error && html`<${Loading} label="the job" />`}
    ${job && html`
      <${Head} job=${job} now=${now} />
      <${JobSteering} key=${id} job=${job} choices=${overview.choices} />
      <section aria-labelledby="course"><h2 id="course">Course</h2><${Timeline} job=${job} now=${now} /></section>
      <${Curves} job=${job} />
      <${Events} key=${id} id=${id} />
      <${Checkpoints} job=${job} />
      <${Numbers} job=${job} />
      <${Result} job=${job} />
      <${Deliveries} job=${job} />
      <${Raw} job=${job} />
    `}
  </article>`;
}

/** @param {{job: any, now: number}} props */
function Head({ job, now }) {
  const { fine_tuned_model: model, validation_file: validation } = job.object;
  const metadata = Object.entries(job.object.metadata ?? {});
  return html`
    <p class="headline">
      <${StatusChip} status=${job.status} /> <${EvidenceBadge} evidence=${job.evidence.statuses[job.status]} />
      <${Progress} value=${job.steps_done} most=${job.steps} label="Steps done" />
    </p>
    ${job.error && html`<${Failure} error=${job.error} />`}
    <dl class="facts">
      <${Fact} term="Model"><${Text} value=${job.model} /><//>
      <${Fact} term="Method">${job.method}<//>
      <${Fact} term="Suffix"><${Text} value=${job.suffix ?? "—"} /><//>
      <${Fact} term="Created (UTC)">${time(job.created_at)}<//>
      <${Fact} term="Virtual duration">${duration((job.ended_at ?? now) - job.created_at)}<//>
      <${Fact} term="Training file"><${FileLink} id=${job.object.training_file} /><//>
      ${validation && html`<${Fact} term="Validation file"><${FileLink} id=${validation} /><//>`}
      ${model && html`<${Fact} term="Fine-tuned model"><span class="mono"><${Text} value=${model} /></span><//>`}
      ${metadata.map(([name, value]) => html`<${Fact} key=${name} term=${visible(name)}><${Text} value=${value} /><//>`)}
    </dl>
  `;
}

/** @param {{error: {code: string, message: string, param: string | null}}} props */
function Failure({ error }) {
  return html`<p class="failure"><strong class="mono"><${Text} value=${error.code} /></strong>${" "}
    <${Text} value=${error.message} /> ${error.param && html`(<code><${Text} value=${error.param} /></code>)`}</p>`;
}

/** @param {{id: string}} props */
function FileLink({ id }) {
  return html`<a class="mono" href=${link("files", id)}><${Text} value=${id} /></a>`;
}

/** @param {{job: any, choices: any}} props */
function JobSteering({ job, choices }) {
  const [step, setStep] = useState(String(Math.min(job.steps_done + 1, job.steps)));
  const isOver = TERMINAL.includes(job.status);
  const end = job.phases[job.phases.length - 1].status;
  const next = job.phases.find((phase) => phase.is_ahead);
  const canEnd = !isOver && TERMINAL.includes(end) && next?.status !== end;
  return html`<section aria-labelledby="steer"><h2 id="steer">Steer this job</h2>
    ${isOver && html`<p class="muted">It is over: time and plan change nothing about it any more. Run it again with another plan,
      or rewind the account.</p>`}
    <div class="actions">
      <${ActionButton} action=${intervene("pause", job.id)} isDisabled=${job.status !== "running"} />
      <${ActionButton} action=${intervene("resume", job.id)} isDisabled=${job.status !== "paused"} />
      <${ActionButton} action=${intervene("cancel", job.id)} isDisabled=${isOver} />
      ${next && html`<${ActionButton} action=${advanceTo(`To ${next.status.replaceAll("_", " ")}`, next.status, job.id)} />`}
      ${canEnd && html`<${ActionButton} action=${advanceTo("To the end", end, job.id)} />`}
    </div>
    ${!isOver && html`<form class="inline" onSubmit=${(event) => event.preventDefault()}>
      <${Input} label=${`Step (of ${count(job.steps)})`} type="number" value=${step} onInput=${setStep} />
      <${ActionButton} action=${advanceToStep(Number(step), job.id)} isDisabled=${!(Number(step) >= 1)} />
    </form>
    <details><summary>Plan of this job</summary>
      <${PlanEditor} plan=${job.plan} choices=${choices} targets=${[(changes) => planJob(job.id, changes)]} />
    </details>`}
    ${isOver && html`<${RunAgain} job=${job} choices=${choices} />`}
  </section>`;
}

/** What a curve is of: training first, all of the validation data last. @param {string} name */
function rank(name) {
  return ["train", "valid", "full_valid"].findIndex((start) => name.startsWith(start));
}

/** @param {{job: any}} props */
function Curves({ job }) {
  const names = Object.keys(job.curves.series);
  const checkpoints = job.checkpoints.map((checkpoint) => checkpoint.step_number);
  if (!job.curves.steps.length) {
    return html`<section aria-labelledby="curves"><h2 id="curves">Curves</h2>
      <p class="muted">No training step is done yet.</p></section>`;
  }
  return html`<section aria-labelledby="curves"><h2 id="curves">Curves</h2>
    <div class="charts">
      ${CHARTS.map(([title, pattern]) => {
        const own = names.filter((name) => pattern.test(name)).sort((a, b) => rank(a) - rank(b));
        if (!own.length) return null;
        return html`<${Chart} key=${title} title=${title} names=${own} curves=${job.curves} checkpoints=${checkpoints} />`;
      })}
    </div>
  </section>`;
}

/** @param {{job: any, choices: any}} props */
function RunAgain({ job, choices }) {
  const [file, setFile] = useState(job.object.training_file);
  const isFileToBlame = job.error && job.plan.outcome === "succeeded";
  return html`<details><summary>Run the same job again</summary>
    ${isFileToBlame && html`<p>Its plan was to succeed: what failed it is
      <a href=${link("files", job.object.training_file)}>its file</a>, and no plan makes that succeed.
      Put a sound one into the account by <a href=${link("files")}>Files</a>, and name it here:</p>`}
    <${Input} label="Training file" value=${file} onInput=${setFile} />
    <${PlanEditor} plan=${job.plan} choices=${choices} mayBeSame onDone=${openJob}
      targets=${[(changes) => repeatJob(job, file, changedPlan(job.plan, changes))]} />
  </details>`;
}

/** Go to the job that an action has made. @param {Response} response */
async function openJob(response) {
  location.hash = link("jobs", (await response.json()).id);
}

/** @param {{job: any}} props */
function Checkpoints({ job }) {
  return html`<section aria-labelledby="checkpoints"><h2 id="checkpoints">Checkpoints</h2>
    ${!job.checkpoints.length && html`<p class="muted">None: a job has checkpoints once it has succeeded.</p>`}
    ${job.checkpoints.length > 0 && html`<${Table} label="Checkpoints" columns=${CHECKPOINT_COLUMNS}>
      ${job.checkpoints.map((checkpoint) => html`<tr key=${checkpoint.id}>
        <td>${count(checkpoint.step_number)}</td>
        <td class="mono"><${Text} value=${checkpoint.fine_tuned_model_checkpoint} /></td>
        <td class="wide">${time(checkpoint.created_at)}</td>
        <td class="small"><${Text} value=${metricsText(checkpoint)} /></td>
      </tr>`)}
    <//>`}
  </section>`;
}

/** @param {any} checkpoint */
function metricsText(checkpoint) {
  const metrics = Object.entries(checkpoint.metrics ?? {});
  return metrics.map(([name, value]) => `${name} ${value}`).join(", ");
}

/** @param {{job: any}} props */
function Numbers({ job }) {
  return html`<section aria-labelledby="numbers"><h2 id="numbers">Hyperparameters</h2>
    <${Table} label="Hyperparameters" columns=${["Name", "Asked for", "Decided"]}>
      ${job.hyperparameters.map((each) => html`<tr key=${each.name}>
        <td>${each.name}</td><td>${each.asked}</td><td>${each.decided}</td>
      </tr>`)}
    <//>
    <p class="small muted">${count(job.steps)} steps in ${count(job.n_epochs)} epochs, ${count(job.tokens)} tokens a pass
      (estimated); seed ${job.seed}.</p>
  </section>`;
}

/** @param {{job: any}} props */
function Result({ job }) {
  const [error, setError] = useState(undefined);
  if (!job.result) return null;
  const { id, columns, rows } = job.result;
  const save = () => download(`ui/data/files/${encodeURIComponent(id)}/content`, "step_metrics.csv").catch(setError);
  return html`<section aria-labelledby="result"><h2 id="result">Result file</h2>
    <p><span class="mono"><${Text} value=${id} /></span> <button type="button" onClick=${save}>Download CSV</button></p>
    <${ErrorNote} error=${error} />
    <details><summary>The first ${rows.length} rows</summary>
      <${Table} label="Result file" columns=${columns}>
        ${rows.map((row) => html`<tr key=${row[0]}>${row.map((cell) => html`<td class="figures">${cell}</td>`)}</tr>`)}
      <//>
    </details>
  </section>`;
}

/** @param {{job: any}} props */
function Deliveries({ job }) {
  if (!job.deliveries.length) return null;
  return html`<section aria-labelledby="deliveries"><h2 id="deliveries">Webhook deliveries</h2>
    <${Table} label="Webhook deliveries" columns=${["Event", "To", "Status", "Attempts"]}>
      ${job.deliveries.map((each) => html`<tr key=${each.id}>
        <td>${each.type}</td>
        <td class="mono"><${Text} value=${each.url ?? "collected, sent nowhere"} /></td>
        <td>${each.status}</td>
        <td class="small"><${Text} value=${attemptsText(each)} /></td>
      </tr>`)}
    <//>
  </section>`;
}

/** @param {any} delivery */
function attemptsText(delivery) {
  return delivery.attempts.map((attempt) => attempt.error ?? attempt.status ?? "collected").join(", ") || "none yet";
}

/** @param {{job: any}} props */
function Raw({ job }) {
  const kinds = Object.entries(job.evidence.members);
  return html`<section aria-labelledby="raw"><h2 id="raw">As the API shows it</h2>
    <details><summary>JSON</summary>
      <${CopyButton} label="Copy JSON" text=${() => JSON.stringify(job.object, null, 2)} />
      <pre tabindex="0">${json(job.object)}</pre>
    </details>
    <details><summary>Evidence of its members</summary>
      <ul class="evidence">
        ${kinds.map(([name, evidence]) => html`<li key=${name}>
          <code>${name}</code> <${EvidenceBadge} evidence=${evidence} /> <span class="small muted">${evidence.source}</span>
        </li>`)}
      </ul>
    </details>
  </section>`;
}
