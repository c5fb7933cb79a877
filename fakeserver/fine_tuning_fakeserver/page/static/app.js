/** The page: an account of fake-fine-tuning, its panels and its clock. */

import { advance, perform } from "./actions.js";
import { ClockBar, useNow } from "./clock.js";
import { ErrorNote, Fact, Loading, Select } from "./components.js";
import { File, Files } from "./files.js";
import { Findings } from "./findings.js";
import { count } from "./format.js";
import { Job } from "./job.js";
import { Jobs } from "./jobs.js";
import { KEYS, useKeyboard } from "./keyboard.js";
import { Request, Requests } from "./requests.js";
import { link, useRoute } from "./routes.js";
import { accountName, keepControlToken, pageOfAccount, useLive } from "./server.js";
import { Steering } from "./steering.js";
import { html, render, useCallback, useEffect, useRef, useState } from "./vendored/htm-preact.js";

/** By the first part of the address: what lists all, and what shows one. */
const PANELS = {
  jobs: [Jobs, Job],
  requests: [Requests, Request],
  findings: [Findings],
  files: [Files, File],
  steer: [Steering],
};

function App() {
  const route = useRoute();
  const { data: overview, error } = useLive("account");
  const now = useNow(overview?.clock);
  const [isHelpOpen, setHelpOpen] = useState(false);
  const [failure, setFailure] = useState(undefined);
  const advanceMinute = useCallback(() => {
    perform(advance("+1 min", 60)).then(() => setFailure(undefined), setFailure);
  }, []);
  const toggleHelp = useCallback(() => setHelpOpen((isOpen) => !isOpen), []);
  const goBack = useCallback(() => {
    setHelpOpen(false);
    if (route.id) location.hash = `#/${route.panel}`;
  }, [route.panel, route.id]);
  useKeyboard({ advance: advanceMinute, toggleHelp, goBack });
  useEffect(() => {
    const account = accountName() === "main" ? "" : ` · ${accountName()}`;
    document.title = `${route.id || route.panel}${account} · fake-fine-tuning`;
  }, [route.id, route.panel]);

  if (error?.needsToken) return html`<main><${TokenForm} error=${error} /></main>`;
  return html`
    <a class="skip" href="#main" onClick=${skipToMain}>Skip to content</a>
    <${Header} route=${route} overview=${overview} onHelp=${toggleHelp} />
    ${overview && html`<${ClockBar} overview=${overview} now=${now} />`}
    <main id="main" tabindex="-1">
      <${ErrorNote} error=${error ?? failure} />
      ${overview && html`<${Panel} route=${route} overview=${overview} now=${now} />`}
      ${!overview && !error && html`<${Loading} label="the account" />`}
    </main>
    <${Help} isOpen=${isHelpOpen} onClose=${() => setHelpOpen(false)} />
  `;
}

/** @param {Event} event */
function skipToMain(event) {
  event.preventDefault(); // the part after the hash is the page's own address
  document.getElementById("main")?.focus();
}

/** @param {{route: import("./routes.js").Route, overview: any, now: number}} props */
function Panel({ route, overview, now }) {
  const { panel, id } = route;
  const [List, One] = PANELS[panel] ?? [];
  if (!List) return html`<p>There is no such panel. <a href="#/jobs">To the jobs</a></p>`;
  if (id && One) return html`<${One} key=${id} id=${id} overview=${overview} now=${now} />`;
  return html`<${List} key=${panel} route=${route} overview=${overview} now=${now} />`;
}

/** @param {{route: import("./routes.js").Route, overview: any, onHelp: () => void}} props */
function Header({ route, overview, onHelp }) {
  const counts = overview?.counts;
  const tabs = [
    ["jobs", "Jobs", counts && count(counts.jobs)],
    ["requests", "Requests", counts && count(counts.requests)],
    ["findings", "Findings", ""],
    ["files", "Files", counts && count(counts.files)],
    ["steer", "Steer", counts?.armed_faults ? `⚡ ${count(counts.armed_faults)}` : ""],
  ];
  return html`<header>
    <p class="brand"><a href="#/jobs">fake-fine-tuning</a></p>
    <nav aria-label="Panels">
      ${tabs.map(([panel, name, note]) => html`<a key=${panel} href=${link(panel)}
        aria-current=${route.panel === panel ? "page" : undefined}>${name}${note && html` <span class="figures">${note}</span>`}</a>`)}
    </nav>
    ${overview?.accounts?.length > 1 && html`<${AccountChooser} names=${overview.accounts} />`}
    <button type="button" class="quiet" aria-label="Keyboard help" onClick=${onHelp}>?</button>
  </header>`;
}

/** @param {{names: string[]}} props */
function AccountChooser({ names }) {
  const own = accountName();
  const known = names.includes(own) ? names : [...names, own];
  const choose = (name) => location.assign(pageOfAccount(name));
  return html`<${Select} label="Account" value=${own} options=${known} onChange=${choose} />`;
}

/** Asks for the control token; it is kept for as long as the tab is open. @param {{error: Error}} props */
function TokenForm({ error }) {
  const [token, setToken] = useState("");
  const submit = (event) => {
    event.preventDefault();
    keepControlToken(token.trim());
  };
  return html`<form class="card token" onSubmit=${submit}>
    <h1>Control token</h1>
    <p>This server wants the token that it was started with: <code>serve --control-token TOKEN</code>.</p>
    <${ErrorNote} error=${error} />
    <label class="field"><span>Token</span>
      <input type="password" autocomplete="off" value=${token}
        onInput=${(event) => setToken(event.currentTarget.value)} /></label>
    <button type="submit">Go on</button>
  </form>`;
}

/** @param {{isOpen: boolean, onClose: () => void}} props */
function Help({ isOpen, onClose }) {
  const dialog = useRef(null);
  useEffect(() => {
    if (isOpen && !dialog.current.open) dialog.current.showModal();
    if (!isOpen && dialog.current.open) dialog.current.close();
  }, [isOpen]);
  return html`<dialog ref=${dialog} aria-labelledby="help" onClose=${onClose}>
    <h2 id="help">Keyboard</h2>
    <dl class="facts">
      ${KEYS.map(([keys, meaning]) => html`<${Fact} key=${keys} term=${html`<kbd>${keys}</kbd>`}>${meaning}<//>`)}
    </dl>
    <button type="button" onClick=${onClose}>Close</button>
  </dialog>`;
}

render(html`<${App} />`, document.getElementById("app"));
