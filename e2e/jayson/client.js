// Calls the server at the URL of the first argument with jayson's client, and
// prints what came of each call as a line of JSON.
"use strict";

const jayson = require("jayson");

const client = jayson.Client.http(process.argv[2]);

function report(name, answer) {
  console.log(JSON.stringify({ name, ...answer }));
}

// call makes one request; an id of null makes it a notification.
function call(name, method, params, id) {
  return new Promise((resolve) => {
    client.request(method, params, id, (failure, response) => {
      report(name, failure ? { failure: String(failure) } : { response });
      resolve();
    });
  });
}

function batch(name, requests) {
  return new Promise((resolve) => {
    client.request(requests, (failure, responses) => {
      report(name, failure ? { failure: String(failure) } : { response: responses });
      resolve();
    });
  });
}

async function main() {
  await call("by name", "Arith.Add", { A: 1, B: 2 }, "a string");
  await call("by position", "Arith.Add", [3, 4], 9007199254740991);
  await call("an id of jayson's own", "Arith.Divide", [{ A: 22, B: 2 }], undefined);
  await call("an error", "Arith.Divide", { A: 1, B: 0 }, 1);
  await call("no such method", "Arith.Root", [], 2);
  await call("params that do not fit", "Arith.Add", { A: "one" }, 3);
  await call("a notification", "Arith.Note", { A: 7 }, null);
  await batch("a batch", [
    client.request("Arith.Add", [1, 1], 11),
    client.request("Arith.Note", { A: 8 }, null),
    client.request("Arith.Divide", { A: 8, B: 2 }, 12),
  ]);
  await batch("a batch of notifications", [client.request("Arith.Note", { A: 9 }, null)]);
}

main();
