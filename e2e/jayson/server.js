// Serves with jayson on a free port of the loopback interface, prints its URL,
// and ends with its standard input.
"use strict";

const jayson = require("jayson");

const notes = [];

const server = new jayson.Server({
  add: (params, done) => {
    const [a, b] = Array.isArray(params) ? params : [params.a, params.b];
    done(null, a + b);
  },
  fail: (_params, done) => done({ code: 400, message: "refused", data: { reason: "because" } }),
  note: (params, done) => {
    notes.push(params);
    done(null, "unheard");
  },
  notes: (_params, done) => done(null, notes),
});

const http = server.http();
http.listen(0, "127.0.0.1", () => console.log("http://127.0.0.1:" + http.address().port));
process.stdin.on("end", () => process.exit(0)).resume();
