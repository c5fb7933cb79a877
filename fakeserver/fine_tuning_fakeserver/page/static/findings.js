/** Findings: what code under test does wrong that had no consequence here. */

import { Empty, ErrorNote, Loading, Text } from "./components.js";
import { link } from "./routes.js";
import { useLive } from "./server.js";
import { html } from "./vendored/htm-preact.js";

const EVERY_MS = 5000;

export function Findings() {
  const { data, error } = useLive("findings", EVERY_MS);
  return html`<section aria-labelledby="title">
    <h1 id="title">Findings</h1>
    <p class="muted">Flaws of the code that sends these requests: nothing went wrong here, but it would against the real
      service.</p>
    <${ErrorNote} error=${error} />
    ${!data && !error && html`<${Loading} label="findings" />`}
    ${data && !data.total && html`<${Empty} title="No findings.">They are looked for in the request log. In a test:
      <code>fake.assert_no_findings()</code>.<//>`}
    ${data?.findings.map((finding, place) => html`<${Finding} key=${place} finding=${finding} />`)}
    ${data && data.total > data.findings.length && html`<p class="muted">And ${data.total - data.findings.length} more.</p>`}
  </section>`;
}

/** @param {{finding: any}} props */
function Finding({ finding }) {
  return html`<article class="card">
    <h2><span aria-hidden="true">⚑</span> ${finding.code}</h2>
    <p><${Text} value=${finding.message} /></p>
    <p class="muted"><${Text} value=${finding.hint} /></p>
    <ul>
      ${finding.requests.map(({ number, text }) => html`<li key=${number}>
        <a class="row-link mono small" href=${link("requests", number)}><${Text} value=${text} /></a>
      </li>`)}
    </ul>
    <p><a href=${finding.page} rel="noreferrer">What it means, and what is right</a></p>
  </article>`;
}
