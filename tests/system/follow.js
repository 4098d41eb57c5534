// SPDX-License-Identifier: MIT
// The EventSource of node-eventsource (Debian), following a stream: each id on
// a line. follow.js URL TOKEN
"use strict";
const EventSource = require("/usr/share/nodejs/eventsource");
const [url, token] = process.argv.slice(2);
const source = new EventSource(url, {
	headers: token ? {Authorization: "Bearer " + token} : {},
});
// Of an event that was cut this client keeps the data, and puts it before the
// next one's: the same record again, or the one that it has then counted.
source.onmessage = (e) => {
	const seen = e.data.split("\n").map((line) => JSON.parse(line).sequence);
	process.stdout.write([...new Set(seen)].join("\n") + "\n");
};
source.onerror = (e) => {
	if (e.status !== undefined && e.status !== 503) {
		process.stderr.write("refused: " + e.status + " " + e.message + "\n");
		process.exit(1);
	}
};
