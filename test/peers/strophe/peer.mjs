// A client made with Strophe.js, over WebSocket or BOSH as its address says; commands and events as lines of JSON are
// those of ../node/peer.mjs. An event "online" says whether a session was resumed.

import { webcrypto } from "node:crypto";
import readline from "node:readline";
import { $iq, $msg, $pres, Strophe } from "strophe.js";
import BaseRequest from "xhr2";

const NS_ROSTER = "jabber:iq:roster";
const AGAIN_MS = 200;

globalThis.crypto ??= webcrypto;
// Strophe.js reads answers over BOSH as documents only, which Node has not.
globalThis.XMLHttpRequest = class extends BaseRequest {
  get responseXML() {
    return this.responseText ? new DOMParser().parseFromString(this.responseText, "text/xml") : null;
  }
  set responseXML(ignored) {}
};

// What it logs would stand among the events.
Strophe.setLogLevel(Strophe.LogLevel.FATAL);

let connection, account, stopping;

function tell(event, more = {}) {
  console.log(JSON.stringify({ event, ...more }));
}

function bare(address) {
  return address ? Strophe.getBareJidFromJid(address) : undefined;
}

function message(stanza) {
  const body = stanza.getElementsByTagName("body")[0];
  tell("message", { from: bare(stanza.getAttribute("from")), body: body?.textContent });
  return true;
}

function presence(stanza) {
  const full = stanza.getAttribute("from");
  tell("presence", { from: bare(full), full, type: stanza.getAttribute("type") ?? undefined });
  return true;
}

// A roster push is answered, and the whole roster told again.
function pushed(stanza) {
  connection.send($iq({ type: "result", id: stanza.getAttribute("id") }));
  commands.roster();
  return true;
}

function listen() {
  connection.addHandler(message, null, "message");
  connection.addHandler(presence, null, "presence");
  connection.addHandler(pushed, NS_ROSTER, "iq", "set");
}

async function changed(status, condition, element) {
  if (status === Strophe.Status.CONNECTED) {
    listen();
    const resumed = connection.hasResumed();
    if (!resumed) {
      await commands.roster();
      connection.send($pres());
    }
    tell("online", { jid: connection.jid, resumed });
  } else if (status === Strophe.Status.AUTHFAIL) {
    stopping = true;
    tell("refused", { condition: condition ?? element?.firstChild?.localName });
  } else if (status === Strophe.Status.DISCONNECTED) {
    tell("disconnect");
    if (stopping) process.exit(0);
    setTimeout(connect, AGAIN_MS);
  }
}

function connect() {
  connection.connect(`${account.username}@${account.domain}/strophe`, account.password, changed);
}

const commands = {
  connect(given) {
    account = given;
    connection = new Strophe.Connection(given.service, { enableStreamManagement: given.service.startsWith("ws") });
    connect();
  },
  send: ({ to, body }) => connection.send($msg({ to, type: "chat" }).c("body").t(body)),
  add({ contact }) {
    connection.sendIQ($iq({ type: "set" }).c("query", { xmlns: NS_ROSTER }).c("item", { jid: contact }));
    connection.send($pres({ to: contact, type: "subscribe" }));
  },
  accept: ({ contact }) => connection.send($pres({ to: contact, type: "subscribed" })),
  roster: () =>
    new Promise((resolve, reject) => {
      const query = $iq({ type: "get" }).c("query", { xmlns: NS_ROSTER });
      connection.sendIQ(
        query,
        (answer) => {
          const items = Array.from(answer.getElementsByTagName("item"));
          tell("roster", {
            items: Object.fromEntries(items.map((item) => [item.getAttribute("jid"), item.getAttribute("subscription")])),
          });
          resolve();
        },
        reject,
      );
    }),
  // Below the library there is a WebSocket of the package ws.
  cut: () => connection._proto.socket.terminate(),
  stop() {
    stopping = true;
    connection?.disconnect();
    setTimeout(() => process.exit(0), 5 * AGAIN_MS);
  },
};

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const command = JSON.parse(line);
  Promise.resolve(commands[command.do](command)).catch((error) => tell("error", { text: String(error) }));
});
