/** The address: which panel is shown, of what, and what is looked for. It can be sent to somebody else. */

import { useEffect, useState } from "./vendored/htm-preact.js";

/** @typedef {{panel: string, id: string, query: URLSearchParams}} Route */

/** @returns {Route} */
function currentRoute() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [panel = "", ...rest] = path.split("/");
  return { panel: panel || "jobs", id: decode(rest.join("/")), query: new URLSearchParams(query) };
}

/** @param {string} text */
function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function useRoute() {
  const [route, setRoute] = useState(currentRoute);
  useEffect(() => {
    const follow = () => setRoute(currentRoute());
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  return route;
}

/**
 * Return the address of a panel, or of one thing in it.
 * @param {string} panel
 * @param {string | number} [id]
 * @param {Record<string, string>} [query] without its empty values
 */
export function link(panel, id = "", query = {}) {
  const given = Object.entries(query).filter(([, value]) => value);
  const suffix = given.length ? `?${new URLSearchParams(given)}` : "";
  return `#/${panel}${id === "" ? "" : `/${encodeURIComponent(id)}`}${suffix}`;
}

/**
 * Go to an address without a new entry in the history, as while somebody types.
 * @param {string} address
 */
export function replaceRoute(address) {
  history.replaceState(null, "", address);
  dispatchEvent(new HashChangeEvent("hashchange"));
}
