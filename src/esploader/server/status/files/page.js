"use strict";

// All that comes from the server is text, whatever is in it, and is shown by textContent, or as a
// node of text. There is no markup in this file. Ports are known by their TCP ports: two may have the
// same name.

const SILENCE = 15000; // The server says something every 5 s: after three times that it is lost.
const RETRY = 2000; // In milliseconds.
const MAX_LINES = 500; // Of the log.
const MAX_BOARD_SIZE = 128 * 1024; // Of what a board says, in characters.
const AT_THE_END = 24; // How far from its end a log still counts as read to its end, in pixels.

const byId = (id) => document.getElementById(id);
const cards = new Map();
let ports = [];
let canChange = false;
let clockOffset = 0;
let source = null;
let heardAt = 0;
let retryTimer = 0;
let listening = null;
let wish = null;

// Colours and cursor movements of terminals, what else is no text, and what changes its direction.
const ESCAPES = /\u001b(?:\[[0-?]*[ -/]*[@-~]|[@-Z\\-_])/g;
const UNPRINTABLE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

function clean(text) {
  return text.replace(ESCAPES, "").replace(/\r\n?/g, "\n").replace(UNPRINTABLE, "\u00b7");
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit ? value.toFixed(1) : value} ${units[unit]}`;
}

function age(moment) {
  const seconds = Math.max(0, Math.round((Date.now() + clockOffset - Date.parse(moment)) / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

function when(moment) {
  return new Date(moment).toLocaleString();
}

function client(each) {
  return each.who === null ? each.address : `${each.who} (${each.address})`;
}

function usbName(usb) {
  const hex = (id) => (id === null ? "????" : id.toString(16).padStart(4, "0"));
  const words = [`${hex(usb.vid)}:${hex(usb.pid)}`];
  if (usb.description) words.push(usb.description);
  if (usb.serial_number) words.push(`serial ${usb.serial_number}`);
  if (usb.location) words.push(`at ${usb.location}`);
  return words.join(", ");
}

function stateOf(port) {
  if (port.device === null) return "missing";
  return port.holder === null ? "free" : "in use";
}

function plural(count, word) {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

function traffic(of) {
  return `${size(of.to_device_bytes)} to it, ${size(of.to_client_bytes)} from it, ${plural(of.resets, "reset")}`;
}

function factsOf(port) {
  const facts = [];
  if (port.device !== null) facts.push(["Device", port.device]);
  if (port.usb !== null) facts.push(["USB", usbName(port.usb)]);
  if (port.missing !== null) facts.push(["Missing", port.missing, "bad"]);
  facts.push(["URL", port.url]);
  if (port.holder !== null) {
    facts.push(["Has it", client(port.holder)]);
    facts.push(["Since", `${when(port.holder.since)} (${age(port.holder.since)})`]);
    facts.push(["Did", traffic(port.holder)]);
  }
  if (port.waiting.length) facts.push(["Waiting", port.waiting.map(client).join(", ")]);
  if (port.listening.length) facts.push(["Lent by", port.listening.map(client).join(", ")]);
  if (port.watcher_count) facts.push(["Watching", plural(port.watcher_count, "client")]);
  facts.push(["In all", `${plural(port.total.clients, "client")}: ${traffic(port.total)}`]);
  if (port.baudrate !== null) facts.push(["Baud rate", String(port.baudrate)]);
  if (port.last_error !== null) {
    facts.push(["Last error", `${port.last_error.text} (${age(port.last_error.at)} ago)`, "bad"]);
  }
  return facts.map(([label, text, kind]) => [label, clean(text), kind || ""]);
}

function showFacts(list, facts) {
  while (list.children.length > 2 * facts.length) list.lastElementChild.remove();
  facts.forEach(([label, text, kind], index) => {
    if (list.children.length <= 2 * index) {
      list.append(document.createElement("dt"), document.createElement("dd"));
    }
    const value = list.children[2 * index + 1];
    setText(list.children[2 * index], label);
    setText(value, text);
    value.className = kind;
  });
}

function cardOf(number) {
  let card = cards.get(number);
  if (card === undefined) {
    card = byId("port-template").content.firstElementChild.cloneNode(true);
    card.querySelector(".listen").addEventListener("click", () => listenTo(listening === number ? null : number));
    card.querySelector(".release").addEventListener("click", () => ask("release", number));
    card.querySelector(".reset").addEventListener("click", () => ask("reset", number));
    cards.set(number, card);
  }
  return card;
}

function explainButton(button, reason) {
  button.disabled = reason !== "";
  button.title = reason;
}

function showPort(port) {
  const card = cardOf(port.tcp_port);
  const name = clean(port.name);
  const state = stateOf(port);
  const noToken = canChange ? "" : "The server has no token file.";
  card.dataset.state = state;
  setText(card.querySelector(".name"), name);
  setText(card.querySelector(".state"), state);
  showFacts(card.querySelector("dl"), factsOf(port));
  const [listen, release, reset] = card.querySelectorAll("button");
  listen.setAttribute("aria-pressed", String(listening === port.tcp_port));
  listen.setAttribute("aria-label", `Listen to ${name}`);
  release.setAttribute("aria-label", `Release ${name}`);
  reset.setAttribute("aria-label", `Reset ${name}`);
  explainButton(release, noToken || (port.holder === null ? "Nobody has it." : ""));
  explainButton(reset, noToken || (port.can_reset ? "" : "It has no lines to reset it by."));
  return card;
}

function showPorts() {
  const wanted = byId("filter").value.trim().toLowerCase();
  const numbers = new Set(ports.map((port) => port.tcp_port));
  for (const [number, card] of cards) {
    if (!numbers.has(number)) {
      card.remove();
      cards.delete(number);
    }
  }
  let shown = 0;
  ports.forEach((port, index) => {
    const card = showPort(port);
    const list = byId("ports");
    if (list.children[index] !== card) list.insertBefore(card, list.children[index] || null);
    card.hidden = wanted !== "" && !card.textContent.toLowerCase().includes(wanted);
    shown += card.hidden ? 0 : 1;
  });
  const used = ports.filter((port) => port.holder !== null).length;
  setText(byId("count"), `${ports.length}, ${used} in use`);
  byId("none").hidden = shown !== 0;
}

function showState(event) {
  const state = JSON.parse(event.data);
  ports = state.ports;
  canChange = state.can_change;
  clockOffset = Date.parse(state.now) - Date.now();
  setText(byId("host"), `at ${clean(state.host)}`);
  setText(byId("version"), `esploader ${clean(state.esploader)}, running since ${when(state.started)}`);
  document.title = `${ports.filter((port) => port.holder !== null).length}/${ports.length} ports · ${clean(state.host)}`;
  showPorts();
}

function following(element, change) {
  const isAtEnd = element.scrollHeight - element.scrollTop - element.clientHeight < AT_THE_END;
  change();
  if (isAtEnd) element.scrollTop = element.scrollHeight;
}

function lineOf(text, kind, at) {
  const line = document.createElement("li");
  if (at) {
    const time = document.createElement("time");
    time.dateTime = at;
    time.textContent = `${new Date(at).toLocaleTimeString()} `;
    line.append(time);
  }
  line.append(clean(text));
  line.className = kind;
  return line;
}

function showLog(event) {
  const news = JSON.parse(event.data);
  const log = byId("log");
  following(log, () => {
    if (news.lost_lines) log.append(lineOf(`${news.lost_lines} lines are missing`, "lost"));
    for (const line of news.lines) log.append(lineOf(line.text, line.level === "info" ? "" : "warning", line.at));
    while (log.children.length > MAX_LINES) log.firstElementChild.remove();
  });
}

function showSaid(event) {
  const news = JSON.parse(event.data);
  const board = byId("board");
  following(board, () => {
    const lost = news.lost_bytes ? `\n[${news.lost_bytes} bytes are missing]\n` : "";
    board.append(lost + clean(news.text));
    if (board.textContent.length > MAX_BOARD_SIZE) {
      board.textContent = board.textContent.slice(-MAX_BOARD_SIZE / 2);
    }
  });
}

function portAt(number) {
  return ports.find((each) => each.tcp_port === number);
}

function listenTo(number) {
  listening = number;
  byId("board-section").hidden = number === null;
  byId("board").textContent = "";
  if (number !== null) setText(byId("board-title"), `What ${clean(portAt(number).name)} says`);
  showPorts();
  follow();
}

function connectionIs(state, text) {
  const element = byId("connection");
  element.dataset.state = state;
  setText(element, text);
}

function heard(handle) {
  return (event) => {
    heardAt = Date.now();
    connectionIs("live", "live");
    handle(event);
  };
}

function lose() {
  connectionIs("lost", "lost the server; trying again …");
  if (source !== null) source.close();
  source = null;
  clearTimeout(retryTimer);
  retryTimer = setTimeout(follow, RETRY);
}

function follow() {
  clearTimeout(retryTimer);
  if (source !== null) source.close();
  heardAt = Date.now();
  source = new EventSource(listening === null ? "/events" : `/events?tcp_port=${listening}`);
  source.addEventListener("open", () => {
    // It begins with what was said before.
    byId("log").replaceChildren();
    byId("board").textContent = "";
  });
  source.addEventListener("state", heard(showState));
  source.addEventListener("log", heard(showLog));
  source.addEventListener("said", heard(showSaid));
  source.addEventListener("error", lose);
}

function ask(kind, number) {
  const port = portAt(number);
  const name = clean(port.name);
  wish = { kind, number };
  const isRelease = kind === "release";
  const holder = port.holder === null ? "Nobody has it." : `${clean(client(port.holder))} has it.`;
  setText(byId("change-title"), `${isRelease ? "Release" : "Reset"} ${name}`);
  setText(byId("change-text"), isRelease ? `${holder} It loses the port, and what it was doing is incomplete.` : holder);
  setText(byId("change-do"), isRelease ? "Release" : "Reset");
  byId("reason-field").hidden = !isRelease;
  byId("force-field").hidden = isRelease || port.holder === null;
  byId("force").checked = false;
  setText(byId("change-result"), "");
  byId("change").showModal();
}

async function change(event) {
  event.preventDefault();
  const result = byId("change-result");
  const body = { port: wish.number };
  if (wish.kind === "release") body.reason = byId("reason").value;
  else body.force = byId("force").checked;
  byId("change-do").disabled = true;
  setText(result, "");
  try {
    const response = await fetch(`/${wish.kind}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${byId("token").value.trim()}` },
      body: JSON.stringify(body),
    });
    const answer = await response.json();
    if (response.ok) byId("change").close();
    else setText(result, clean(String(answer.error)));
  } catch {
    setText(result, "The server did not answer.");
  } finally {
    byId("change-do").disabled = false;
  }
}

byId("filter").addEventListener("input", showPorts);
byId("board-close").addEventListener("click", () => listenTo(null));
byId("change-form").addEventListener("submit", change);
byId("change-cancel").addEventListener("click", () => byId("change").close());
setInterval(() => {
  if (source !== null && Date.now() - heardAt > SILENCE) lose();
  else if (source !== null) showPorts();
}, 1000);
follow();
