// What the page uses of uPlot, for the type checker; this file is the project's own.

export default class uPlot {
  constructor(options: any, data: any, parent: Element | null);
  cursor: { idx: number | null };
  data: number[][];
  scales: Record<string, { min: number | null; max: number | null }>;
  destroy(): void;
  redraw(): void;
  setData(data: any, resetScales?: boolean): void;
  setSize(size: { width: number; height: number }): void;
}
