/** Curves of a training: the mean of each bucket of steps, its range as a band, checkpoints as lines. */

import { html, useEffect, useRef, useState } from "./vendored/htm-preact.js";
import uPlot from "./vendored/uPlot.esm.js";

const HEIGHT = 240;
const COLORS = ["--curve-1", "--curve-2", "--curve-3"];
const SPARSE = 20; // fewer points than these are marked: a line would hide how few they are
const DASHES = [[], [8, 4], [2, 3]];

/** @param {string} name */
function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** @param {string} name */
function words(name) {
  return name.replaceAll("_", " ");
}

/** Whether the page is dark, which a canvas does not learn by itself. */
function useDark() {
  const [query] = useState(() => matchMedia("(prefers-color-scheme: dark)"));
  const [isDark, setDark] = useState(query.matches);
  useEffect(() => {
    const follow = () => setDark(query.matches);
    query.addEventListener("change", follow);
    return () => query.removeEventListener("change", follow);
  }, [query]);
  return isDark;
}

/**
 * @param {string[]} names
 * @param {any} curves
 * @param {number[]} checkpoints
 * @param {number} width
 * @returns {any} uPlot's options
 */
function optionsOf(names, curves, checkpoints, width) {
  const axis = { stroke: color("--text"), grid: { stroke: color("--line"), width: 1 }, ticks: { stroke: color("--line") } };
  const series = names.flatMap((name, place) => {
    const stroke = color(COLORS[place % COLORS.length]);
    const isSparse = curves.series[name].filter(Boolean).length < SPARSE;
    const points = { fill: color("--surface"), show: isSparse };
    const line = { label: words(name), stroke, width: 2, dash: DASHES[place % DASHES.length], spanGaps: true, points };
    const edge = { stroke: "transparent", width: 0, points: { show: false }, spanGaps: true };
    return [line, { ...edge, label: `least ${name}` }, { ...edge, label: `greatest ${name}` }];
  });
  const bands = names.map((_, place) => ({
    series: [3 * place + 3, 3 * place + 2],
    fill: `${color(COLORS[place % COLORS.length])}22`,
  }));
  return {
    width,
    height: HEIGHT,
    scales: { x: { time: false } },
    axes: [axis, { ...axis, size: 60 }],
    series: [{ label: "step" }, ...series],
    bands,
    cursor: { drag: { x: true, y: false } },
    legend: { show: false },
    hooks: { draw: [(plot) => drawCheckpoints(plot, checkpoints)] },
  };
}

/** @param {any} plot @param {number[]} checkpoints */
function drawCheckpoints(plot, checkpoints) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.strokeStyle = color("--accent");
  ctx.fillStyle = color("--accent");
  ctx.setLineDash([3, 3]);
  for (const step of checkpoints) {
    const x = Math.round(plot.valToPos(step, "x", true));
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.fillText("◆", x - 4, bbox.top + 10);
  }
  ctx.restore();
}

/**
 * @param {string[]} names
 * @param {{steps: number[], series: Record<string, Array<[number, number, number] | null>>}} curves
 */
function dataOf(names, curves) {
  const columns = names.flatMap((name) => [2, 0, 1].map((part) => curves.series[name].map((each) => each && each[part])));
  return [curves.steps, ...columns];
}

/**
 * @param {{title: string, names: string[], curves: any, checkpoints: number[]}} props
 */
export function Chart({ title, names, curves, checkpoints }) {
  const box = useRef(null);
  const plot = useRef(null);
  const [readout, setReadout] = useState(null);
  const isDark = useDark();
  const shape = JSON.stringify([names, checkpoints, isDark]);

  useEffect(() => {
    const options = optionsOf(names, curves, checkpoints, box.current.clientWidth);
    options.hooks.setCursor = [(own) => setReadout(own.cursor.idx ?? null)];
    const own = new uPlot(options, dataOf(names, curves), box.current);
    plot.current = own;
    const observer = new ResizeObserver(() => own.setSize({ width: box.current.clientWidth, height: HEIGHT }));
    observer.observe(box.current);
    return () => {
      observer.disconnect();
      own.destroy();
      plot.current = null;
    };
  }, [shape]);

  useEffect(() => {
    const own = plot.current;
    if (!own || own.scales.x.min == null) return; // it has just been made, with these data
    const isZoomed = own.scales.x.min > own.data[0][0] || own.scales.x.max < own.data[0][own.data[0].length - 1];
    own.setData(dataOf(names, curves), !isZoomed);
    if (isZoomed) own.redraw();
  }, [curves]);

  const place = Math.min(readout ?? curves.steps.length - 1, curves.steps.length - 1);
  return html`<figure class="chart">
    <figcaption>
      <strong>${title}</strong>
      <span class="figures"> step ${curves.steps[place].toLocaleString("en")}:</span>
      ${names.map((name, number) => html` <span class=${`curve curve-${(number % COLORS.length) + 1}`}>
        ${words(name)} <span class="figures">${valueAt(curves.series[name], place)}</span></span>`)}
    </figcaption>
    <div ref=${box} role="img" aria-label=${summary(title, names, curves)}></div>
    <p class="small muted">${legend(curves.bucket, checkpoints.length)}</p>
  </figure>`;
}

/** @param {number} bucket how many steps a point stands for @param {number} checkpoints */
function legend(bucket, checkpoints) {
  const parts = ["Drag to zoom, double-click to see all."];
  if (bucket > 1) parts.push(`A point stands for ${bucket.toLocaleString("en")} steps, its band for their range.`);
  if (checkpoints) parts.push("◆ checkpoints.");
  return parts.join(" ");
}

/** The newest value up to a place: validation is not measured at every step. */
function valueAt(series, place) {
  for (let at = place; at >= 0; at -= 1) {
    if (series[at]) return series[at][2].toPrecision(4);
  }
  return "—";
}

function summary(title, names, curves) {
  const last = curves.steps.length - 1;
  const parts = names.map((name) => {
    const series = curves.series[name];
    return `${words(name)} from ${valueAt(series, 0)} to ${valueAt(series, last)}`;
  });
  return `${title} over ${curves.steps[last]} steps: ${parts.join(", ")}`;
}
