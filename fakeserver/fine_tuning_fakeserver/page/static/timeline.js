/** The course of a job: its phases in time, and what is still ahead. */

import { EvidenceBadge, StatusChip } from "./components.js";
import { count, duration, time } from "./format.js";
import { html } from "./vendored/htm-preact.js";

const LAST = 6; // how wide a phase without an end is, in percent of all

/** @param {{job: any, now: number}} props */
export function Timeline({ job, now }) {
  const { phases } = job;
  const end = phases[phases.length - 1].from;
  const total = Math.max(end - job.created_at, 1);
  return html`
    <div class="timeline" role="img" aria-label=${describe(phases)}>
      ${phases.map((phase) => {
        const share = phase.to === null ? LAST : Math.max(((phase.to - phase.from) / total) * 100, 2);
        const kind = phase.from > now ? "ahead" : phase.to !== null && phase.to <= now ? "past" : "current";
        return html`<span class=${`phase status-${phase.status} ${kind}`} style=${{ flexGrow: share }}></span>`;
      })}
    </div>
    <ol class="phases">
      ${phases.map((phase) => html`<${Phase} phase=${phase} job=${job} now=${now} />`)}
    </ol>
    <${Marks} job=${job} now=${now} />
  `;
}

/** @param {any[]} phases */
function describe(phases) {
  return phases.map((phase) => `${phase.status}${phase.is_ahead ? " (ahead)" : ""}`).join(", then ");
}

/** @param {{phase: any, job: any, now: number}} props */
function Phase({ phase, job, now }) {
  const isAhead = phase.from > now;
  const length = phase.to === null ? "" : ` for ${duration(phase.to - phase.from)}`;
  return html`<li class=${isAhead ? "ahead" : ""}>
    <${StatusChip} status=${phase.status} /> <${EvidenceBadge} evidence=${job.evidence.statuses[phase.status]} />
    <span class="figures"> at +${duration(phase.from - job.created_at)}${length}${whenOf(phase, now)}</span>
    <time class="small muted"> ${time(phase.from)}</time>
  </li>`;
}

/** When a phase begins that is ahead, or ends that is under way. @param {any} phase @param {number} now */
function whenOf(phase, now) {
  if (phase.from > now) return ` — ahead, in ${duration(phase.from - now)}`;
  return phase.to !== null && phase.to > now ? `, ${duration(phase.to - now)} left` : "";
}

/** @param {{job: any, now: number}} props */
function Marks({ job, now }) {
  const runs = job.marks.filter((mark) => mark.kind === "training");
  if (!runs.length) return null;
  return html`<p class="small muted">Training: ${runs.map((run) => describeRun(run, now)).join("; ")}.</p>`;
}

/** @param {any} run @param {number} now */
function describeRun(run, now) {
  const steps = `steps ${count(run.first)} to ${count(run.last)}`;
  const length = `${duration(run.seconds_per_step)} each`;
  if (run.at > now) return `${steps} begin in ${duration(run.at - now)}, ${length}`;
  return run.to > now ? `${steps} end in ${duration(run.to - now)}, ${length}` : `${steps} are done, ${length}`;
}
