// The layer's page comes alive: find, order, move, open. Without this script it is a grid of links that stands by itself.
(function () {
  "use strict";
  const source = document.getElementById("data");
  if (!source) return;
  document.documentElement.classList.add("js");
  const layer = JSON.parse(source.textContent);
  const by = (id) => document.getElementById(id);
  const list = by("tiles"), panel = by("panel"), search = by("search"), about = document.querySelector(".about");
  const tools = document.querySelector(".tools");
  const items = Array.from(list.children), tiles = items.map((item) => item.firstChild);
  const n = tiles.length;
  // Where the panel is a sheet over the lower part of the screen, the tile it tells of goes to the top.
  const sheet = matchMedia("(max-width: 900px)");
  let order = items.map((_, channel) => channel);
  let seen = order.slice(), open = null, current = 0;

  const figure = (value) => value === null ? "" : Math.abs(value) >= 99.95
    ? Number(value.toPrecision(3)).toLocaleString("en") : value.toPrecision(3);
  const make = (tag, text, name) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (name) made.className = name;
    return made;
  };

  // A sprite is cut out of its atlas page by an offset, here as in the page's own styles.
  function cut(element, map, channel) {
    const row = Math.floor(channel / map.side), column = channel % map.side;
    const page = map.pages.find((p) => row >= p[1] && row < p[1] + p[2] && column >= p[3] && column < p[3] + p[4]);
    const style = element.style;
    style.backgroundImage = "url(" + page[0] + ")";
    style.setProperty("--x", column - page[3]);
    style.setProperty("--y", row - page[1]);
    style.setProperty("--columns", page[4]);
    style.setProperty("--rows", page[2]);
    return element;
  }

  // ---- moving: one tile of the grid takes part in the tab order, and arrows move it
  function point(channel, focus) {
    tiles[current].tabIndex = -1;
    current = channel;
    tiles[current].tabIndex = 0;
    if (focus) tiles[current].focus();
  }

  function columns() {
    return getComputedStyle(list).gridTemplateColumns.split(" ").length;
  }

  function step(by, focus) {
    const at = seen.indexOf(current);
    const next = at < 0 ? 0 : at + by;
    if (!seen.length || next < 0 || next >= seen.length) return;
    point(seen[next], focus);
    if (open !== null) go(seen[next]);
  }

  // ---- opening: the address names the channel, so every channel has a link of its own
  function go(channel) {
    history.replaceState(null, "", "#" + channel);
    read();
    tiles[channel].scrollIntoView({ block: sheet.matches ? "start" : "nearest" });
  }

  function read() {
    const found = /^#(\d+)$/.exec(location.hash);
    const channel = found ? Number(found[1]) : null;
    if (channel !== null && channel < n) show(channel); else hide();
  }

  function show(channel) {
    if (open !== null) tiles[open].removeAttribute("aria-current");
    open = channel;
    tiles[channel].setAttribute("aria-current", "true");
    point(channel, false);
    const alive = layer.alive[channel], value = layer.activation[channel];
    by("panel-title").textContent = "Channel " + channel;
    const portrait = cut(by("portrait"), layer, channel);
    portrait.classList.toggle("dead", !alive);
    portrait.setAttribute("aria-label", "What channel " + channel + " looks for");
    mark(alive ? value : null);
    facts(channel, alive, value);
    more(channel);
    by("code").textContent = "net = dc.load(" + quoted(layer.network) + ")\ndc.spritemap(net, " +
      quoted(layer.layer) + ")[" + channel + "]";
    const at = seen.indexOf(channel);
    by("earlier").disabled = at === 0;
    by("later").disabled = at === seen.length - 1;
    panel.hidden = false;
    about.hidden = true;
    document.title = channel + " – " + layer.title;
  }

  function hide() {
    if (open === null) return;
    const was = open;
    open = null;
    tiles[was].removeAttribute("aria-current");
    panel.hidden = true;
    about.hidden = false;
    document.title = layer.title;
  }

  function close() {
    if (open === null) return;
    // An address without its hash, and no jump to the top of the page.
    history.replaceState(null, "", location.href.split("#")[0]);
    hide();
    point(current, true);
  }

  const quoted = (text) => JSON.stringify(text);

  function mark(value) {
    const bins = document.querySelector(".bins"), place = by("marked");
    place.textContent = "";
    if (!bins || value === null) return;
    const copy = bins.cloneNode(true), bars = copy.querySelectorAll("rect");
    const share = layer.most > layer.least ? (value - layer.least) / (layer.most - layer.least) : 0;
    const bar = bars[Math.max(0, Math.min(bars.length - 1, Math.floor(share * bars.length)))];
    const column = bar.cloneNode();
    bar.classList.add("on");
    // A bar of one channel among thousands is a hair: its whole column is tinted.
    column.setAttribute("y", 0);
    column.setAttribute("height", 40);
    column.classList.add("column");
    copy.prepend(column);
    copy.setAttribute("aria-hidden", "true");
    place.append(copy);
  }

  function facts(channel, alive, value) {
    const rows = [];
    if (alive) {
      const others = layer.activation.filter((_, c) => layer.alive[c]);
      const rank = 1 + others.filter((other) => other > value).length;
      rows.push(["Activation", figure(value)], ["Rank in the layer", rank + " of " + others.length]);
      if (layer.robust) rows.push(["When moved a little", figure(layer.robust[channel])]);
      if (layer.photo_best && layer.photo_best[channel] !== null) {
        rows.push(["Best photo", figure(layer.photo_best[channel])]);
        const reached = (layer.robust || layer.activation)[channel];
        if (reached !== null && layer.photo_best[channel] > 0) {
          rows.push(["Of the best photo", Math.round(100 * reached / layer.photo_best[channel]) + " %"]);
        }
      }
    } else {
      rows.push(["State", "dead: nothing made it fire"]);
    }
    const tries = layer.attempts[channel];
    const rung = layer.ladder[layer.kept[channel] - 1] || [layer.recipe, layer.seed];
    rows.push(["Attempts", tries > 1 ? tries + ", number " + layer.kept[channel] + " kept" : "1"], ["Recipe", rung[0]], ["Seed", String(rung[1])],
      ["In the grid", "row " + Math.floor(channel / layer.side) + ", column " + channel % layer.side]);
    const quality = by("quality");
    quality.textContent = "";
    for (const [name, told] of rows) quality.append(make("dt", name), make("dd", told));
  }

  function more(channel) {
    const place = by("more");
    place.textContent = "";
    if (layer.others.length) {
      const row = make("div", undefined, "others");
      for (const other of layer.others) {
        const shown = make("figure"), link = make("a"), picture = make("i");
        link.href = other.page + "#" + channel;
        link.setAttribute("aria-label", "channel " + channel + " by the recipe " + other.recipe);
        link.append(cut(picture, other, channel));
        shown.append(link, make("figcaption", other.recipe));
        row.append(shown);
      }
      place.append(make("h3", "By other recipes"), row);
    }
    for (const beside of layer.companions) {
      if (!beside.of[channel]) continue;
      const [first, words] = beside.of[channel], row = make("div", undefined, "others");
      words.forEach((caption, i) => {
        const figure = make("figure"), picture = make("i");
        picture.setAttribute("role", "img");
        picture.setAttribute("aria-label", caption);
        figure.append(cut(picture, beside, first + i), make("figcaption", caption));
        row.append(figure);
      });
      place.append(make("h3", beside.title), row);
    }
    const shown = layer.companions.some((beside) => beside.kind === "exemplars" && beside.of[channel]);
    const photo = !shown && layer.photo && layer.photo[channel];
    if (photo) {
      const best = make("figure", undefined, "photo");
      if (photo[1]) {
        const picture = make("img");
        picture.src = photo[1];
        picture.alt = "the photo that excites channel " + channel + " most";
        best.append(picture);
      }
      best.append(make("figcaption", photo[0]));
      place.append(make("h3", "The photo that excites it most"), best);
    }
  }

  // ---- finding
  function fits(text) {
    if (!text) return () => true;
    if (text === "dead") return (channel) => !layer.alive[channel];
    if (text === "alive") return (channel) => layer.alive[channel];
    const range = /^(\d+)\s*[-–]\s*(\d+)$/.exec(text);
    if (range) return (channel) => channel >= Number(range[1]) && channel <= Number(range[2]);
    const several = text.split(/[\s,;]+/).filter(Boolean);
    if (several.length > 1) return (channel) => several.includes(String(channel));
    return (channel) => String(channel).startsWith(text.replace(/^#/, ""));
  }

  function find() {
    const text = search.value.trim().toLowerCase(), fit = fits(text);
    seen = order.filter(fit);
    const kept = new Set(seen), focused = list.contains(document.activeElement);
    // Taking all out and putting some back is ten times as fast as hiding most of two thousand.
    list.replaceChildren(...seen.map((channel) => items[channel]));
    if (focused && kept.has(current)) tiles[current].focus();
    // The very number comes first: 1 before 10 to 19.
    const exact = seen.indexOf(Number(text));
    if (text && exact >= 0 && String(seen[exact]) === text) point(seen[exact], false);
    else if (seen.length && !kept.has(current)) point(seen[0], false);
    else if (text && seen.length) point(seen[0], false);
    by("none").hidden = seen.length > 0;
    by("count").textContent = text ? seen.length.toLocaleString("en") + " of " + n.toLocaleString("en") : "";
  }

  function sort() {
    const values = layer[by("order").value];
    order = items.map((_, channel) => channel);
    if (values) {
      const rank = (channel) => layer.alive[channel] && values[channel] !== null ? values[channel] : -Infinity;
      order.sort((a, b) => rank(b) - rank(a) || a - b);
    }
    find();
  }

  // ---- wiring
  tools.hidden = false;
  tiles.forEach((tile) => { tile.tabIndex = -1; });
  tiles[0].tabIndex = 0;
  search.addEventListener("input", find);
  by("order").addEventListener("change", sort);
  by("size").addEventListener("input", (event) => list.style.setProperty("--t", event.target.value + "px"));
  by("close").addEventListener("click", close);
  by("earlier").addEventListener("click", () => step(-1, false));
  by("later").addEventListener("click", () => step(1, false));
  list.addEventListener("click", (event) => {
    const tile = event.target.closest("a");
    if (!tile || event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    const channel = Number(tile.id);
    if (open === channel) close(); else go(channel);
  });
  list.addEventListener("focusin", (event) => {
    const tile = event.target.closest("a");
    if (tile && Number(tile.id) !== current) point(Number(tile.id), false);
  });
  window.addEventListener("hashchange", read);
  window.addEventListener("scroll", () => tools.classList.toggle("stuck", tools.getBoundingClientRect().top <= 0), { passive: true });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target === search;
    if (event.key === "/" && !typing) {
      event.preventDefault();
      search.focus();
      search.select();
    } else if (event.key === "Escape") {
      if (typing && search.value) { search.value = ""; find(); }
      else if (open !== null) close();
      else if (typing) point(current, true);
      else if (search.value) { search.value = ""; find(); }
    } else if (event.key === "Enter" && typing) {
      event.preventDefault();
      if (seen.length) { point(seen.includes(current) ? current : seen[0], true); go(current); }
    } else if (event.key === "ArrowDown" && typing) {
      event.preventDefault();
      if (seen.length) point(seen.includes(current) ? current : seen[0], true);
    } else if (!typing && !/^(SELECT|INPUT)$/.test(event.target.tagName)) {
      const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns() };
      if (event.key in moves) { event.preventDefault(); step(moves[event.key], true); }
      else if (event.key === "Home" && seen.length) { event.preventDefault(); point(seen[0], true); if (open !== null) go(seen[0]); }
      else if (event.key === "End" && seen.length) {
        event.preventDefault();
        point(seen[seen.length - 1], true);
        if (open !== null) go(seen[seen.length - 1]);
      }
    }
  });
  read();
  if (open !== null) tiles[open].scrollIntoView({ block: sheet.matches ? "start" : "center" });
})();
