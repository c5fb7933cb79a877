/** The events of a job, newest first. */

import { EvidenceBadge, ErrorNote, Loading, Pager, Select, Table, Text } from "./components.js";
import { count, time } from "./format.js";
import { useLive } from "./server.js";
import { html, useState } from "./vendored/htm-preact.js";

const SIGNS = { info: "", warn: "▲ ", error: "✕ " };
const COLUMNS = [{ name: "Time (UTC)", kind: "medium" }, "Level", "Message", "Evidence"];
const KINDS = [
  ["all", "all"],
  ["messages", "without training steps"],
  ["problems", "warnings and errors"],
];

/** @param {{id: string}} props */
export function Events({ id }) {
  const [kind, setKind] = useState("all");
  const [before, setBefore] = useState("");
  const query = new URLSearchParams({ kind, before, limit: "20" });
  const { data, error } = useLive(`jobs/${encodeURIComponent(id)}/events?${query}`);
  const choose = (value) => {
    setKind(value);
    setBefore("");
  };
  return html`<section aria-labelledby="events">
    <h2 id="events">Events ${data && html`<span class="muted">(${count(data.total)})</span>`}</h2>
    <${Select} label="Level" value=${kind} options=${KINDS} onChange=${choose} />
    <${ErrorNote} error=${error} />
    ${!data && !error && html`<${Loading} label="events" />`}
    ${data && html`<${Table} label="Events" columns=${COLUMNS}>
      ${data.events.map((each) => html`<tr key=${each.ordinal} class=${`level-${each.event.level}`}>
        <td class="medium figures">${time(each.at)}</td>
        <td><span aria-hidden="true">${SIGNS[each.event.level] ?? ""}</span>${each.event.level}</td>
        <td><${Text} value=${each.event.message} /></td>
        <td><${EvidenceBadge} evidence=${each.evidence} /></td>
      </tr>`)}
    <//>`}
    ${data && html`<${Pager} isFirst=${before === ""} next=${data.next}
      onFirst=${() => setBefore("")} onNext=${() => setBefore(String(data.next))} />`}
  </section>`;
}
