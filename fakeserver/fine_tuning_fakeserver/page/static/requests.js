/** The request log: what code under test has sent, and what it got. */

import { rewind } from "./actions.js";
import {
  ActionButton,
  CopyButton,
  Empty,
  ErrorNote,
  Fact,
  Loading,
  Pager,
  Search,
  Select,
  Table,
  Text,
} from "./components.js";
import { count, duration, json, pretty, shellQuote, time, visible } from "./format.js";
import { link, replaceRoute } from "./routes.js";
import { ACCOUNT_ROOT, useLive } from "./server.js";
import { html, useMemo } from "./vendored/htm-preact.js";

const COLUMNS = [
  "No.",
  "Request",
  "Status",
  { name: "Client", kind: "wide" },
  { name: "Time (UTC)", kind: "medium" },
  "Notes",
];
const FILTERS = ["operation", "status", "text", "before"];
const FINDINGS_EVERY_MS = 5000;
const FIRST = `curl -sS ${ACCOUNT_ROOT.href}v1/fine_tuning/jobs -H 'Authorization: Bearer any'`;

/** Findings by the number of the request that they are about. */
function useFindings() {
  const { data } = useLive("findings", FINDINGS_EVERY_MS);
  return useMemo(() => {
    const codes = new Map();
    for (const finding of data?.findings ?? []) {
      for (const { number } of finding.requests) codes.set(number, [...(codes.get(number) ?? []), finding.code]);
    }
    return codes;
  }, [data]);
}

/** @param {{route: import("./routes.js").Route, overview: any}} props */
export function Requests({ route, overview }) {
  const [operation, status, text, before] = FILTERS.map((name) => route.query.get(name) ?? "");
  const query = new URLSearchParams({ operation, status, text, before });
  const { data, error } = useLive(`requests?${query}`);
  const findings = useFindings();
  const go = (changes) => replaceRoute(link("requests", "", { operation, status, text, ...changes }));
  const operations = [["", "all"], ...overview.choices.operations];
  return html`<section aria-labelledby="title">
    <h1 id="title">Requests</h1>
    <form class="filters" onSubmit=${(event) => event.preventDefault()}>
      <${Select} label="Operation" value=${operation} options=${operations}
        onChange=${(value) => go({ operation: value })} />
      <${Search} label="Text" value=${text} onInput=${(value) => go({ text: value })} />
    </form>
    <${ErrorNote} error=${error} />
    ${!data && !error && html`<${Loading} label="requests" />`}
    ${data && html`
      ${data.failed_assertions.map((failed) => html`<${FailedAssertion} key=${failed.text} failed=${failed} />`)}
      <${RequestTable} data=${data} findings=${findings} />
      <${Pager} isFirst=${!before} next=${data.next}
        onFirst=${() => go({})} onNext=${() => go({ before: String(data.next) })} />
    `}
  </section>`;
}

/**
 * An assertion of a test that did not hold, and the request that came nearest to it.
 * @param {{failed: {text: string, request: number | null, problems: string[]}}} props
 */
function FailedAssertion({ failed: { text, request, problems } }) {
  return html`<article class="card">
    <p><span aria-hidden="true">✕</span> <strong>Failed assertion:</strong> <${Text} value=${text} /></p>
    ${request !== null && html`
      <p class="small">Nearest: <a href=${link("requests", request)}>request ${request}</a></p>
      <${Problems} problems=${problems} />
    `}
  </article>`;
}

/** @param {{problems: string[]}} props */
function Problems({ problems }) {
  return html`<ul class="mono small">${problems.map((each) => html`<li key=${each}><${Text} value=${each} /></li>`)}</ul>`;
}

/** @param {{data: any, findings: Map<number, string[]>}} props */
function RequestTable({ data, findings }) {
  if (!data.total) return html`<${Empty} title="No request yet." command=${FIRST}>Run your code, or send one:<//>`;
  if (!data.requests.length) return html`<p class="muted">None matches.</p>`;
  return html`
    <${Table} label="Requests" columns=${COLUMNS}>
      ${data.requests.map((each) => {
        const codes = findings.get(each.number) ?? [];
        return html`<${RequestRow} key=${each.number} request=${each} codes=${codes} />`;
      })}
    <//>
    ${data.forgotten > 0 && html`<p class="small muted">The log keeps the newest; ${count(data.forgotten)} are forgotten.</p>`}
  `;
}

/** @param {{status: number}} props */
function Status({ status }) {
  const kind = !status ? "none" : status >= 400 ? "bad" : "good";
  const sign = { none: "⌁", bad: "✕", good: "✓" }[kind];
  return html`<span class=${`http http-${kind}`}><span aria-hidden="true">${sign}</span> ${status || "no answer"}</span>`;
}

/** @param {{request: any, codes: string[]}} props */
function RequestRow({ request, codes }) {
  const { number } = request;
  return html`<tr>
    <td><a class="row-link" href=${link("requests", number)} aria-label=${`Request ${number}`}>${number}</a></td>
    <td>
      <strong>${request.operation ?? request.method}</strong>${" "}
      <span class="mono small muted"><${Text} value=${`${request.method} ${target(request)}`} /></span>
    </td>
    <td><${Status} status=${request.status} /></td>
    <td class="wide small"><${Text} value=${request.client || "—"} /></td>
    <td class="medium figures">${time(request.at)}</td>
    <td>
      ${request.fault && html`<span class="badge fault">⚡ ${request.fault}</span>${" "}`}
      ${codes.map((code) => html`<a class="badge finding" href=${link("findings")}>⚑ ${code}</a>${" "}`)}
    </td>
  </tr>`;
}

/** @param {{id: string}} props */
export function Request({ id }) {
  const { data: request, error } = useLive(`requests/${encodeURIComponent(id)}`);
  const codes = useFindings().get(Number(id)) ?? [];
  return html`<article aria-labelledby="title">
    <p><a href="#/requests">← All requests</a></p>
    <h1 id="title">Request ${visible(id)}</h1>
    <${ErrorNote} error=${error} />
    ${!request && !error && html`<${Loading} label="the request" />`}
    ${request && html`
      <p class="headline">
        <${Status} status=${request.status} /> <strong>${request.operation ?? "unknown route"}</strong>
        ${request.fault && html`<span class="badge fault">⚡ hit by the fault ${request.fault}</span>`}
        ${codes.map((code) => html`<a class="badge finding" href=${link("findings")}>⚑ part of the finding ${code}</a>`)}
      </p>
      <dl class="facts">
        <${Fact} term="Answered at (UTC)">${time(request.at)}<//>
        <${Fact} term="Virtual time it took">${duration(request.at - request.begun_at)}<//>
        <${Fact} term="Client"><${Text} value=${request.headers["user-agent"] ?? "—"} /><//>
      </dl>
      <div class="actions">
        <${CopyButton} label="Copy as curl" text=${() => curlOf(request)} />
        <${ActionButton} action=${rewind(request.number)}
          confirm="Take the account back to where it was when this request was answered? What came later is gone." />
      </div>
      ${request.failed_assertions.map(({ text, problems }) => html`<section class="card" key=${text}>
        <p>It came nearest to what an assertion expected, and differs: <${Text} value=${text} /></p>
        <${Problems} problems=${problems} />
      </section>`)}
      <h2>Request</h2>
      <p class="mono"><${Text} value=${`${request.method} ${target(request)}`} /></p>
      <details><summary>Headers, keys redacted</summary><pre tabindex="0">${headersOf(request)}</pre></details>
      <${Body} text=${request.form ? json(request.form) : pretty(request.body)} otherwise="No body." />
      <h2>Answer</h2>
      <${Body} text=${pretty(request.answer)} otherwise="No body was kept: the client got none, or it was sent in pieces." />
    `}
  </article>`;
}

/** @param {{text: string, otherwise: string}} props */
function Body({ text, otherwise }) {
  return text ? html`<pre tabindex="0">${text}</pre>` : html`<p class="muted">${otherwise}</p>`;
}

function headersOf(request) {
  return Object.entries(request.headers)
    .map(([name, value]) => visible(`${name}: ${value}`))
    .join("\n");
}

function target(request) {
  return request.path + (request.query ? `?${request.query}` : "");
}

/** The request as curl, with a key of the reader's own. */
function curlOf(request) {
  const address = ACCOUNT_ROOT.href.replace(/\/$/, "") + target(request);
  const parts = [`curl -sS -X ${request.method} ${shellQuote(address)}`, `-H "Authorization: Bearer $OPENAI_API_KEY"`];
  if (request.form) {
    for (const [name, value] of Object.entries(request.form)) {
      if (name === "filename") parts.push(`-F ${shellQuote(`file=@${value}`)}`);
      else if (name !== "bytes") parts.push(`-F ${shellQuote(`${name}=${value}`)}`);
    }
  } else if (request.body) {
    const type = `Content-Type: ${request.headers["content-type"] ?? "application/json"}`;
    parts.push(`-H ${shellQuote(type)}`, `-d ${shellQuote(request.body)}`);
  }
  return parts.join(" ");
}
