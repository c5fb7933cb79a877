/** Values as text: for people, for a shell, for Python. */

const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
const QUOTED_HIDDEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/**
 * Return text with what a terminal would obey, or a reader would not see, written as an escape.
 * @param {unknown} value
 */
export function visible(value) {
  return String(value ?? "").replace(HIDDEN, escapeCharacter);
}

/** @param {string} character */
function escapeCharacter(character) {
  const code = character.charCodeAt(0);
  return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
}

/**
 * Return a virtual time in UTC.
 * @param {number | null | undefined} seconds Unix seconds
 */
export function time(seconds) {
  if (seconds == null) return "—";
  const date = new Date(Math.floor(seconds) * 1000);
  return Number.isNaN(date.getTime()) ? `${seconds} s` : date.toISOString().slice(0, 19).replace("T", " ");
}

/**
 * Return a length of time in at most two units.
 * @param {number | null | undefined} seconds
 */
export function duration(seconds) {
  if (seconds == null) return "—";
  const total = Math.max(0, seconds);
  if (total < 60) return `${Math.round(total * 10) / 10} s`;
  const whole = Math.round(total);
  const [days, hours, minutes] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60];
  if (days) return `${days.toLocaleString("en")} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return `${minutes} min ${whole % 60} s`;
}

/** @param {number | null | undefined} value */
export function count(value) {
  return value == null ? "—" : value.toLocaleString("en");
}

/** @param {number | null | undefined} bytes */
export function size(bytes) {
  if (bytes == null) return "—";
  const units = ["B", "kB", "MB", "GB"];
  let value = bytes;
  while (value >= 1000 && units.length > 1) {
    value /= 1000;
    units.shift();
  }
  return `${units[0] === "B" ? value : value.toFixed(1)} ${units[0]}`;
}

/** @param {unknown} value */
export function json(value) {
  return visible(JSON.stringify(value, null, 2));
}

/**
 * Return text as JSON with indentation where it is JSON, and else as it is.
 * @param {string} text
 */
export function pretty(text) {
  try {
    return json(JSON.parse(text));
  } catch {
    return visible(text);
  }
}

/**
 * Quote text for a POSIX shell; what a terminal would obey is escaped, as bash and zsh read it.
 * @param {string} text
 */
export function shellQuote(text) {
  if (text.search(QUOTED_HIDDEN) < 0) return `'${text.replaceAll("'", "'\\''")}'`;
  const escaped = text.replaceAll("\\", "\\\\").replaceAll("'", "\\'").replace(QUOTED_HIDDEN, escapeCharacter);
  return `$'${escaped}'`;
}

/**
 * Write a JSON value as Python does.
 * @param {any} value
 * @returns {string}
 */
export function python(value) {
  if (value === null || value === undefined) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (typeof value === "number") return String(value);
  if (typeof value === "string") return JSON.stringify(value).replace(QUOTED_HIDDEN, escapeCharacter);
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  return `{${Object.entries(value).map(([name, each]) => `${python(name)}: ${python(each)}`).join(", ")}}`;
}

/** @param {Record<string, unknown>} values */
export function keywords(values) {
  return Object.entries(values)
    .map(([name, value]) => `${name}=${python(value)}`)
    .join(", ");
}
