// The page of /docs: lists what openapi.json describes, and calls it. Numbers
// stay the digits that were typed and that came back: nothing of a call goes
// through JavaScript's own numbers.
"use strict";

const maxDepth = 4; // of types that are shown within types

let doc = null;

// element makes a node; text never becomes markup.
function element(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== undefined && child !== null));
  return node;
}

function resolve(schema) {
  const name = schema && schema.$ref && schema.$ref.replace("#/components/schemas/", "");
  return name ? doc.components.schemas[name] || {} : schema || {};
}

function shortName(schema) {
  if (schema.$ref) return schema.$ref.replace("#/components/schemas/", "");
  return schema.title || "";
}

// typeName is a type in a word, such as "array of integer".
function typeName(schema) {
  if (!schema) return "any";
  if (schema.$ref) return shortName(schema);
  if (schema.type === "array") return "array of " + typeName(schema.items);
  if (schema.additionalProperties) return "map of " + typeName(schema.additionalProperties);
  const format = schema.format || schema.contentEncoding;
  return (schema.type || schema.title || "any") + (format ? " (" + format + ")" : "");
}

// fieldTable shows the fields of a type, those of the types within it too.
function fieldTable(schema, depth) {
  const type = resolve(schema);
  const properties = Object.entries(type.properties || {});
  if (properties.length === 0) return element("p", { class: "note" }, typeName(schema));
  const rows = properties.map(([name, property]) =>
    element("tr", {},
      element("td", { class: "name" }, name, mark(type, name)),
      element("td", {}, element("span", { class: "type" }, typeName(property)), within(property, depth)),
      element("td", {}, remarks(property))));
  return element("table", {}, heading("Field", "Type", ""), element("tbody", {}, ...rows));
}

// within shows the type that a field's type holds.
function within(property, depth) {
  const inner = property.items || property.additionalProperties || property;
  if (!resolve(inner).properties) return null;
  if (depth >= maxDepth) return element("span", { class: "note" }, " …");
  return element("details", {}, element("summary", { class: "note" }, "fields"), fieldTable(inner, depth + 1));
}

function heading(...titles) {
  return element("thead", {}, element("tr", {}, ...titles.map((title) => element("th", {}, title))));
}

function mark(type, name) {
  return (type.required || []).includes(name) ? element("span", { class: "required", title: "required" }, " *") : null;
}

// remarks is what a field says of itself, or its type does.
function remarks(property) {
  const said = [];
  const description = property.description || resolve(property).description;
  const values = property.enum || resolve(property).enum;
  if (description) said.push(description);
  if (values) said.push("one of " + values.join(", "));
  return element("span", { class: "note" }, said.join("; "));
}

// control is where a field's value is typed, with read, which returns its JSON as
// text, or undefined for a field that is left out.
function control(property, name) {
  const type = resolve(property);
  if (type.enum) {
    const select = element("select", { name }, element("option", { value: "" }, "(left out)"),
      ...type.enum.map((value) => element("option", { value: JSON.stringify(value) }, String(value))));
    return { node: select, read: () => select.value || undefined };
  }
  switch (type.type) {
    case "boolean": {
      const box = element("input", { type: "checkbox", name });
      return { node: box, read: () => (box.checked ? "true" : undefined) };
    }
    case "integer":
    case "number": {
      const input = element("input", { name, inputmode: "decimal", autocomplete: "off", placeholder: type.type });
      return { node: input, read: () => number(input.value.trim(), name) };
    }
    case "string": {
      const input = element("input", { name, autocomplete: "off", placeholder: type.format || "text" });
      return { node: input, read: () => (input.value === "" ? undefined : JSON.stringify(input.value)) };
    }
  }
  const area = element("textarea", { name, spellcheck: "false", placeholder: "JSON: " + typeName(property) });
  return { node: area, read: () => json(area.value.trim(), name) };
}

function number(text, name) {
  if (text === "") return undefined;
  if (!/^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$/.test(text)) throw new Error(name + " is no number");
  return text;
}

function json(text, name) {
  if (text === "") return undefined;
  try {
    JSON.parse(text);
  } catch (problem) {
    throw new Error(name + " is no JSON: " + problem.message);
  }
  return text;
}

// form asks for the request of a method and calls it.
function form(path, schema) {
  const type = resolve(schema);
  const properties = Object.entries(type.properties || {});
  const answer = element("div", { "aria-live": "polite" });
  const button = element("button", { type: "submit" }, "Call");
  let read;
  let inputs;
  if (properties.length > 0) {
    const controls = properties.map(([name, property]) => [name, control(property, name)]);
    const rows = controls.map(([name, made]) =>
      element("tr", {},
        element("td", { class: "name" }, name, mark(type, name)),
        element("td", {}, element("span", { class: "type" }, typeName(type.properties[name])), within(type.properties[name], 1), " ", remarks(type.properties[name])),
        element("td", { class: "value" }, made.node)));
    inputs = element("table", {}, heading("Field", "Type", "Value"), element("tbody", {}, ...rows));
    read = () => "{" + controls.map(([name, made]) => [name, made.read()]).filter(([, value]) => value !== undefined)
      .map(([name, value]) => JSON.stringify(name) + ":" + value).join(",") + "}";
  } else {
    const area = element("textarea", { name: "body", spellcheck: "false" });
    area.value = type.type === "object" ? "{}" : "";
    inputs = area;
    read = () => json(area.value.trim(), "the request") || "{}";
  }
  const made = element("form", { autocomplete: "off" }, inputs, button, answer);
  made.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      await call(path, read(), answer);
    } catch (problem) {
      show(answer, true, "Not sent", problem.message);
    } finally {
      button.disabled = false;
    }
  });
  return made;
}

// authorized adds to headers what the page's field says.
function authorized(headers) {
  const authorization = document.getElementById("authorization").value.trim();
  if (authorization) headers.Authorization = authorization;
  return headers;
}

async function call(path, body, answer) {
  const headers = authorized({ "Content-Type": "application/json" });
  const begun = performance.now();
  const response = await fetch("." + path, { method: "POST", headers, body, credentials: "same-origin" });
  const text = await response.text();
  const took = Math.round(performance.now() - begun) + " ms";
  const outcome = response.headers.get("Sinew-Outcome");
  if (response.ok) {
    show(answer, false, response.status + " in " + took, text, body);
    return;
  }
  let told = "";
  try {
    const failure = JSON.parse(text);
    told = failure.code + ": " + (failure.message || "");
  } catch {
    told = text;
  }
  show(answer, true, response.status + " in " + took + (outcome ? ", outcome " + outcome : ""), told, body);
}

function show(answer, failed, status, text, body) {
  answer.className = failed ? "answer error" : "answer";
  answer.replaceChildren(
    element("div", { class: "status" }, status),
    element("pre", { class: "text" }, text),
    ...(body === undefined ? [] : [element("div", { class: "note" }, "sent ", element("code", {}, body))]));
}

function method(path, operation) {
  const request = operation.requestBody.content["application/json"].schema;
  const response = operation.responses["200"].content["application/json"].schema;
  const name = path.slice(path.lastIndexOf("/") + 1);
  const made = element("details", { class: "method", id: operation.operationId });
  made.append(element("summary", {}, element("b", {}, name), " ",
    element("span", { class: "type" }, "(" + typeName(request) + ") → " + typeName(response))));
  let filled = false;
  made.addEventListener("toggle", () => {
    if (filled) return;
    filled = true;
    made.append(element("div", {}, form(path, request),
      element("details", {}, element("summary", {}, "Reply: ", element("span", { class: "type" }, typeName(response))), fieldTable(response, 1))));
  });
  made.dataset.words = [operation.operationId, typeName(request), typeName(response)].join(" ").toLowerCase();
  return made;
}

function render() {
  document.getElementById("title").textContent = doc.info.title;
  document.title = doc.info.title;
  const services = document.getElementById("services");
  services.replaceChildren();
  for (const tag of doc.tags || []) {
    const section = element("section", { class: "service" }, element("h2", {}, tag.name));
    for (const [path, item] of Object.entries(doc.paths)) {
      const operation = item.post;
      if (operation && operation.tags[0] === tag.name && path.startsWith("/" + tag.name + "/")) section.append(method(path, operation));
    }
    services.append(section);
  }
  if (!services.hasChildNodes()) services.append(element("p", { id: "state" }, "No service is known to this gateway."));
}

function find(words) {
  for (const section of document.querySelectorAll("section.service")) {
    let shown = false;
    for (const made of section.querySelectorAll("details.method")) {
      made.hidden = !made.dataset.words.includes(words);
      shown = shown || !made.hidden;
    }
    section.hidden = !shown;
  }
}

// start reads the document. Where that wants an Authorization, it is read anew when
// one was typed.
async function start() {
  if (doc) return;
  try {
    const response = await fetch("openapi.json", { headers: authorized({}), credentials: "same-origin" });
    if (!response.ok) throw new Error(response.status + " " + (await response.text()));
    doc = await response.json();
    render();
  } catch (problem) {
    const state = document.getElementById("state");
    state.className = "answer error";
    state.textContent = "The document cannot be read: " + problem.message;
  }
}

document.getElementById("find").addEventListener("input", (event) => find(event.target.value.trim().toLowerCase()));
document.getElementById("authorization").addEventListener("change", start);
start();
