// Load the page again every few seconds, as long as somebody looks at it and is not using it.
"use strict";
(() => {
  const main = document.querySelector("main[data-refresh]");
  if (!main) return;
  const isIdle = () => !document.hidden && document.getSelection().isCollapsed &&
    ["BODY", "MAIN"].includes(document.activeElement.tagName);
  const refresh = async () => {
    try {
      const answer = isIdle() ? await fetch(location.href, { redirect: "error" }) : null;
      if (answer?.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const found = page.querySelector("main");
        if (found && isIdle()) {
          document.querySelector("footer").replaceChildren(...page.querySelector("footer").childNodes);
          main.replaceChildren(...found.childNodes);
          main.dataset.refresh = found.dataset.refresh ?? "";
          document.title = page.title;
        }
      }
    } catch { /* it is tried again */ }
    if (main.dataset.refresh) setTimeout(refresh, 1000 * main.dataset.refresh);
  };
  setTimeout(refresh, 1000 * main.dataset.refresh);
})();
