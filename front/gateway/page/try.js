// A page to try the API: a form for each operation of /openapi.json.
//
// The token is typed once and kept in sessionStorage: gone with the tab, and never in an address.
// Streams and images are read through fetch, which can send it; a WebSocket takes it as a
// subprotocol.

const stored = "tallymill-token";
const most_lines = 500; // of a stream that is shown

const token = () => sessionStorage.getItem(stored) ?? "";
const secured = () => (token() ? { Authorization: `Bearer ${token()}` } : {});

// h("label", { for: "x" }, "text", child, ...)
function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

// ---- an operation's form ----------------------------------------------------------------------

// Its fields, each with what it puts into the request.
function fields_of(operation, kinds) {
  const fields = [];
  const add = (label, help, input, apply, ...below) => {
    const id = `${operation.operationId}-${fields.length}`;
    input.id = id;
    fields.push({
      nodes: [h("label", { for: id }, label, " ", h("small", {}, help)), input, ...below],
      input,
      apply,
    });
  };
  const contents = Object.keys(operation.requestBody?.content ?? {});
  if (contents.includes("multipart/form-data")) add_form(add, kinds);
  else if (contents.includes("application/json")) add_json(add);
  else if (contents.length > 0)
    add("file", "its bytes are the body", h("input", { name: "body", type: "file", required: true }),
      (request, _, input) => {
        const [file] = input.files;
        request.body = file;
        request.headers["Content-Type"] = file.type || "application/octet-stream";
      });
  for (const { name, in: place, description = "", required } of operation.parameters) {
    const input = h("input", { name, required: Boolean(required), autocomplete: "off" });
    add(name, description, input, (request, value) => {
      if (!value) return;
      if (place === "path") request.path = request.path.replace(`{${name}}`, encodeURIComponent(value));
      else if (place === "query") request.query.set(name, value);
      else request.headers[name] = value;
    });
  }
  return fields;
}

function add_json(add) {
  add("body", "JSON", h("textarea", { name: "body" }), (request, value) => {
    request.body = value;
    request.headers["Content-Type"] = "application/json";
  });
}

// A job: its kind, its parameters with their defaults, its files.
function add_form(add, kinds) {
  const params = h("textarea", { name: "params", spellcheck: "false" });
  const help = h("p", { class: "help" });
  const kind = h("select", { name: "kind" },
    ...kinds.map(({ name }) => h("option", { value: name }, name)));
  const fill = () => {
    const chosen = kinds.find(({ name }) => name === kind.value);
    const values = (chosen?.params ?? []).map((param) => [param.name, param.default ?? param.min ?? null]);
    params.value = JSON.stringify(Object.fromEntries(values), null, 1);
    help.textContent = (chosen?.params ?? [])
      .map(({ name, unit, min, max, choices, help: text }) => {
        const range = choices.length > 0 ? choices.join(" or ") : max > min ? `${min} to ${max} ${unit}` : "";
        return `${name}: ${text}${range ? ` (${range.trim()})` : ""}`;
      })
      .join("\n");
  };
  kind.addEventListener("change", fill);
  fill();
  add("kind", "what is to be made", kind, (request, value) => {
    request.body = new FormData();
    request.body.append("kind", value);
  });
  add("params", "a JSON object", params, (request, value) => request.body.append("params", value), help);
  add("files", "the job's inputs", h("input", { name: "files", type: "file", multiple: true }),
    (request, _, input) => {
      for (const file of input.files) request.body.append("file", file);
    });
}

function operation_node(path, method, operation, kinds) {
  const fields = fields_of(operation, kinds);
  const output = h("output");
  const stop = h("button", { type: "button", hidden: true }, "Stop");
  const run = async (event) => {
    event.preventDefault();
    const request = { method: method.toUpperCase(), path, query: new URLSearchParams(), headers: secured() };
    for (const { input, apply } of fields) apply(request, input.value, input);
    const query = request.query.toString();
    request.url = request.path + (query ? `?${query}` : "");
    const aborter = new AbortController();
    stop.hidden = false;
    stop.onclick = () => aborter.abort();
    output.replaceChildren(h("span", { class: "status" }, "…"));
    try {
      if ("101" in operation.responses) await follow_socket(request, output, aborter.signal);
      else await send(request, output, aborter.signal);
    } catch (error) {
      if (!aborter.signal.aborted) show_failure(output, String(error));
    }
    stop.hidden = true;
  };
  return h("details", { id: operation.operationId },
    h("summary", {}, h("b", {}, method.toUpperCase()), h("code", {}, path), h("span", {}, operation.summary)),
    h("form", { onsubmit: run }, ...fields.flatMap(({ nodes }) => nodes), h("button", {}, "Send"), stop, output));
}

// ---- what comes back --------------------------------------------------------------------------

function show_failure(output, text) {
  output.replaceChildren(h("span", { class: "status bad" }, text));
}

async function send({ method, url, headers, body }, output, signal) {
  const began = performance.now();
  const response = await fetch(url, { method, headers, body, signal });
  const type = response.headers.get("Content-Type") ?? "";
  const status = h("span", { class: `status ${response.ok ? "good" : "bad"}` }, `${response.status}`);
  const note = h("span", {}, ` ${method} ${url} · ${Math.round(performance.now() - began)} ms · ${type}`);
  output.replaceChildren(status, note);
  if (response.headers.has("Location")) output.append(h("pre", {}, `Location: ${response.headers.get("Location")}`));
  if (response.status === 401) ask_for_token("This front asks for a token.");
  if (type.startsWith("text/event-stream")) return read_stream(response, output);
  if (type.startsWith("image/")) {
    const address = URL.createObjectURL(await response.blob());
    output.append(h("img", { src: address, alt: `the answer of ${url}`, onload: () => URL.revokeObjectURL(address) }));
  } else {
    const text = await response.text();
    output.append(h("pre", {}, type.includes("json") ? indented(text) : text));
  }
}

// JSON with line breaks, its numbers as they came: those of 64 bits are more than a page can parse.
function indented(text) {
  let depth = 0;
  const broken = () => `\n${"  ".repeat(depth)}`;
  return text.replace(/"(?:[^"\\]|\\.)*"|\{\s*\}|\[\s*\]|[{}[\],:]|\s+/g, (token) => {
    if (/^\s/.test(token)) return "";
    if (token === "{" || token === "[") return ((depth += 1), token + broken());
    if (token === "}" || token === "]") return ((depth -= 1), broken() + token);
    if (token === ",") return token + broken();
    return token === ":" ? ": " : token;
  });
}

// Lines at the end of a list that does not grow for ever.
function lines_in(output) {
  const shown = [];
  const pre = h("pre", { tabindex: "0" });
  output.append(pre);
  return (line) => {
    shown.push(line);
    if (shown.length > most_lines) shown.shift();
    pre.textContent = shown.join("\n");
    pre.scrollTop = pre.scrollHeight;
  };
}

async function read_stream(response, output) {
  const add = lines_in(output);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    lines.filter((line) => line.startsWith("data: ")).forEach((line) => add(line.slice(6)));
  }
}

// The token as a subprotocol: the only header of a WebSocket that a page can set.
function bearer() {
  const coded = btoa(token()).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
  return coded ? [`bearer.${coded}`] : [];
}

function follow_socket({ url }, output, signal) {
  const address = new URL(url, location.href);
  address.protocol = address.protocol.replace("http", "ws");
  const socket = new WebSocket(address, ["tallymill.v1", ...bearer()]);
  const status = h("span", { class: "status" }, "connecting");
  output.replaceChildren(status);
  const add = lines_in(output);
  socket.onopen = () => (status.textContent = "open");
  socket.onmessage = ({ data }) => add(data);
  signal.addEventListener("abort", () => socket.close());
  return new Promise((resolve) => {
    socket.onclose = ({ code, reason }) => {
      status.textContent = `closed: ${code} ${reason}`;
      resolve();
    };
  });
}

// ---- the token --------------------------------------------------------------------------------

function ask_for_token(why = "") {
  document.getElementById("token").hidden = false;
  document.getElementById("token-state").textContent = why;
}

document.getElementById("token").addEventListener("submit", (event) => {
  event.preventDefault();
  const input = document.getElementById("secret");
  if (input.value) sessionStorage.setItem(stored, input.value.trim());
  else sessionStorage.removeItem(stored);
  input.value = "";
  start();
});

// ---- start ------------------------------------------------------------------------------------

async function start() {
  const api = await (await fetch("/openapi.json")).json();
  document.getElementById("version").textContent = api.info.version;
  document.getElementById("description").textContent = api.info.description.replaceAll("`", "");
  const kinds = await fetch("/v1/kinds", { headers: secured() });
  if (kinds.status === 401) ask_for_token(token() ? "This token is not known here." : "This front asks for a token.");
  else if (token()) ask_for_token("In use until this tab is closed.");
  const list = kinds.ok ? (await kinds.json()).kinds : [];
  const main = document.getElementById("operations");
  main.replaceChildren();
  const is_job = ([path]) => path.startsWith("/v1/jobs");
  const paths = Object.entries(api.paths);
  for (const [path, methods] of [...paths.filter(is_job), ...paths.filter((one) => !is_job(one))])
    for (const [method, operation] of Object.entries(methods))
      main.append(operation_node(path, method, operation, list));
  document.getElementById(location.hash.slice(1))?.setAttribute("open", "");
}

start().catch((error) => show_failure(document.getElementById("operations"), `The front does not answer: ${error}`));
