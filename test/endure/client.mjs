// @xmpp/client with stream management on a bad network: sends numbered messages until it is told to stop.
//
//   {"do": "connect", "service": …, "domain": …, "username": …, "password": …, "to": …}     {"do": "finish"}
//
// It tells {"event": "sent" | "acked" | "got" | "again", "id": …}, {"event": "online", "resumed": …} and errors.

import { webcrypto } from "node:crypto";
import readline from "node:readline";
import { client, xml } from "@xmpp/client";

// Node 18, which Debian 12 has, knows it under this name only.
globalThis.crypto ??= webcrypto;

const REST_MS = 100;
const BURST = 4;

const pending = new Map();
let xmpp, to, timer, number = 0, finishing = false;

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

function talk() {
  if (xmpp.status === "online" && !finishing) {
    for (let left = 1 + Math.floor(Math.random() * BURST); left; left--) {
      const id = `${xmpp.jid.local}.${number++}`;
      const stanza = xml("message", { to, type: "chat", id }, xml("body", {}, id));
      pending.set(id, stanza);
      tell("sent", { id });
      send(stanza);
    }
  }
  timer = setTimeout(talk, Math.random() * REST_MS);
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
    xmpp.reconnect.delay = 200;
    xmpp.streamManagement.on("ack", (stanza) => {
      if (pending.delete(stanza.attrs.id)) tell("acked", { id: stanza.attrs.id });
    });
    let resumed = false;
    xmpp.streamManagement.on("resumed", () => {
      resumed = true;
      tell("online", { resumed });
      sendForgotten();
    });
    xmpp.on("error", (error) => tell("error", { text: String(error) }));
    xmpp.on("online", async () => {
      await send(xml("presence"));
      tell("online", { resumed: false });
      sendForgotten();
      timer ??= setTimeout(talk, 0);
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
    clearTimeout(timer);
    await xmpp.stop();
    process.exit(0);
  },
};

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const command = JSON.parse(line);
  Promise.resolve(commands[command.do](command)).catch((error) => tell("error", { text: String(error) }));
});
