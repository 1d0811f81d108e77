// The explorer's page, in a notebook and on its own. It says what to do, and shows what the session says.
const PIECE_BYTES = 384 * 1024;
const BODY = `
<div class="dx" data-state="loading">
<header>
  <div class="names"><h1>Explorer</h1><p class="faint" data-network>Diamond Cutter</p></div>
  <p class="status" aria-hidden="true"><i></i><span data-status>Connecting</span></p>
  <div class="wait" aria-hidden="true"><i></i></div>
</header>
<p class="trouble large" data-trouble="broken" role="alert" hidden></p>
<div class="board">
  <form class="side" autocomplete="off">
    <fieldset class="choose" data-drop>
      <legend>Picture</legend>
      <figure><div class="seen"><img data-photo alt="" hidden><span class="faint" data-nothing>Drop a picture here</span></div>
        <figcaption class="faint" data-name></figcaption></figure>
      <input type="file" id="file" accept="image/*" class="said" tabindex="-1" aria-hidden="true">
      <button type="button" class="main" data-choose>Choose a picture</button>
      <p class="faint small">or drop it, or paste it here</p>
      <div class="line"><label class="said" for="address">Address of a picture</label>
        <input type="text" inputmode="url" id="address" placeholder="https://\u2026" spellcheck="false">
        <button type="button" data-get>Get</button></div>
      <ul class="examples" aria-label="Examples"></ul>
      <p class="trouble" data-trouble="picture" role="alert" hidden></p>
    </fieldset>
    <fieldset>
      <legend>Layer</legend>
      <label class="said" for="layer">Layer</label><select id="layer" disabled></select>
      <p class="faint small" data-cells></p>
      <p class="trouble" data-trouble="layer" role="alert" hidden></p>
    </fieldset>
    <fieldset data-classes>
      <legend>Class</legend>
      <ul class="answers" aria-label="What the network says is in the picture"></ul>
      <div class="line"><label for="positive">Another</label>
        <input type="text" id="positive" list="names" placeholder="Search a class" spellcheck="false" disabled></div>
      <div class="line"><label for="negative">Against</label>
        <input type="text" id="negative" list="against" placeholder="No other class" spellcheck="false" disabled></div>
      <datalist id="names"></datalist><datalist id="against"></datalist>
      <button type="button" class="plain" data-noclass aria-pressed="false">No class: what is active</button>
      <p class="trouble" data-trouble="class" role="alert" hidden></p>
    </fieldset>
  </form>
  <div class="shown">
    <section data-panel="map" aria-labelledby="map-title">
      <h2 id="map-title">What the layer sees, place by place <span class="faint" data-about></span></h2>
      <p class="trouble" data-trouble="map" hidden></p><div class="body"><div class="blank map"></div></div>
    </section>
    <section data-panel="channels" aria-labelledby="channels-title">
      <h2 id="channels-title">Top channels <span class="faint" data-about></span></h2>
      <p class="trouble" data-trouble="channels" hidden></p>
      <div class="body"><div class="blank row"></div></div>
      <p class="small faint sprite-line"><label><input type="checkbox" data-render checked> Render sprites that no store has</label>
        <span data-rendering></span></p>
    </section>
    <section data-panel="occlusion" aria-labelledby="occlusion-title">
      <h2 id="occlusion-title">What is lost where it is covered <span class="faint" data-about></span></h2>
      <p class="trouble" data-trouble="occlusion" hidden></p><div class="body"><div class="blank row"></div></div>
    </section>
    <details><summary>The same in Python</summary><pre data-python></pre></details>
  </div>
</div>
<div class="said" role="status" aria-live="polite" data-said></div>
</div>`;

const number = (value) => (value === 0 ? "0" : Math.abs(value) >= 1e4 || Math.abs(value) < 1e-3 ? value.toExponential(1)
  : String(Number(value.toPrecision(3)))).replace("-", "\u2212");
const signed = (value) => (value > 0 ? "+" : "") + number(value);
const percent = (p) => p > 0 && p < .001 ? "<0.1 %" : (100 * p).toFixed(1) + " %";

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function render({ model, el }) {
  const alone = Boolean(model.get("alone")), shadow = el.attachShadow ? el.shadowRoot || el.attachShadow({ mode: "open" }) : el;
  shadow.replaceChildren(element("style", {}, model.get("look") || ""));
  shadow.append(document.createRange().createContextualFragment(BODY));
  const root = shadow.querySelector(".dx"), find = (selector, within = root) => within.querySelector(selector);
  const all = (selector, within = root) => Array.from(within.querySelectorAll(selector));
  const send = (message) => model.send(message);
  const panel = (name) => find(`[data-panel="${name}"]`);
  root.classList.toggle("alone", alone);

  // ---- what is known
  let question = null, predictions = [], classes = [], photo = "", cells = {}, uploads = 0;

  // ---- saying
  let heard = 0;
  function say(words) {
    clearTimeout(heard);
    heard = setTimeout(() => { find("[data-said]").textContent = words; }, 250);
  }
  function status(words, busy) {
    find("[data-status]").textContent = words;
    root.dataset.state = busy ? "busy" : "ready";
    all("[data-panel]").forEach((each) => each.toggleAttribute("aria-busy", busy && each.hasAttribute("data-old")));
  }
  function trouble(name, words) {
    const place = find(`[data-trouble="${name}"]`);
    if (!place) return;
    place.textContent = words || "";
    place.hidden = !words;
    const of = place.closest("[data-panel]");
    if (of && words) { find(".body", of).replaceChildren(); of.removeAttribute("data-old"); find("[data-about]", of).textContent = ""; }
  }

  // ---- choosing a picture
  function base64(bytes) {
    let text = "";
    for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
    return btoa(text);
  }
  async function upload(file) {
    trouble("picture");
    const id = `${Date.now()}-${++uploads}`, mine = uploads, of = Math.max(1, Math.ceil(file.size / PIECE_BYTES));
    status(`Sending ${file.name || "picture"}`, true);
    for (let at = 0; at < of && mine === uploads; at++) {
      const bytes = new Uint8Array(await file.slice(at * PIECE_BYTES, (at + 1) * PIECE_BYTES).arrayBuffer());
      send({ do: "picture", name: file.name || "pasted picture", upload: id, at, of, content: base64(bytes) });
    }
  }
  function address(text) {
    trouble("picture");
    uploads++;
    send({ do: "address", address: text });
  }
  const files = find("#file"), drop = find("[data-drop]"), line = find("#address");
  find("[data-choose]").addEventListener("click", () => files.click());
  files.addEventListener("change", () => { if (files.files[0]) upload(files.files[0]); files.value = ""; });
  find("[data-get]").addEventListener("click", () => address(line.value));
  line.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); address(line.value); } });
  find("form").addEventListener("submit", (event) => event.preventDefault());
  const target = alone ? document : drop;
  const over = (event) => { event.preventDefault(); drop.classList.add("over"); };
  const out = (event) => { if (!event.relatedTarget) drop.classList.remove("over"); };
  function dropped(event) {
    event.preventDefault();
    drop.classList.remove("over");
    const file = event.dataTransfer.files[0], link = event.dataTransfer.getData("text/uri-list").split("\n")[0].trim();
    if (file) upload(file); else if (link) address(link);
  }
  function pasted(event) {
    const file = Array.from(event.clipboardData.files)[0], text = event.clipboardData.getData("text/plain").trim();
    const typing = event.composedPath()[0];
    if (file) { event.preventDefault(); upload(file); }
    else if (/^https?:\/\/\S+$/.test(text) && typing.tagName !== "INPUT") { event.preventDefault(); line.value = text; address(text); }
  }
  const listeners = [["dragover", over], ["dragleave", out], ["drop", dropped], ["paste", pasted]];
  listeners.forEach(([kind, does]) => target.addEventListener(kind, does));
  drop.addEventListener("dragleave", (event) => { if (!drop.contains(event.relatedTarget)) drop.classList.remove("over"); });

  // ---- choosing layer and class
  find("#layer").addEventListener("change", (event) => { trouble("layer"); send({ do: "ask", layer: event.target.value }); });
  function typed(input, name) {
    const text = input.value.trim(), found = text.match(/\((\d+)\)$/);
    trouble("class");
    if (!text && name === "positive") return;
    const known = found && classes[Number(found[1])] === text.slice(0, found.index).trim();
    const wanted = !text ? null : text === "all other classes" ? "others" : known ? Number(found[1]) : text;
    send({ do: "ask", [name]: wanted });
  }
  for (const name of ["positive", "negative"]) {
    const input = find("#" + name);
    input.addEventListener("change", () => typed(input, name));
    input.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); input.blur(); input.focus(); } });
  }
  find("[data-noclass]").addEventListener("click", () => { trouble("class"); send({ do: "ask", positive: question && !question.positive ? "top1" : null }); });
  find("[data-render]").addEventListener("change", (event) => send({ do: "sprites", on: event.target.checked }));

  // ---- showing
  function answers() {
    const chosen = question && question.positive ? question.positive.index : null;
    const rows = predictions.some((row) => row.index === chosen) || chosen === null ? predictions
      : [...predictions, { ...question.positive, probability: null }];
    const within = shadow.activeElement && shadow.activeElement.dataset ? shadow.activeElement.dataset.index : undefined;
    find(".answers").replaceChildren(...rows.map((row) => {
      const isChosen = row.index === chosen;
      const bar = element("i", { style: `width:${(100 * (row.probability || 0)).toFixed(1)}%` });
      const button = element("button", { type: "button", "aria-pressed": isChosen, "data-index": row.index }, bar,
        element("span", { class: "label" }, row.label), element("span", {}, row.probability === null ? "chosen" : percent(row.probability)));
      button.addEventListener("click", () => { trouble("class"); send({ do: "ask", positive: row.index }); });
      return element("li", {}, button);
    }));
    if (within !== undefined) { const again = find(`.answers [data-index="${within}"]`); if (again) again.focus(); }
    find("[data-noclass]").setAttribute("aria-pressed", question !== null && question.positive === null);
  }
  function about(name, words) {
    const place = panel(name);
    place.removeAttribute("data-old");
    find("[data-about]", place).textContent = words;
    trouble(name);
    return find(".body", place);
  }
  function inWords() {
    if (!question) return "";
    const { positive, negative } = question;
    return positive === null ? "all classes" : positive.label + (negative ? " against " + negative.label : "");
  }
  // The next map is made ready behind the one that is shown.
  function map(message) {
    const body = about("map", `${message.layer}, ${inWords()}`), old = find("iframe", body);
    const frame = element("iframe", { sandbox: "allow-scripts", title: message.title, class: "next" });
    all("iframe.next", body).forEach((each) => each.remove());
    frame.srcdoc = message.document;
    if (old && !old.classList.contains("next")) frame.style.height = old.style.height; else body.replaceChildren();
    frame.addEventListener("load", () => {
      all("iframe", body).forEach((each) => { if (each !== frame) each.remove(); });
      frame.classList.remove("next");
    });
    body.append(frame);
  }
  function heights(event) {
    const px = event.data && event.data.diamondHeight;
    if (!(px > 0)) return;
    const frame = all("iframe").find((each) => each.contentWindow === event.source);
    if (frame) frame.style.height = Math.min(px, 4000) + "px";
  }
  window.addEventListener("message", heights);

  function card(row, asked) {
    const side = row.score >= 0 ? "for" : "against";
    const picture = row.sprite ? element("img", { src: row.sprite, alt: `what channel ${row.channel} looks for` })
      : element("div", { class: "missing" }, String(row.channel));
    return element("li", { "data-channel": row.channel }, picture,
      element("div", { class: "score" }, element("i", { class: side, style: `width:${(100 * row.share).toFixed(1)}%` }),
        element("span", { class: "faint" }, String(row.channel)), element("span", {}, asked ? signed(row.score) : number(row.score))));
  }
  function channels(message) {
    const asked = question && question.positive !== null;
    const body = about("channels", `${message.layer}, ${message.question}`);
    const list = (rows, label) => element("ul", { class: "sprites", "aria-label": label }, ...rows.map((row) => card(row, asked)));
    const parts = [element("p", { class: "faint small" }, `${message.rows.length} of ${message.of} channels; ${message.measure}.`
      + (asked ? " A plus speaks for the class, a minus against it." : "")), list(message.rows, `channels for ${message.question}`)];
    if (message.opposed.length) parts.push(element("p", { class: "faint small" }, `for ${message.opponent}`),
      list(message.opposed, `channels for ${message.opponent}`));
    body.replaceChildren(...parts);
    find("[data-rendering]").textContent = "";
    say(`Top channels of ${message.layer} for ${message.question}: ` + message.rows.slice(0, 4).map((row) => row.channel).join(", "));
  }
  function sprites(message) {
    for (const [channel, uri] of Object.entries(message.tiles)) {
      for (const item of all(`[data-panel="channels"] [data-channel="${channel}"]`)) {
        const shown = item.firstElementChild;
        if (shown.tagName === "IMG") shown.src = uri;
        else shown.replaceWith(element("img", { src: uri, alt: `what channel ${channel} looks for` }));
      }
    }
    find("[data-rendering]").textContent = message.done === message.of ? `${message.of} rendered` : `${message.done} of ${message.of} rendered`;
  }
  function occlusion(message) {
    const body = about("occlusion", inWords()), before = find("input[type=range]", body), mix = before ? before.value : 85;
    if (!find(".covers", body) || all(".cover", body).length !== message.maps.length) {
      const covers = element("div", { class: "covers", style: `--mix:${mix / 100}` }, ...message.maps.map(() => element("figure", { class: "cover" },
        element("div", { class: "stack" }, element("img", { class: "under", alt: "" }), element("img", { class: "over" })),
        element("figcaption", { class: "faint small" }))));
      const slider = element("input", { type: "range", min: 0, max: 100, value: mix, "aria-label": "from photo to map" });
      slider.addEventListener("input", () => covers.style.setProperty("--mix", slider.value / 100));
      body.replaceChildren(element("div", { class: "beside" }, covers, element("div", { class: "told" },
        element("label", { class: "mix faint small" }, "Photo", slider, "Map"),
        element("p", { class: "key small faint" }, element("b", { class: "for" }), element("span", {}, "+ for the class: covering it lowers the score"),
          element("b", { class: "against" }), element("span", {}, "\u2212 against it: covering it raises the score")),
        element("p", { class: "faint small facts" }),
        element("div", { class: "meter" }, element("progress", { "aria-label": "windows measured so far" }), element("span", { class: "faint small" })))));
    }
    all(".cover", body).forEach((figure, i) => {
      const one = message.maps[i];
      find(".under", figure).src = photo;
      find(".over", figure).src = one.uri;
      find(".over", figure).alt = `heatmap: what ${one.label} loses where the picture is covered`;
      find("figcaption", figure).textContent = `${one.label}: logit ${number(one.logit)}; the map runs from ${signed(one.low)} to ${signed(one.high)}`
        + (message.done ? "" : `, about \u00b1 ${number(one.error)}`);
    });
    const bar = find("progress", body);
    bar.max = message.windows;
    bar.value = message.measured;
    find(".meter", body).hidden = message.done;
    find(".meter span", body).textContent = `${message.measured} of ${message.windows} windows measured; the rest is made up from those around`;
    find(".facts", body).textContent = message.facts;
    if (message.done) say(`Occlusion for ${inWords()} is done`);
  }
  function layers(message) {
    const option = (layer) => element("option", { value: layer.name },
      `${layer.name}: ${layer.channels} channels`);
    cells = Object.fromEntries(message.layers.map((layer) => [layer.name, layer.cells]));
    const landmarks = message.layers.filter((layer) => layer.landmark), groups = [];
    if (landmarks.length) groups.push(element("optgroup", { label: "Landmarks" }, ...landmarks.map(option)));
    groups.push(element("optgroup", { label: "All layers, in network order" }, ...message.layers.map(option)));
    find("#layer").replaceChildren(...groups);
    find("#layer").disabled = false;
    choose(message.layer);
  }
  function choose(layer) {
    const option = all("#layer option").find((each) => each.value === layer);
    if (option) option.selected = true;
    find("[data-cells]").textContent = cells[layer] ? `a grid of ${cells[layer]} cells` : "no height and width";
  }

  const shows = {
    examples: ({ rows }) => find(".examples").replaceChildren(...rows.map((row) => {
      const button = element("button", { type: "button", title: row.shows, "data-example": row.name }, element("img", { src: row.uri, alt: row.shows }));
      button.addEventListener("click", () => { trouble("picture"); uploads++; send({ do: "example", name: row.name }); });
      return element("li", {}, button);
    })),
    network(message) {
      find("[data-network]").textContent = `${message.name}: ${message.facts}`;
      classes = message.classes;
      const names = classes.map((name, index) => element("option", { value: `${name} (${index})` }));
      find("#names").replaceChildren(...names);
      find("#against").replaceChildren(element("option", { value: "all other classes" }), ...names.map((each) => each.cloneNode()));
      all("#positive, #negative").forEach((input) => { input.disabled = !classes.length; });
      find("[data-classes]").hidden = !classes.length;
      layers(message);
    },
    broken({ words }) { trouble("broken", words); status("The network could not be loaded", false); root.dataset.state = "broken"; },
    gone() { status("The connection is gone: is the session still running?", false); root.dataset.state = "gone"; },
    status({ words, busy }) { status(words, Boolean(busy)); },
    picture(message) {
      const shown = find("[data-photo]");
      photo = message.uri;
      shown.src = message.uri;
      shown.alt = message.name;
      shown.hidden = false;
      find("[data-nothing]").hidden = true;
      find("[data-name]").textContent = `${message.name}, as the network sees it: ${message.height} \u00d7 ${message.width} px`;
      trouble("picture");
      predictions = [];
    },
    turn() {
      all("[data-panel]").forEach((each) => {
        const body = find(".body", each);
        each.setAttribute("data-old", "");
        if (!body.firstElementChild) body.append(element("div", { class: "blank " + (each.dataset.panel === "map" ? "map" : "row") }));
      });
      ["picture", "class", "layer", "map", "channels", "occlusion"].forEach((name) => trouble(name));
      find("[data-rendering]").textContent = "";
    },
    predictions({ rows }) {
      predictions = rows;
      answers();
      say("In the picture: " + rows.slice(0, 3).map((row) => `${row.label} ${percent(row.probability)}`).join(", "));
    },
    question(message) {
      question = message;
      choose(message.layer);
      const text = (of) => of ? (of.index === "others" ? "all other classes" : `${of.label} (${of.index})`) : "";
      find("#negative").value = text(message.negative);
      find("#positive").value = "";
      find("#negative").disabled = !message.positive;
      find("[data-python]").textContent = message.python;
      answers();
    },
    rendering({ on }) { find("[data-render]").checked = on; },
    trouble({ panel: name, words }) { trouble(name, words); },
    map, channels, sprites, occlusion,
  };
  function hear(message) { if (Object.hasOwn(shows, message.say)) shows[message.say](message); }
  model.on("msg:custom", hear);
  send({ do: "hello" });
  return () => {
    window.removeEventListener("message", heights);
    listeners.forEach(([kind, does]) => target.removeEventListener(kind, does));
    model.off("msg:custom", hear);
  };
}

export default { render };
