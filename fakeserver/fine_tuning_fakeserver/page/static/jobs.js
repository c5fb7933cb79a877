/** The list of jobs: newest first, by status and text, live. */

import { Empty, ErrorNote, Loading, Pager, Progress, Search, Select, StatusChip, Table, Text } from "./components.js";
import { count, duration, time } from "./format.js";
import { link, replaceRoute } from "./routes.js";
import { ACCOUNT_ROOT, useLive } from "./server.js";
import { html } from "./vendored/htm-preact.js";

const STATUSES = ["validating_files", "queued", "running", "paused", "succeeded", "failed", "cancelled"];
const ROW = { messages: [{ role: "user", content: "Hi" }, { role: "assistant", content: "Hello" }] };
const COLUMNS = [
  "Job",
  "Status",
  { name: "Model", kind: "wide" },
  { name: "Suffix", kind: "wide" },
  "Steps",
  { name: "Created (UTC)", kind: "wide" },
  { name: "Duration", kind: "medium" },
];

/** @param {{route: import("./routes.js").Route, overview: any, now: number}} props */
export function Jobs({ route, overview, now }) {
  const [status, text, after] = ["status", "text", "after"].map((name) => route.query.get(name) ?? "");
  const query = new URLSearchParams(Object.entries({ status, text, after }).filter(([, value]) => value));
  const { data, error } = useLive(`jobs?${query}`);
  const go = (changes) => replaceRoute(link("jobs", "", { status, text, ...changes }));
  const byStatus = overview.counts.by_status;
  const statuses = STATUSES.map((each) => [each, `${each.replaceAll("_", " ")} (${count(byStatus[each] ?? 0)})`]);
  const options = [["", `all (${count(overview.counts.jobs)})`], ...statuses];
  const isFiltered = Boolean(status || text);
  return html`<section aria-labelledby="title">
    <h1 id="title">Jobs</h1>
    <form class="filters" onSubmit=${(event) => event.preventDefault()}>
      <${Select} label="Status" value=${status} options=${options} onChange=${(value) => go({ status: value })} />
      <${Search} label="Text" value=${text} onInput=${(value) => go({ text: value })} />
    </form>
    <${ErrorNote} error=${error} />
    ${!data && !error && html`<${Loading} label="jobs" />`}
    ${data && html`
      <${JobTable} data=${data} now=${now} isFiltered=${isFiltered} />
      <${Pager} isFirst=${!after} next=${data.next} label=${isFiltered ? "Search older jobs" : "Older"}
        onFirst=${() => go({})} onNext=${() => go({ after: data.next })} />
    `}
  </section>`;
}

/** @param {{data: any, now: number, isFiltered: boolean}} props */
function JobTable({ data, now, isFiltered }) {
  if (!data.total) return html`<${NoJobs} />`;
  if (!data.jobs.length) return html`<p class="muted">None of ${count(data.searched)} jobs matches.</p>`;
  return html`
    <${Table} label="Jobs" columns=${COLUMNS}>
      ${data.jobs.map((job) => html`<${JobRow} key=${job.id} job=${job} now=${now} />`)}
    <//>
    ${isFiltered && data.next && html`<p class="muted">${count(data.searched)} of ${count(data.total)} jobs searched.</p>`}
  `;
}

/** @param {{job: any, now: number}} props */
function JobRow({ job, now }) {
  return html`<tr>
    <td><a class="row-link mono" href=${link("jobs", job.id)}><${Text} value=${job.id} /></a></td>
    <td>
      <${StatusChip} status=${job.status} />
      ${job.error && html`<div class="mono small"><${Text} value=${job.error} /></div>`}
    </td>
    <td class="wide"><${Text} value=${job.model} /></td>
    <td class="wide"><${Text} value=${job.suffix ?? "—"} /></td>
    <td><${Progress} value=${job.steps_done} most=${job.steps} label=${`Steps of ${job.id}`} /></td>
    <td class="wide figures">${time(job.created_at)}</td>
    <td class="medium figures">${duration((job.ended_at ?? now) - job.created_at)}</td>
  </tr>`;
}

function NoJobs() {
  const root = ACCOUNT_ROOT.href.replace(/\/$/, "");
  const command = [
    `ROW='${JSON.stringify(ROW)}'`,
    "for n in 1 2 3 4 5 6 7 8 9 10; do echo \"$ROW\"; done > train.jsonl",
    `api() { curl -sS -H 'Authorization: Bearer any' "$@"; }`,
    `FILE=$(api ${root}/v1/files -F purpose=fine-tune -F file=@train.jsonl | grep -o 'file-[A-Za-z0-9]*')`,
    `api ${root}/v1/fine_tuning/jobs -H 'Content-Type: application/json' \\`,
    `  -d '{"model": "gpt-4o-mini", "training_file": "'$FILE'"}'`,
  ].join("\n");
  return html`<${Empty} title="No job yet." command=${command}>Run your code with
    <code>OPENAI_BASE_URL=${root}/v1</code>, or create one:<//>`;
}
