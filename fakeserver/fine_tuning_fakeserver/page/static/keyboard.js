/** The keyboard: j and k through the rows, Enter opens, Esc goes back, / searches, a advances, ? helps. */

import { useLayoutEffect } from "./vendored/htm-preact.js";

export const KEYS = [
  ["j, k", "next row, previous row"],
  ["Enter", "open the row"],
  ["Esc", "back to the list; close this help"],
  ["/", "search"],
  ["a", "advance by a virtual minute"],
  ["?", "this help"],
];

const FIELDS = "input, select, textarea";

/** @param {number} by */
function moveFocus(by) {
  const links = [...document.querySelectorAll(".row-link")];
  const at = links.indexOf(/** @type {any} */ (document.activeElement));
  const next = links[at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.min(Math.max(at + by, 0), links.length - 1)];
  if (next instanceof HTMLElement) next.focus();
}

/**
 * @param {{advance: () => void, toggleHelp: () => void, goBack: () => void}} commands
 */
export function useKeyboard({ advance, toggleHelp, goBack }) {
  // before the new panel is painted: a key pressed at the sight of it is for it
  useLayoutEffect(() => {
    /** @param {KeyboardEvent} event */
    function obey(event) {
      const isTyping = event.target instanceof HTMLElement && event.target.matches(FIELDS);
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "Escape") {
        if (isTyping) /** @type {HTMLElement} */ (event.target).blur();
        else goBack();
        return;
      }
      if (isTyping) return;
      const commands = {
        j: () => moveFocus(1),
        k: () => moveFocus(-1),
        a: advance,
        "?": toggleHelp,
        "/": () => /** @type {HTMLElement | null} */ (document.querySelector("[data-search]"))?.focus(),
      };
      const command = commands[event.key];
      if (!command) return;
      event.preventDefault();
      command();
    }
    addEventListener("keydown", obey);
    return () => removeEventListener("keydown", obey);
  }, [advance, toggleHelp, goBack]);
}
