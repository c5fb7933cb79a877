/** The clock of the account: virtual time, its pace, and steps forward; it never goes back. */

import { advance, advanceTo, setPace } from "./actions.js";
import { ActionButton, Select } from "./components.js";
import { duration, time } from "./format.js";
import { html, useEffect, useState } from "./vendored/htm-preact.js";

const PACES = [
  ["polls", "polls: as jobs are looked at"],
  ["manual", "manual: by these buttons"],
  ["1", "1 s a second"],
  ["60", "60 s a second"],
  ["3600", "1 h a second"],
  ["instant", "instant"],
];

/**
 * The account's time now: as the server said it last, and as much later as has passed since.
 * @param {{now: number, rate: number} | undefined} clock
 */
export function useNow(clock) {
  const [, tick] = useState(0);
  const [reading, setReading] = useState({ clock, at: performance.now() });
  if (clock && reading.clock !== clock) setReading({ clock, at: performance.now() });
  useEffect(() => {
    if (!clock?.rate) return undefined;
    const timer = setInterval(() => tick((count) => count + 1), 500);
    return () => clearInterval(timer);
  }, [clock?.rate]);
  if (!clock) return 0;
  const since = reading.clock === clock ? reading.at : performance.now();
  return clock.now + clock.rate * ((performance.now() - since) / 1000);
}

/** @param {{overview: any, now: number}} props */
export function ClockBar({ overview, now }) {
  const { clock, account } = overview;
  const { next } = clock;
  const toNext = next && `To next: ${next.status.replaceAll("_", " ")} in ${duration(next.at - now)}`;
  return html`<section class="clock" aria-label="Clock">
    <p class="now"><span class="label">Virtual time</span> <time data-now>${time(now)}</time>
      <span class="muted small"> UTC, +${duration(now - account.born)} since the account began</span></p>
    <div class="actions">
      <${ActionButton} action=${advance("+1 min", 60)} />
      <${ActionButton} action=${advance("+1 h", 3600)} />
      ${next && html`<${ActionButton} action=${advanceTo(toNext, next.status, next.job)} />`}
      ${clock.end !== null && html`<${ActionButton} action=${advance("To the end of all", clock.end - clock.now)} />`}
      <${Pace} pace=${String(clock.pace)} />
    </div>
  </section>`;
}

/** How time passes; another pace is chosen first, and then set. @param {{pace: string}} props */
function Pace({ pace }) {
  const [chosen, choose] = useState(pace);
  useEffect(() => choose(pace), [pace]);
  const options = PACES.some(([name]) => name === pace) ? PACES : [...PACES, [pace, `${pace} s a second`]];
  const value = Number.isNaN(Number(chosen)) ? chosen : Number(chosen);
  return html`
    <${Select} label="Pace" value=${chosen} options=${options} onChange=${choose} />
    ${chosen !== pace && html`<${ActionButton} action=${setPace(value)} />`}
  `;
}
