// @xmpp/client with stream management on a bad network: sends numbered messages until it is told to stop.
//
//   {"do": "connect", "service": …, "domain": …, "username": …, "password": …, "to": …}     {"do": "finish"}
//
// It tells {"event": "sent" | "acked" | "got" | "again", "id": …}, {"event": "online", "resumed": …} and errors.

import { webcrypto } from "node:crypto";
import readline from "node:readline";
import { setTimeout } from "node:timers/promises";
import { client, xml } from "@xmpp/client";

// Node 18, which Debian 12 has, knows it under this name only.
globalThis.crypto ??= webcrypto;

const REST_MS = 100;
const BURST = 4;
const LOOK_MS = 10;

const pending = new Map();
let xmpp, to, number = 0, talking = false, finishing = false;

function tell(event, more = {}) {
  console.log(JSON.stringify({ event, ...more }));
}

// The library keeps a message for the next connection if it had it in its queue, whether send() fails or not.
function isKept(stanza) {
  return xmpp.streamManagement.outbound_q.some((item) => item.stanza === stanza);
}

function send(stanza) {
  return xmpp.send(stanza).catch(() => {});
}

async function talk() {
  talking = true;
  while (!finishing) {
    await setTimeout(Math.random() * REST_MS);
    if (xmpp.status !== "online") continue;
    for (let left = 1 + Math.floor(Math.random() * BURST); left; left--) {
      const id = `${xmpp.jid.local}.${number++}`;
      const stanza = xml("message", { to, type: "chat", id }, xml("body", {}, id));
      pending.set(id, stanza);
      tell("sent", { id });
      send(stanza);
    }
  }
}

// sendMany() in the library's resumption takes the queue apart, and forgets what it has not written when
// the connection breaks meanwhile; and a session that cannot be resumed forgets all of it.
function sendForgotten() {
  for (const [id, stanza] of pending) {
    if (isKept(stanza)) continue;
    tell("again", { id });
    send(stanza);
  }
}

const commands = {
  connect({ service, domain, username, password, to: partner }) {
    to = partner;
    xmpp = client({ service, domain, username, password, resource: "node" });
    xmpp.streamManagement.on("ack", (stanza) => {
      if (pending.delete(stanza.attrs.id)) tell("acked", { id: stanza.attrs.id });
    });
    // The time between two connections stays at the library's second: a SCRAM response that it still computes
    // when its connection breaks goes to the next one otherwise, and is refused there.
    xmpp.streamManagement.on("resumed", () => {
      tell("online", { resumed: true });
      sendForgotten();
    });
    xmpp.on("error", (error) => tell("error", { text: String(error) }));
    xmpp.on("online", async () => {
      // The library sets its count of what came to zero some time after <enabled/>, when it has counted what
      // came together with that: then its h is too low, and the server would send that much again.
      while (!xmpp.streamManagement.enabled) await setTimeout(LOOK_MS);
      await send(xml("presence"));
      tell("online", { resumed: false });
      sendForgotten();
      if (!talking) talk();
    });
    xmpp.on("stanza", (stanza) => {
      if (stanza.is("message")) tell(stanza.attrs.type === "error" ? "refused" : "got", { id: stanza.attrs.id });
    });
    xmpp.start().catch((error) => tell("error", { text: String(error) }));
  },
  finish() {
    finishing = true;
  },
  async stop() {
    finishing = true;
    await xmpp.stop();
    process.exit(0);
  },
};

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const command = JSON.parse(line);
  Promise.resolve(commands[command.do](command)).catch((error) => tell("error", { text: String(error) }));
});
