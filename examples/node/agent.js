// An agent made from docs/protocol.md alone, on the official NATS client: runs the workspace's startup script, tells how
// that goes, and answers pings until SIGTERM.
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { setTimeout } from "node:timers/promises";
import { connect, headers } from "@nats-io/transport-node";

const { NATS_URL, WORKSPACED_USER, WORKSPACED_PASSWORD, WORKSPACED_INBOX_PREFIX } = process.env;
const { AGENT_ID, AGENT_BUILD_ID, AGENT_WORKSPACE_ID, AGENT_STARTUP_SCRIPT, AGENT_STARTUP_SCRIPT_TIMEOUT } = process.env;
const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

const now = () => new Date().toISOString();
let state = { state: "starting", at: now() };
let told = Promise.resolve(); // the last report, which the next one waits for
const nc = await connect({
  servers: NATS_URL,
  user: WORKSPACED_USER,
  pass: WORKSPACED_PASSWORD,
  inboxPrefix: WORKSPACED_INBOX_PREFIX,
  maxReconnectAttempts: -1,
  ignoreAuthErrorAbort: true, // who decides about logins may be away for a while
});

// Sent after those before it, under one id until the stream has it, in the name of the connection that it goes by.
function tell(kind, more = {}) {
  const body = { at: now(), build_id: AGENT_BUILD_ID, ...more };
  const named = headers();
  named.set("Nats-Msg-Id", randomUUID());
  told = told.then(async () => {
    for (;;) {
      const data = JSON.stringify({ ...body, server_id: nc.info.server_id, client_id: nc.info.client_id });
      const subject = `ws.event.${AGENT_WORKSPACE_ID}.agent.${AGENT_ID}.${kind}`;
      const answer = await nc.request(subject, data, { timeout: 1000, headers: named }).catch(() => null);
      if (answer && !answer.json().error) return;
      await setTimeout(200);
    }
  });
  return told;
}

// The lifecycle first, or that of an earlier process counted for this connection.
function tellAgain() {
  tell("lifecycle", state);
  tell("connected");
}

function lifecycle(name, more = {}) {
  const at = now();
  state = { state: name, at: at > state.at ? at : state.at, ...more }; // never goes back, whatever the clock does
  return tell("lifecycle", state);
}

function pong(_, ping) {
  ping.respond(JSON.stringify({ agent_id: AGENT_ID, build_id: AGENT_BUILD_ID, lifecycle: state.state, at: now() }));
}

nc.subscribe(`ws.agent.${AGENT_ID}.ping`, { callback: pong });
for (const subject of ["ws.resync", `ws.resync.${AGENT_WORKSPACE_ID}`]) nc.subscribe(subject, { callback: tellAgain });
tellAgain();
(async () => {
  for await (const status of nc.status()) if (status.type === "reconnect") tellAgain();
})();

const script = spawn("bash", [AGENT_STARTUP_SCRIPT], { stdio: ["ignore", "inherit", "inherit"] });
const limit = [...AGENT_STARTUP_SCRIPT_TIMEOUT.matchAll(/([\d.]+)([a-z]+)/g)].reduce(
  (sum, [, number, unit]) => sum + number * UNITS[unit],
  0,
);
const late = limit && globalThis.setTimeout(() => lifecycle("start_timeout"), limit);
let stopping = false;
script.on("exit", (code) => {
  clearTimeout(late);
  if (!stopping) lifecycle(code === 0 ? "ready" : "start_error", { exit_code: code ?? 255 });
});

await once(process, "SIGTERM");
stopping = true;
script.kill();
lifecycle("shutting_down");
lifecycle("off");
await Promise.race([tell("disconnected"), setTimeout(5000)]);
process.exit(0);
