// What tells more under the pointer tells it to the keyboard too: a list marked data-walk is one stop of the Tab key, the arrow
// keys walk in it, and the words of its items stand below them until Escape. A box that scrolls can be reached and scrolled.
(function () {
  "use strict";
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  tip.setAttribute("aria-hidden", "true");
  document.body.append(tip);
  const middle = (item) => { const box = item.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; };
  function tell(item) {
    const box = item.getBoundingClientRect(), said = item.querySelector(":scope > title");
    tip.textContent = item.getAttribute("title") || (said ? said.textContent : "");
    tip.hidden = !tip.textContent;
    const high = tip.offsetHeight + 6;
    tip.style.top = (box.bottom + high < innerHeight ? box.bottom + 6 : Math.max(0, box.top - high)) + "px";
    tip.style.left = Math.max(4, Math.min(box.left, innerWidth - tip.offsetWidth - 4)) + "px";
  }
  for (const list of document.querySelectorAll("[data-walk]")) {
    const items = Array.from(list.querySelectorAll(list.dataset.walk || "[title], :has(> title)")).filter((item) => !item.parentElement.closest("[data-walk] [title]"));
    items.forEach((item, i) => {
      item.setAttribute("tabindex", i ? -1 : 0);
      if (item instanceof SVGElement && !item.hasAttribute("role")) item.setAttribute("role", "img");
    });
    // A browser makes an svg that listens for focus a stop of its own.
    const host = list instanceof SVGElement ? list.parentElement : list;
    host.addEventListener("focusin", (event) => {
      if (!items.includes(event.target)) return;
      items.forEach((item) => item.setAttribute("tabindex", item === event.target ? 0 : -1));
      if (event.target.matches(":focus-visible")) tell(event.target);
    });
    host.addEventListener("focusout", () => { tip.hidden = true; });
    host.addEventListener("keydown", (event) => {
      const seen = items.filter((item) => item.getClientRects().length), here = event.target;
      if (event.key === "Escape") tip.hidden = true;
      const ends = { Home: seen[0], End: seen[seen.length - 1] };
      const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
      if (!items.includes(here) || !(way || event.key in ends)) return;
      event.preventDefault();
      let next = ends[event.key], least = Infinity;
      const [x, y] = middle(here);
      if (way) for (const item of seen) {
        const [u, v] = middle(item), along = (u - x) * way[0] + (v - y) * way[1], across = Math.abs((u - x) * way[1]) + Math.abs((v - y) * way[0]);
        if (along > 1 && along + 3 * across < least) { least = along + 3 * across; next = item; }
      }
      // At the end of a row a list goes on at the next one.
      if (!next && way[0] && !(list instanceof SVGElement)) next = seen[seen.indexOf(here) + way[0]];
      if (next) next.focus();
    });
  }
  const scrolling = () => document.querySelectorAll(".wide").forEach((box) => {
    if (box.scrollWidth <= box.clientWidth) { if (box.dataset.scrolls) box.removeAttribute("tabindex"); return; }
    box.dataset.scrolls = "";
    box.tabIndex = 0;
    box.setAttribute("role", "region");
    if (!box.hasAttribute("aria-label")) box.setAttribute("aria-label", (box.querySelector("caption, h2") || { textContent: "table" }).textContent.trim());
  });
  scrolling();
  addEventListener("resize", scrolling);
  addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
})();
