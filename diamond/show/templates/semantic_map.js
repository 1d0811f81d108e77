// The map comes alive: cells under the pointer, views over the photo, a channel's places here and elsewhere.
(function () {
  "use strict";
  const root = document.currentScript.closest(".sm");
  const data = JSON.parse(root.querySelector('script[type="application/json"]').textContent);
  const find = (selector) => root.querySelector(selector), all = (selector) => Array.from(root.querySelectorAll(selector));
  const { high, wide, top, names, tiles, sheet } = data;
  const stage = find(".stage"), cursor = find(".cursor"), said = find(".said");
  const cards = all(".card").map((button) => ({ button, tile: button.querySelector(".tile"), bar: button.querySelector("i"),
    lit: button.querySelector("canvas"),
    name: button.querySelector("[data-name]"), score: button.querySelector("[data-score]") }));
  let cell = -1, kept = -1, chosen = -1, spoken = 0;

  // ---- numbers: base64 of typed arrays, shades of 8 bits or two of 4 bits in a byte
  function unpack(packed) {
    const text = atob(packed.data), bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return new { Uint8Array, Uint16Array, Uint32Array, Int16Array, Int32Array, Float32Array }[packed.type](bytes.buffer);
  }
  function shades(packed) {
    const bytes = unpack(packed);
    return packed.bits === 8 ? (i) => bytes[i] / 255 : (i) => (bytes[i >> 1] >> 4 * (i & 1) & 15) / 15;
  }
  const cells = unpack(data.cells), scores = unpack(data.scores), heat = unpack(data.heat), fires = shades(data.fires);
  const elsewhere = shades(data.others.fires), peaks = unpack(data.others.peaks), mostAt = unpack(data.peaks);
  const most = scores.reduce((a, b) => Math.max(a, Math.abs(b)), 1);
  const mostOverall = data.overallScores.reduce((a, b) => Math.max(a, Math.abs(b)), 1e-30);
  const mostHeat = heat.reduce((a, b) => Math.max(a, Math.abs(b)), 1);
  const logits = data.unit === "logits";
  const plain = (value) => value === 0 ? "0" : Math.abs(value) >= 1e4 || Math.abs(value) < 1e-4
    ? value.toExponential(1) : String(Number(value.toPrecision(3)));
  const signed = (value) => (logits && value >= 0 ? "+" : "") + plain(value).replace("-", "\u2212");
  // Rows are counted as the arrays count them; a sound's lowest frequency is row 0, and is drawn at the bottom.
  function where(i) {
    const row = data.flipped ? high - 1 - Math.floor(i / wide) : Math.floor(i / wide), column = i % wide;
    if (!data.edgesHz) return "Row " + row + ", column " + column;
    const [low, above] = [data.edgesHz[row], data.edgesHz[row + 1]], large = above >= 1000;
    const hz = (value) => large ? String(Number((value / 1000).toPrecision(2))) : String(Math.round(value));
    return hz(low) + "\u2013" + hz(above) + (large ? " kHz, " : " Hz, ")
      + data.edgesS[column].toFixed(2) + "\u2013" + data.edgesS[column + 1].toFixed(2) + " s";
  }

  // ---- cards: what the pointed cell, or the whole picture, has most of
  function deal(card, channel, score, full) {
    const place = tiles[channel], share = Math.min(1, Math.abs(score) / full);
    card.channel = channel;
    card.tile.classList.toggle("drawn", place >= 0);
    card.tile.textContent = place >= 0 || data.strongest[channel] > 0 ? "" : names[channel];
    if (place < 0) crop(card.tile, channel);
    else if (card.cropped) card.tile.removeAttribute("style");
    card.cropped = place < 0;
    if (place >= 0) card.tile.style.backgroundPosition = 100 * (place % sheet[0]) / Math.max(sheet[0] - 1, 1) + "% "
      + 100 * Math.floor(place / sheet[0]) / Math.max(sheet[1] - 1, 1) + "%";
    card.name.textContent = names[channel];
    card.score.textContent = signed(score);
    card.bar.style.transform = "scaleX(" + share + ")";
    card.bar.style.background = "rgb(var(" + (score >= 0 ? "--for" : "--against") + "))";
    card.bar.style.opacity = .3 + .7 * share;
    card.button.setAttribute("aria-label", "channel " + names[channel] + ", " + signed(score) + " " + data.unit);
    card.button.setAttribute("aria-pressed", channel === chosen);
  }
  // The small maps take a frame of their own: what lies between two cells is passed over.
  let waiting = 0;
  function dealMaps() {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(() => cards.forEach((card) => {
      if (card.drawn === card.channel) return;
      card.drawn = card.channel;
      light(card.lit, own(card.channel), ...data.grid, 84);
    }));
  }
  // Where there is no sprite, the part of the photo that excites the channel most.
  function crop(tile, channel) {
    const photo = find(".stage .photo"), style = tile.style;
    if (!(data.strongest[channel] > 0)) { style.backgroundImage = "none"; return; }
    const aspect = photo.naturalWidth / photo.naturalHeight || 1, tall = Math.min(1, Math.max(3 / high, .24));
    const broad = Math.min(1, tall / aspect), row = Math.floor(mostAt[channel] / wide), column = mostAt[channel] % wide;
    const slide = (centre, part) => part >= 1 ? 50 : 100 * Math.min(1, Math.max(0, (centre - part / 2) / (1 - part)));
    style.backgroundImage = "url(" + photo.src + ")";
    style.backgroundSize = 100 / broad + "% " + 100 / tall + "%";
    style.backgroundPosition = slide((column + .5) / wide, broad) + "% " + slide((row + .5) / high, tall) + "%";
  }
  const place = find("[data-place]"), about = find("[data-about]"), whole = find("[data-whole]");
  const wholeAbout = about.textContent, wholePlace = place.textContent;
  function show(i) {
    if (i === cell) return;
    cell = i;
    cursor.hidden = i < 0;
    whole.hidden = i < 0;
    if (i < 0) {
      place.textContent = wholePlace;
      about.textContent = wholeAbout;
      cards.forEach((card, k) => deal(card, data.overall[k], data.overallScores[k], mostOverall));
      dealMaps();
      return;
    }
    cursor.style.transform = "translate(" + 100 * (i % wide) + "%," + 100 * Math.floor(i / wide) + "%)";
    place.textContent = where(i);
    about.textContent = reading(i);
    for (let k = 0; k < top; k++) deal(cards[k], cells[i * top + k], scores[i * top + k] * data.scores.step, most * data.scores.step);
    dealMaps();
    clearTimeout(spoken);
    spoken = setTimeout(() => { said.textContent = where(i) + ", " + about.textContent + ": "
      + cards.map((card) => "channel " + names[card.channel] + " " + card.score.textContent).join(", "); }, 400);
  }
  function reading(i) {
    const value = heat[i] * data.heat.step;
    const words = logits ? signed(value) + " logits" + side(value) : "length of its activations " + plain(value);
    return chosen < 0 ? words : words + "; channel " + names[chosen] + " " + (plain(at(chosen, i) * data.reach[chosen]).replace(/^0$/, "not above zero"));
  }
  function side(value) {
    return data.both ? ", for " + (value >= 0 ? data.positive : data.negative) : value < 0 ? ", against" : "";
  }
  function keep(i) {
    kept = i;
    cursor.classList.toggle("kept", i >= 0);
  }

  // ---- pointing: pointer, finger, arrow keys
  function under(event) {
    const box = stage.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / box.width * wide), row = Math.floor((event.clientY - box.top) / box.height * high);
    return Math.min(high - 1, Math.max(0, row)) * wide + Math.min(wide - 1, Math.max(0, column));
  }
  stage.addEventListener("pointermove", (event) => { if (kept < 0 || event.buttons) { show(under(event)); if (event.buttons) keep(cell); } });
  stage.addEventListener("click", (event) => {
    const i = under(event), again = i === kept;
    show(i);
    keep(again ? -1 : i);
  });
  stage.addEventListener("keydown", (event) => {
    const row = Math.floor(Math.max(cell, 0) / wide), column = Math.max(cell, 0) % wide;
    const next = { ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1], ArrowUp: [row - 1, column], ArrowDown: [row + 1, column],
      Home: [row, 0], End: [row, wide - 1], PageUp: [0, column], PageDown: [high - 1, column] }[event.key];
    if (event.key === "Enter" || event.key === " ") keep(kept >= 0 || cell < 0 ? -1 : cell);
    else if (next && cell < 0) { const i = Math.floor(high / 2) * wide + Math.floor(wide / 2); show(i); keep(i); }
    else if (next) { show(Math.min(high - 1, Math.max(0, next[0])) * wide + Math.min(wide - 1, Math.max(0, next[1]))); keep(cell); }
    else return;
    event.preventDefault();
  });
  root.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    if (chosen >= 0) choose(-1); else { keep(-1); show(-1); }
  });
  whole.addEventListener("click", () => { keep(-1); show(-1); stage.focus({ preventScroll: true }); });

  // ---- views over the photo
  const views = all('[name="view"]'), mix = find(".mix input"), channelView = find("[data-channel-view]");
  function look(view) {
    root.dataset.view = view;
    views.forEach((input) => { input.checked = input.value === view; });
    if (view === "sprites") mosaic();
  }
  views.forEach((input) => input.addEventListener("change", () => look(input.value)));
  mix.addEventListener("input", () => root.style.setProperty("--mix", mix.value / 100));

  // Each cell as the sprite of its first channel, drawn as sharp as the screen is.
  let drawnAt = 0, picture = null;
  function mosaic() {
    const drawn = find(".tile.drawn"), canvas = find(".mosaic");
    if (!picture) {
      if (!drawn) return;
      picture = new Image();
      picture.onload = mosaic;
      picture.src = getComputedStyle(drawn).backgroundImage.slice(5, -2);
      return;
    }
    const scale = Math.min(devicePixelRatio || 1, 2), width = Math.round(stage.clientWidth * scale);
    if (!picture.complete || width === drawnAt) return;
    drawnAt = canvas.width = width;
    canvas.height = Math.round(stage.clientHeight * scale);
    const ink = canvas.getContext("2d"), px = sheet[2], edge = px * (1 - data.middle) / 2, gap = width / wide > 24 * scale ? scale : 0;
    ink.imageSmoothingQuality = "high";
    for (let i = 0; i < high * wide; i++) {
      const tile = tiles[cells[i * top]];
      if (tile < 0) continue;
      const x = Math.round(i % wide * width / wide), y = Math.round(Math.floor(i / wide) * canvas.height / high);
      const right = Math.round((i % wide + 1) * width / wide) - gap, bottom = Math.round((Math.floor(i / wide) + 1) * canvas.height / high) - gap;
      ink.globalAlpha = .3 + .7 * Math.sqrt(Math.abs(heat[i]) / mostHeat);
      ink.drawImage(picture, tile % sheet[0] * px + edge, Math.floor(tile / sheet[0]) * px + edge, px - 2 * edge, px - 2 * edge, x, y, right - x, bottom - y);
    }
  }
  if (window.ResizeObserver) new ResizeObserver(() => { if (root.dataset.view === "sprites") mosaic(); }).observe(stage);

  // ---- a channel's places
  function cubic(a, b, c, d, t) {
    return b + t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))) / 2;
  }
  function smooth(values, h, w, times) {
    const lines = new Float32Array(h * w * times), out = new Float32Array(h * w * times * times);
    const at = (k, n) => Math.min(n - 1, Math.max(0, k));
    for (let y = 0; y < h; y++) for (let x = 0; x < w * times; x++) {
      const from = (x + .5) / times - .5, k = Math.floor(from), v = (d) => values[y * w + at(k + d, w)];
      lines[y * w * times + x] = cubic(v(-1), v(0), v(1), v(2), from - k);
    }
    for (let y = 0; y < h * times; y++) {
      const from = (y + .5) / times - .5, k = Math.floor(from);
      for (let x = 0; x < w * times; x++) {
        const v = (d) => lines[at(k + d, h) * w * times + x];
        out[y * w * times + x] = cubic(v(-1), v(0), v(1), v(2), from - k);
      }
    }
    return out;
  }
  function at(channel, i) {
    const [h, w] = data.grid, row = Math.floor(i / wide), column = i % wide;
    return fires(channel * h * w + Math.floor((row + .5) * h / high) * w + Math.floor((column + .5) * w / wide));
  }
  function own(channel) {
    const n = data.grid[0] * data.grid[1], values = new Float32Array(n);
    for (let i = 0; i < n; i++) values[i] = fires(channel * n + i);
    return values;
  }
  function light(canvas, values, h, w, px) {
    const times = Math.max(1, Math.round(px / Math.max(h, w))), lit = times > 1 ? smooth(values, h, w, times) : values;
    canvas.width = w * times;
    canvas.height = h * times;
    const ink = canvas.getContext("2d"), drawn = ink.createImageData(canvas.width, canvas.height);
    const bytes = drawn.data, [red, green, blue] = data.colour;
    for (let i = 0, k = 0; i < lit.length; i++, k += 4) {
      bytes[k] = red;
      bytes[k + 1] = green;
      bytes[k + 2] = blue;
      bytes[k + 3] = 225 * Math.min(1, Math.max(0, lit[i]));
    }
    ink.putImageData(drawn, 0, 0);
  }
  const others = all(".others li"), chosenBox = find(".chosen"), hint = find(".hint");
  function choose(channel) {
    chosen = channel === chosen ? -1 : channel;
    cards.forEach((card) => card.button.setAttribute("aria-pressed", card.channel === chosen));
    chosenBox.hidden = channelView.hidden = chosen < 0;
    hint.hidden = chosen >= 0;
    if (cell >= 0) about.textContent = reading(cell);
    if (chosen < 0) { if (root.dataset.view === "channel") look("heat"); return; }
    const reach = data.reach[chosen], strongest = data.strongest[chosen], count = data.above[chosen];
    light(find(".spot"), own(chosen), ...data.grid, 224);
    const label = "Channel " + names[chosen];
    find("[data-channel]").textContent = channelView.querySelector("span").textContent = label;
    find("[data-fires]").textContent = strongest === 0 ? "never above zero in this picture"
      : "most at " + where(mostAt[chosen]).replace("Row", "row") + " (" + plain(strongest) + "); above half of that in " + count + (count === 1 ? " cell" : " cells");
    find("[data-reach]").textContent = plain(reach) + ", activation of " + label.toLowerCase();
    const grid = data.others.grid, size = grid[0] * grid[1];
    others.forEach((item, k) => {
      const value = peaks[k * names.length + chosen] * data.others.peaks.step, map = new Float32Array(size);
      for (let i = 0; i < size; i++) map[i] = elsewhere((k * names.length + chosen) * size + i);
      light(item.querySelector("canvas"), map, grid[0], grid[1], 112);
      item.querySelector(".level i").style.transform = "scaleX(" + value / reach + ")";
      item.querySelector("[data-peak]").textContent = plain(value);
      item.style.order = -Math.round(1000 * value / reach);
    });
    look("channel");
  }
  cards.forEach((card, k) => { card.channel = data.overall[k]; card.button.addEventListener("click", () => choose(card.channel)); });
  find("[data-close]").addEventListener("click", () => choose(-1));

  cards.forEach((card, k) => deal(card, data.overall[k], data.overallScores[k], mostOverall));
  dealMaps();
  stage.tabIndex = 0;
  stage.setAttribute("role", "application");
  stage.setAttribute("aria-roledescription", "map");
  stage.setAttribute("aria-label", high + " by " + wide + " cells over the picture. Arrow keys move, Enter keeps or lets go, Escape goes back to the whole picture.");
  root.dataset.live = "";
})();
