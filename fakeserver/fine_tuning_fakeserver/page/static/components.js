/** The small parts that all panels are made of. Whatever comes from the account is rendered as text. */

import { asCurl, asPython, perform } from "./actions.js";
import { visible } from "./format.js";
import { html, useEffect, useRef, useState } from "./vendored/htm-preact.js";

const STATUS_SIGNS = {
  validating_files: "◌",
  queued: "◔",
  pending: "◔",
  running: "▶",
  paused: "‖",
  succeeded: "✓",
  failed: "✕",
  cancelled: "⊘",
  canceled: "⊘",
};

/** @param {{status: string}} props */
export function StatusChip({ status }) {
  return html`<span class=${`chip status-${status}`}>
    <span aria-hidden="true">${STATUS_SIGNS[status] ?? "•"}</span> ${status.replaceAll("_", " ")}
  </span>`;
}

/**
 * What backs an answer.
 * @param {{evidence?: {kind: string, source: string, date: string}}} props
 */
export function EvidenceBadge({ evidence }) {
  if (!evidence) return null;
  const { kind, source, date } = evidence;
  const title = `${kind}: ${[source, date].filter(Boolean).join(", ")}`;
  return html`<span class=${`badge evidence-${kind}`} title=${title}>${kind}</span>`;
}

/** @param {{value: unknown}} props */
export function Text({ value }) {
  return visible(value);
}

/**
 * A button that copies a text, and says so.
 * @param {{label: string, text: () => string | Promise<string>, title?: string}} props
 */
export function CopyButton({ label, text, title }) {
  const [note, setNote] = useState("");
  useEffect(() => {
    if (!note) return undefined;
    const timer = setTimeout(() => setNote(""), 2000);
    return () => clearTimeout(timer);
  }, [note]);
  async function copy() {
    try {
      await copyText(await text());
      setNote("copied");
    } catch (error) {
      setNote(error.message);
    }
  }
  return html`<button type="button" class="quiet" title=${title} onClick=${copy}>
    ${label}<span class="note" role="status">${note && ` ${note}`}</span>
  </button>`;
}

/** @param {string} text */
async function copyText(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  // other machines' pages are no secure context, and have no clipboard
  const area = Object.assign(document.createElement("textarea"), { value: text });
  document.body.append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  if (!isCopied) throw new Error("the browser does not let this page copy");
}

/**
 * A button that carries out an action; beside it, the action as curl and as Python.
 * @param {{action: import("./actions.js").Action, isDisabled?: boolean, confirm?: string, run?: () => Promise<unknown>,
 *   onDone?: (response: any) => void, kind?: string}} props
 */
export function ActionButton({ action, isDisabled, confirm, run, onDone, kind = "" }) {
  const [error, setError] = useState("");
  const [isBusy, setBusy] = useState(false);
  async function act() {
    if (confirm && !window.confirm(confirm)) return;
    setBusy(true);
    setError("");
    try {
      const response = await (run ? run() : perform(action));
      onDone?.(response);
    } catch (refusal) {
      setError(refusal.message);
    }
    setBusy(false);
  }
  return html`<span class="action">
    <span class="joined">
      <button type="button" class=${kind} disabled=${isDisabled || isBusy} onClick=${act}>${action.label}</button>
      <${CopyMenu} action=${action} />
    </span>
    ${error && html`<span class="error" role="alert"><${Text} value=${error} /></span>`}
  </span>`;
}

/** @param {{action: import("./actions.js").Action}} props */
function CopyMenu({ action }) {
  const menu = useRef(null);
  const close = (event) => {
    if (!menu.current.contains(event.relatedTarget)) menu.current.open = false;
  };
  return html`<details class="menu" ref=${menu} onFocusOut=${close}>
    <summary aria-label=${`Copy “${action.label}” as code`} title="Copy as code">
      <span class="mono" aria-hidden="true">${"</>"}</span>
    </summary>
    <div class="menu-items">
      <${CopyButton} label="Copy as curl" text=${() => asCurl(action)} />
      <${CopyButton} label="Copy as Python" text=${() => asPython(action)} />
    </div>
  </details>`;
}

/** @param {{value: number, most: number, label: string}} props */
export function Progress({ value, most, label }) {
  return html`<span class="progress">
    <progress value=${value} max=${most} aria-label=${label}></progress>
    <span class="figures">${value.toLocaleString("en")} / ${most.toLocaleString("en")}</span>
  </span>`;
}

/** What to do where there is nothing yet. @param {{title: string, command?: string, children?: unknown}} props */
export function Empty({ title, command, children }) {
  return html`<div class="empty">
    <p><strong>${title}</strong></p>
    ${children && html`<p>${children}</p>`}
    ${command && html`<pre tabindex="0">${command}</pre><${CopyButton} label="Copy" text=${() => command} />`}
  </div>`;
}

/** @param {{error?: Error}} props */
export function ErrorNote({ error }) {
  return error ? html`<p class="error" role="alert"><${Text} value=${error.message} /></p>` : null;
}

/** @param {{label: string, children?: unknown}} props */
export function Loading({ label }) {
  return html`<p class="muted" role="status">Loading ${label}…</p>`;
}

/**
 * A table that scrolls sideways where the window is narrow.
 * @param {{label: string, columns: Array<string | {name: string, kind: string}>, children?: unknown}} props
 */
export function Table({ label, columns, children }) {
  return html`<div class="table" role="group" aria-label=${label} tabindex="0">
    <table>
      <thead>
        <tr>
          ${columns.map((column) => {
            const { name, kind } = typeof column === "string" ? { name: column, kind: "" } : column;
            return html`<th scope="col" class=${kind}>${name}</th>`;
          })}
        </tr>
      </thead>
      <tbody>${children}</tbody>
    </table>
  </div>`;
}

/** @param {{term: unknown, children?: unknown}} props */
export function Fact({ term, children }) {
  return html`<div class="fact"><dt>${term}</dt><dd>${children}</dd></div>`;
}

/** A form's field with its label. @param {{label: string, children?: unknown}} props */
export function Field({ label, children }) {
  return html`<label class="field"><span>${label}</span>${children}</label>`;
}

/**
 * @param {{label: string, value: string, options: Array<string | [string, string]>,
 *   onChange: (value: string) => void}} props
 */
export function Select({ label, value, options, onChange }) {
  return html`<${Field} label=${label}>
    <select value=${value} onChange=${(event) => onChange(event.currentTarget.value)}>
      ${options.map((option) => {
        const [name, words] = typeof option === "string" ? [option, option] : option;
        return html`<option value=${name} selected=${name === value}>${words}</option>`;
      })}
    </select>
  <//>`;
}

/** @param {{label: string, value: string, onInput: (value: string) => void, type?: string, placeholder?: string}} props */
export function Input({ label, value, onInput, type = "text", placeholder = "" }) {
  return html`<${Field} label=${label}>
    <input type=${type} value=${value} placeholder=${placeholder} onInput=${(event) => onInput(event.currentTarget.value)} />
  <//>`;
}

/** The field that "/" leads to. @param {{value: string, onInput: (value: string) => void, label: string}} props */
export function Search({ value, onInput, label }) {
  const timer = useRef(0);
  const [typed, setTyped] = useState(value);
  const sent = useRef(value);
  useEffect(() => {
    if (value === sent.current) return; // it comes back while somebody types on
    sent.current = value;
    setTyped(value);
  }, [value]);
  function note(text) {
    setTyped(text);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      sent.current = text;
      onInput(text);
    }, 200);
  }
  return html`<label class="field search"><span>${label}</span>
    <input type="search" data-search value=${typed} placeholder="press / to search"
      onInput=${(event) => note(event.currentTarget.value)} />
  </label>`;
}

/**
 * Newer and older pages of a list.
 * @param {{isFirst: boolean, next: unknown, onFirst: () => void, onNext: () => void, label?: string}} props
 */
export function Pager({ isFirst, next, onFirst, onNext, label = "Older" }) {
  if (isFirst && next == null) return null;
  return html`<p class="pager">
    <button type="button" disabled=${isFirst} onClick=${onFirst}>Newest</button>
    <button type="button" disabled=${next == null} onClick=${onNext}>${label}</button>
  </p>`;
}
