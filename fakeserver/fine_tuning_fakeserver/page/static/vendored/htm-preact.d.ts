// What the page uses of htm's standalone build, for the type checker; this file is the project's own.

export type Child = unknown;
export type Setter<T> = (value: T | ((before: T) => T)) => void;

export function html(strings: TemplateStringsArray, ...values: unknown[]): any;
export function render(tree: Child, parent: Element | null): void;
export function useState(initial: null | undefined): [any, Setter<any>];
export function useState<T>(initial: T | (() => T)): [T, Setter<T>];
export function useEffect(effect: () => void | (() => void), inputs?: readonly unknown[]): void;
export function useLayoutEffect(effect: () => void | (() => void), inputs?: readonly unknown[]): void;
export function useRef(initial: unknown): { current: any };
export function useMemo<T>(make: () => T, inputs: readonly unknown[]): T;
export function useCallback<T extends (...values: any[]) => unknown>(callback: T, inputs: readonly unknown[]): T;
