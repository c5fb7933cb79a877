/** The server: looks at the account, and steers it. Looking moves no time and is in no log. */

import { useEffect, useState } from "./vendored/htm-preact.js";

const PAGE = new URL("./", document.baseURI);
/** The control API of the account that this page shows. */
export const CONTROL = new URL("../", PAGE);
/** Where the account begins: its API is below. */
export const ACCOUNT_ROOT = new URL("../", CONTROL);

const TOKEN_NAME = "fake-fine-tuning control token";
const changes = new EventTarget();

/** The server has refused a request; the message is its own. */
export class Refusal extends Error {
  /**
   * @param {number} status
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.status = status;
  }

  /** Whether a token would help. */
  get needsToken() {
    return this.status === 403 && /token/.test(this.message);
  }
}

/** The name of the account in the address, if it has one. */
export function accountName() {
  const match = /\/accounts\/([^/]+)\/_fake\/ui\/$/.exec(PAGE.pathname);
  return match ? decodeURIComponent(match[1]) : "main";
}

/**
 * Return the address of the page of another account of this server.
 * @param {string} name
 */
export function pageOfAccount(name) {
  const server = PAGE.pathname.replace(/(\/accounts\/[^/]+)?\/_fake\/ui\/$/, "");
  return name === "main" ? `${server}/_fake/ui/` : `${server}/accounts/${encodeURIComponent(name)}/_fake/ui/`;
}

export function controlToken() {
  return sessionStorage.getItem(TOKEN_NAME) ?? "";
}

/** @param {string} token */
export function keepControlToken(token) {
  sessionStorage.setItem(TOKEN_NAME, token);
  announceChange();
}

/** Let everything that is shown be looked at anew. */
export function announceChange() {
  changes.dispatchEvent(new Event("change"));
}

/** @returns {Record<string, string>} */
function authorization() {
  const token = controlToken();
  return token ? { authorization: `Bearer ${token}` } : {};
}

/**
 * Send a request, and raise the server's refusal.
 * @param {URL} url
 * @param {{method?: string, headers?: Record<string, string>, body?: BodyInit, signal?: AbortSignal}} options
 */
async function call(url, options) {
  let response;
  try {
    response = await fetch(url, { ...options, cache: "no-store", headers: { ...options.headers, ...authorization() } });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Refusal(0, "The server does not answer. Is it still running?");
  }
  if (response.ok || response.status === 304) return response;
  const body = await response.json().catch(() => ({}));
  throw new Refusal(response.status, body.fake_error ?? body.error?.message ?? `the server answered ${response.status}`);
}

/**
 * Steer the account by its control API.
 * @param {string} method
 * @param {string} path below the control API
 * @param {unknown} [body] JSON, or a file
 */
export async function steer(method, path, body) {
  const isFile = body instanceof Blob;
  const headers = { "content-type": isFile ? "application/zip" : "application/json" };
  const response = await call(new URL(path, CONTROL), { method, headers, body: isFile ? body : JSON.stringify(body) });
  announceChange();
  return response;
}

/**
 * Look at something once.
 * @param {string} path below the page's views
 */
export async function look(path) {
  return (await call(new URL(`data/${path}`, PAGE), {})).json();
}

/**
 * Save what the server answers as a file.
 * @param {string} path below the control API
 * @param {string} filename
 */
export async function download(path, filename) {
  const response = await call(new URL(path, CONTROL), {});
  const address = URL.createObjectURL(await response.blob());
  const link = Object.assign(document.createElement("a"), { href: address, download: filename });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000); // the browser reads it after this
}

/**
 * Look at something again and again while the page is visible; while nothing has changed the server sends nothing.
 * @param {string | null} path below the page's views; null for nothing
 * @param {number} [everyMs]
 * @returns {{data?: any, error?: Refusal}}
 */
export function useLive(path, everyMs = 1000) {
  const [shown, show] = useState(
    /** @type {{path: string | null, data?: any, error?: Refusal}} */ ({ path: null, data: undefined, error: undefined }),
  );
  useEffect(() => {
    if (path === null) return undefined;
    const url = new URL(`data/${path}`, PAGE);
    const abort = new AbortController();
    let etag = "";
    let timer = 0;
    let turn = 0;

    async function poll() {
      clearTimeout(timer);
      turn += 1;
      const own = turn;
      if (!document.hidden) {
        try {
          const response = await call(url, { signal: abort.signal, headers: etag ? { "if-none-match": etag } : {} });
          const data = response.status === 304 ? undefined : await response.json();
          if (abort.signal.aborted || own !== turn) return;
          etag = response.headers.get("etag") ?? "";
          show((before) => {
            if (data) return { path, data, error: undefined };
            return before.error ? { ...before, error: undefined } : before;
          });
        } catch (error) {
          if (abort.signal.aborted || own !== turn) return;
          etag = "";
          show((before) => ({ path, data: before.path === path ? before.data : undefined, error }));
        }
      }
      timer = setTimeout(poll, everyMs);
    }

    poll();
    document.addEventListener("visibilitychange", poll);
    changes.addEventListener("change", poll);
    return () => {
      abort.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", poll);
      changes.removeEventListener("change", poll);
    };
  }, [path, everyMs]);
  return shown.path === path ? shown : {};
}
