/** Files: what was uploaded, and what the checker says of each row. */

import { addFile, deleteFile } from "./actions.js";
import { ActionButton, Empty, ErrorNote, Fact, Field, Loading, Pager, Table, Text } from "./components.js";
import { count, size, time } from "./format.js";
import { link, replaceRoute } from "./routes.js";
import { ACCOUNT_ROOT, download, useLive } from "./server.js";
import { html, useState } from "./vendored/htm-preact.js";

const UPLOAD = `curl -sS ${ACCOUNT_ROOT.href}v1/files -H 'Authorization: Bearer any' -F purpose=fine-tune -F file=@train.jsonl`;
const COLUMNS = ["File", "Name", { name: "Purpose", kind: "wide" }, "Size", { name: "Rows", kind: "medium" }, "Verdict"];

/** @param {{route: import("./routes.js").Route}} props */
export function Files({ route }) {
  const after = route.query.get("after") ?? "";
  const { data, error } = useLive(`files?${new URLSearchParams({ after })}`);
  return html`<section aria-labelledby="title">
    <h1 id="title">Files</h1>
    <${AddFile} />
    <${ErrorNote} error=${error} />
    ${!data && !error && html`<${Loading} label="files" />`}
    ${data && !data.total && html`<${Empty} title="No file yet." command=${UPLOAD}>Upload one:<//>`}
    ${data && data.total > 0 && html`<${Table} label="Files" columns=${COLUMNS}>
      ${data.files.map((file) => html`<tr key=${file.id}>
        <td><a class="row-link mono" href=${link("files", file.id)}><${Text} value=${file.id} /></a></td>
        <td><${Text} value=${file.filename} /></td>
        <td class="wide">${file.purpose}</td>
        <td class="figures">${size(file.bytes)}</td>
        <td class="medium figures">${count(file.examples)}</td>
        <td><${Verdict} file=${file} /></td>
      </tr>`)}
    <//>`}
    ${data && html`<${Pager} isFirst=${!after} next=${data.next}
      onFirst=${() => replaceRoute(link("files"))} onNext=${() => replaceRoute(link("files", "", { after: data.next }))} />`}
  </section>`;
}

/** Puts a training file into the account, as a test's `add_file` does; there is no request of it. */
function AddFile() {
  const [chosen, choose] = useState(null);
  const [error, setError] = useState(undefined);
  const read = async (event) => {
    const [file] = event.currentTarget.files;
    setError(undefined);
    choose(file ? { name: file.name, content: await file.text() } : null);
  };
  return html`<div class="inline">
    <${Field} label="Put a training file into the account">
      <input type="file" accept=".jsonl" onChange=${(event) => read(event).catch(setError)} />
    <//>
    ${chosen && html`<${ActionButton} action=${addFile(chosen.name, chosen.content)} onDone=${() => choose(null)} />`}
    <${ErrorNote} error=${error} />
  </div>`;
}

/** @param {{file: any}} props */
function Verdict({ file }) {
  if (file.examples == null) return "—";
  return html`<${RowVerdict} faults=${file.problem ? [file.problem] : []} />`;
}

/** What the checker says: by a sign, a word and a colour. @param {{faults: string[]}} props */
function RowVerdict({ faults }) {
  if (!faults.length) return html`<span class="http-good"><span aria-hidden="true">✓</span> sound</span>`;
  return faults.map((fault) => html`<div class="http-bad"><span aria-hidden="true">✕</span> <${Text} value=${fault} /></div>`);
}

/** @param {{id: string}} props */
export function File({ id }) {
  const [from, setFrom] = useState(1);
  const [failure, setFailure] = useState(undefined);
  const { data: file, error } = useLive(`files/${encodeURIComponent(id)}?from=${from}`);
  const save = () => download(`ui/data/files/${encodeURIComponent(id)}/content`, file.filename).catch(setFailure);
  return html`<article aria-labelledby="title">
    <p><a href="#/files">← All files</a></p>
    <h1 id="title" class="mono"><${Text} value=${id} /></h1>
    <${ErrorNote} error=${error ?? failure} />
    ${!file && !error && html`<${Loading} label="the file" />`}
    ${file && html`
      <${FileFacts} file=${file} />
      <div class="actions">
        <button type="button" disabled=${file.is_dropped} onClick=${save}>Download</button>
        <${ActionButton} action=${deleteFile(id)} confirm="Delete the file? A job that still needs it fails."
          onDone=${() => location.assign(link("files"))} />
      </div>
      <${Rows} file=${file} />
      <${Pager} isFirst=${from === 1} next=${file.next} label="Later rows"
        onFirst=${() => setFrom(1)} onNext=${() => setFrom(file.next)} />
    `}
  </article>`;
}

/** @param {{file: any}} props */
function FileFacts({ file }) {
  return html`
    <p class="headline"><${Verdict} file=${file} /></p>
    <dl class="facts">
      <${Fact} term="Name"><${Text} value=${file.filename} /><//>
      <${Fact} term="Purpose">${file.purpose}<//>
      <${Fact} term="Size">${size(file.bytes)}<//>
      <${Fact} term="Created (UTC)">${time(file.created_at)}<//>
      ${file.examples != null && html`
        <${Fact} term="Format">${file.format}<//>
        <${Fact} term="Rows">${count(file.examples)}<//>
        <${Fact} term="Tokens (estimated)">${count(file.tokens)}<//>
        <${Fact} term="Epochs by default">${count(file.epochs)}<//>`}
      ${file.jobs.length > 0 && html`<${Fact} term="Jobs">${file.jobs.map((job) => html`<${JobLink} key=${job} id=${job} />`)}<//>`}
      ${file.job && html`<${Fact} term="Result of"><${JobLink} id=${file.job} /><//>`}
    </dl>
  `;
}

/** @param {{id: string}} props */
function JobLink({ id }) {
  return html`<a class="mono" href=${link("jobs", id)}><${Text} value=${id} /></a>${" "}`;
}

/** @param {{file: any}} props */
function Rows({ file }) {
  if (file.is_dropped) return html`<p class="muted">Its bytes were dropped: only their number is known.</p>`;
  if (!file.rows.length) return null;
  return html`<h2>Rows</h2><${Table} label="Rows" columns=${["Line", { name: "Tokens", kind: "medium" }, "Row", "Verdict"]}>
    ${file.rows.map((row) => html`<tr key=${row.line}>
      <td class="figures">${row.line}</td>
      <td class="medium figures">${count(row.tokens)}</td>
      <td class="mono small row-text"><${Text} value=${row.text} />${row.is_cut && " …"}</td>
      <td class="small"><${RowVerdict} faults=${row.faults} /></td>
    </tr>`)}
  <//>`;
}
