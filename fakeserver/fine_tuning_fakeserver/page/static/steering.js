/** What is in force in the account: plans, faults, scripts; and the account as a whole. */

import * as actions from "./actions.js";
import { ActionButton, CopyButton, ErrorNote, Field, Input, Select, Table, Text } from "./components.js";
import { visible } from "./format.js";
import { changedPlan, PlanEditor } from "./plan.js";
import { link } from "./routes.js";
import { download, look, pageOfAccount, steer } from "./server.js";
import { html, useRef, useState } from "./vendored/htm-preact.js";

const FAULTS = ["fail", "rate_limit", "delay", "disconnect", "refuse", "truncate", "malformed", "outage"];

/** @param {{overview: any}} props */
export function Steering({ overview }) {
  return html`<div>
    <h1>Steer</h1>
    <${Plans} overview=${overview} />
    <${Faults} overview=${overview} />
    <${Scripts} scripts=${overview.scripts} />
    <${WholeAccount} overview=${overview} />
  </div>`;
}

/** @param {{overview: any}} props */
function Plans({ overview }) {
  const { all, next, rules } = overview.plan;
  const planAll = (changes) => actions.planAll(changedPlan(all, changes));
  return html`<section aria-labelledby="plans"><h2 id="plans">Plan of jobs to come</h2>
    <${PlanEditor} plan=${all} choices=${overview.choices} targets=${[planAll, actions.planNext]} />
    <${PlanList} title="Of the next jobs" plans=${next} />
    <${PlanList} title="Of jobs that match, the first wins" plans=${rules} />
  </section>`;
}

/** @param {{title: string, plans: any[]}} props */
function PlanList({ title, plans }) {
  if (!plans.length) return null;
  return html`<h3>${title}</h3>
    <ol>${plans.map((plan) => html`<li><code><${Text} value=${JSON.stringify(plan)} /></code></li>`)}</ol>`;
}

/** @param {{overview: any}} props */
function Faults({ overview }) {
  const [kind, setKind] = useState("fail");
  const [on, setOn] = useState("");
  const [status, setStatus] = useState("503");
  const [seconds, setSeconds] = useState("5");
  const [times, setTimes] = useState("1");
  const fault = { kind };
  if (on) fault.on = on;
  if (kind === "fail" || kind === "outage") fault.status = Number(status);
  if (kind === "delay") fault.seconds = Number(seconds);
  if (kind === "outage") fault.duration = Number(seconds);
  else fault.times = Number(times) || null;
  const takesTime = kind === "delay" || kind === "outage";
  const operations = [["", "any operation"], ...overview.choices.operations];
  return html`<section aria-labelledby="faults"><h2 id="faults">Faults</h2>
    <form class="plan" onSubmit=${(event) => event.preventDefault()}>
      <${Select} label="What goes wrong" value=${kind} options=${FAULTS} onChange=${setKind} />
      <${Select} label="At" value=${on} options=${operations} onChange=${setOn} />
      ${"status" in fault && html`<${Input} label="Status" type="number" value=${status} onInput=${setStatus} />`}
      ${takesTime && html`<${Input} label="Seconds" type="number" value=${seconds} onInput=${setSeconds} />`}
      ${"times" in fault && html`<${Input} label="Times (0: always)" type="number" value=${times} onInput=${setTimes} />`}
      <div class="actions">
        <${ActionButton} action=${actions.armFault(fault)} />
        <${ActionButton} action=${actions.clearFaults()} isDisabled=${!overview.faults.length} />
      </div>
    </form>
    ${overview.faults.length ? html`<${Table} label="Faults" columns=${["No.", "Fault", "State", "Hit requests"]}>
      ${[...overview.faults].reverse().map((each) => html`<tr key=${each.number}>
        <td>${each.number}</td><td class="mono small"><${Text} value=${describeFault(each)} /></td>
        <td>${each.exhausted ? "over" : "armed"}, fired ${each.fired}</td>
        <td>${each.requests.map((number) => html`<a href=${link("requests", number)}>${number}</a> `)}</td>
      </tr>`)}
    <//>` : html`<p class="muted">None is armed.</p>`}
  </section>`;
}

function describeFault(fault) {
  const { number, fired, requests, exhausted, ...rest } = fault;
  return JSON.stringify(Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== null)));
}

function describeAnswers(script) {
  return script.left.map(([operation, item]) => `${operation ?? "any"}: ${JSON.stringify(item)}`).join("; ") || "none";
}

/** @param {{scripts: any[]}} props */
function Scripts({ scripts }) {
  return html`<section aria-labelledby="scripts"><h2 id="scripts">Scripts in force</h2>
    ${scripts.length ? html`<${Table} label="Scripts" columns=${["No.", "State", "Answers left", ""]}>
      ${scripts.map((script) => html`<tr key=${script.number}>
        <td>${script.number}</td>
        <td>${script.in_use ? "in use" : "ended"}${script.strict ? ", strict" : ""}, ${script.calls} calls</td>
        <td class="mono small"><${Text} value=${describeAnswers(script)} /></td>
        <td>${script.in_use && html`<${ActionButton} action=${actions.endScript(script.number)} />`}</td>
      </tr>`)}
    <//>` : html`<p class="muted">None: the fake answers by its own rules. In Python: <code>fake([…])</code>.</p>`}
  </section>`;
}

/** @param {{overview: any}} props */
function WholeAccount({ overview }) {
  return html`<section aria-labelledby="account"><h2 id="account">The account</h2>
    <div class="cards">
      <div class="card"><h3>Take it home</h3>
        <p class="small muted">A test that makes these files, jobs and plans, sends the requests again and expects the same
          answers.</p>
        <${CopyTest} />
        <${ActionButton} action=${actions.save()} run=${() => download("export", "account.zip")} />
      </div>
      <div class="card"><h3>Load</h3><${LoadAccount} overview=${overview} /></div>
      <div class="card"><h3>Begin anew</h3><${Reset} seed=${overview.account.seed} /></div>
      <div class="card"><h3>Go back</h3><${Rewind} requests=${overview.counts.requests} /></div>
      <div class="card"><h3>Fork</h3>
        ${overview.accounts ? html`<${Fork} />` : html`<p class="small muted">This server has one account;
          <code>fake-fine-tuning serve</code> has many.</p>`}
      </div>
    </div>
  </section>`;
}

/** @param {{seed: number}} props */
function Reset({ seed }) {
  const [chosen, choose] = useState(String(seed));
  return html`
    <${Input} label="Seed" type="number" value=${chosen} onInput=${choose} />
    <${ActionButton} kind="danger" action=${actions.reset({ seed: Number(chosen) })}
      confirm="Begin a fresh account? All files, jobs and requests are gone." />
  `;
}

/** @param {{requests: number}} props */
function Rewind({ requests }) {
  const [number, setNumber] = useState("0");
  return html`
    <${Input} label=${`To request (0 to ${requests})`} type="number" value=${number} onInput=${setNumber} />
    <${ActionButton} kind="danger" action=${actions.rewind(Number(number))} confirm="What came later is gone. Rewind?" />
  `;
}

function Fork() {
  const [name, setName] = useState("");
  return html`
    <${Input} label="Name of the copy" value=${name} onInput=${setName} />
    <${ActionButton} action=${actions.fork(name)} isDisabled=${!name}
      onDone=${() => location.assign(pageOfAccount(name))} />
  `;
}

function CopyTest() {
  const [text, setText] = useState("");
  const [error, setError] = useState(undefined);
  const read = async () => {
    const { text: written } = await look("test");
    setText(written);
    return written;
  };
  return html`
    <${CopyButton} label="Copy as test" text=${read} />
    <button type="button" class="quiet" onClick=${() => read().catch(setError)}>Show test</button>
    <${ErrorNote} error=${error} />
    ${text && html`<pre tabindex="0" class="test">${visible(text)}</pre>`}
  `;
}

/** An account can be loaded into one that is still empty: it is reset before. @param {{overview: any}} props */
function LoadAccount({ overview }) {
  const input = useRef(null);
  const [error, setError] = useState(undefined);
  async function load() {
    const [file] = input.current.files;
    if (!file || !window.confirm("Replace this account by that of the file?")) return;
    setError(undefined);
    try {
      if (overview.counts.requests || overview.counts.jobs || overview.counts.files) await steer("POST", "reset", {});
      await steer("POST", "import", file);
    } catch (refusal) {
      setError(refusal);
    }
  }
  return html`<${Field} label="A saved account (.zip)"><input ref=${input} type="file" accept=".zip" /><//>
    <button type="button" onClick=${load}>Load</button>
    <${ErrorNote} error=${error} />`;
}
