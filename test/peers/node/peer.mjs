// A client made with @xmpp/client: takes commands as lines of JSON, tells what it sees in the same way.
//
//   {"do": "connect", "service": "xmpp://127.0.0.1:5222", "domain": …, "username": …, "password": …}
//   {"do": "send", "to": …, "body": …}     {"do": "add", "contact": …}     {"do": "accept", "contact": …}
//   {"do": "roster"}                        {"do": "cut", "service": …}     {"do": "stop"}
//
// It tells {"event": "online" | "refused" | "message" | "presence" | "roster" | "error" | "offline", …}, and of logins
// by XEP-0388 {"event": "asks", "mechanism": …, "for": […]} and {"event": "success", "with": […]}.

import { webcrypto } from "node:crypto";
import readline from "node:readline";
import { client, xml } from "@xmpp/client";
import WebSocket from "ws";

const NS_ROSTER = "jabber:iq:roster";
const NS_SASL2 = "urn:xmpp:sasl:2";

// Node 18, which Debian 12 has, knows it under this name only.
globalThis.crypto ??= webcrypto;
// Node 22 has one of its own, which cannot be cut.
globalThis.WebSocket = WebSocket;

let xmpp;

function tell(event, more = {}) {
  console.log(JSON.stringify({ event, ...more }));
}

function names(element) {
  return element.getChildElements().map((child) => child.name);
}

function bare(address) {
  return address ? address.split("/")[0] : undefined;
}

async function roster() {
  const query = await xmpp.iqCaller.get(xml("query", { xmlns: NS_ROSTER }));
  const items = query.getChildren("item").map((item) => [item.attrs.jid, item.attrs.subscription]);
  tell("roster", { items: Object.fromEntries(items) });
}

const commands = {
  async connect({ service, domain, username, password }) {
    xmpp = client({ service, domain, username, password, resource: "node" });
    xmpp.on("error", (error) => tell("error", { text: String(error), condition: error.condition }));
    xmpp.on("offline", () => tell("offline"));
    xmpp.on("disconnect", () => tell("disconnect"));
    xmpp.on("send", (sent) => {
      if (sent.is("authenticate", NS_SASL2)) tell("asks", { mechanism: sent.attrs.mechanism, for: names(sent) });
    });
    xmpp.on("nonza", (came) => {
      if (came.is("success", NS_SASL2)) tell("success", { with: names(came) });
    });
    xmpp.on("online", async (address) => {
      await roster();
      await xmpp.send(xml("presence"));
      tell("online", { jid: address.toString() });
    });
    xmpp.on("stanza", (stanza) => {
      const from = bare(stanza.attrs.from);
      if (stanza.is("message")) tell("message", { from, body: stanza.getChildText("body") });
      if (stanza.is("presence")) tell("presence", { from, full: stanza.attrs.from, type: stanza.attrs.type });
    });
    // A roster push is answered, and the whole roster told again.
    xmpp.iqCallee.set(NS_ROSTER, "query", () => {
      roster();
      return true;
    });
    try {
      await xmpp.start();
    } catch (error) {
      await xmpp.stop();
      tell("refused", { condition: error.condition ?? String(error) });
    }
  },
  send: ({ to, body }) => xmpp.send(xml("message", { to, type: "chat" }, xml("body", {}, body))),
  async add({ contact }) {
    await xmpp.iqCaller.set(xml("query", { xmlns: NS_ROSTER }, xml("item", { jid: contact })));
    await xmpp.send(xml("presence", { to: contact, type: "subscribe" }));
  },
  // Below the library's TLS there is a socket of Node's, and below its WebSocket one of the package ws.
  cut({ service }) {
    const below = xmpp.socket.socket;
    if (service) xmpp.options.service = service;
    if (below.destroy) below.destroy();
    else below.terminate();
  },
  accept: ({ contact }) => xmpp.send(xml("presence", { to: contact, type: "subscribed" })),
  roster,
  async stop() {
    await xmpp.stop();
    process.exit(0);
  },
};

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const command = JSON.parse(line);
  Promise.resolve(commands[command.do](command)).catch((error) => tell("error", { text: String(error) }));
});
