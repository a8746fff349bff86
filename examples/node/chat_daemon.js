// A chat daemon on the official NATS client; subjects and JSON are all it knows of workspaced. Commands come as one JSON
// object a line on stdin, where a real daemon has its model, and each is answered with a line when nothing is on its way:
//
//   {"chat": "<uuid>", "id": "toolu_01", "verb": "create", "template_id": "<uuid>"}
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { connect } from "@nats-io/transport-node";

const ADA = { id: "0e8a5c3e-7d0b-4a55-9c1e-5b7a4f1d2c3b", name: "ada" }; // whoever is logged in

const stack = JSON.parse(await readFile(`${process.env.WORKSPACED_DIR}/connection.json`, "utf8"));
const { user, password, inbox_prefix } = stack.roles.chatd;
const nc = await connect({
  servers: stack.nats_url,
  user,
  pass: password,
  inboxPrefix: inbox_prefix, // the role's own: with a common one everybody reads everybody's replies
  maxReconnectAttempts: -1,
});

// Asking again is harmless: a command is known by its request_id.
async function ask(verb, body, attempts = 20) {
  for (; attempts > 0; attempts -= 1) {
    const reply = await nc.request(`ws.api.${verb}`, JSON.stringify(body), { timeout: 5000 }).catch(() => null);
    const status = reply?.headers?.get("Nats-Service-Error-Code");
    if (reply && !status && reply.json().outcome !== "queued") return reply.json();
    if (status && status !== "503") throw new Error(reply.json().error);
    await setTimeout(500);
  }
  throw new Error("workspaced does not answer; try again with the same id");
}

// Pushes come by subscription, nobody polls. They are snapshots with versions, so older ones are easy to drop.
const waiting = new Set();

function atRest(chat, version) {
  return new Promise((resolve) => {
    const one = { chat, offer };
    waiting.add(one);
    function offer(snapshot) {
      if (snapshot.version < version || snapshot.waiting_for !== null) return;
      waiting.delete(one);
      resolve(snapshot);
    }
  });
}

async function carryOut({ chat, id, verb, ...fields }) {
  const pushes = nc.subscribe(`ws.chat.${chat}.>`, {
    callback: (_, push) => waiting.forEach((one) => one.chat === chat && one.offer(push.json().snapshot)),
  });
  try {
    if (verb === "create") fields = { owner: ADA, organization_id: organization, ...fields };
    const { outcome, snapshot } = await ask(verb, { chat_id: chat, request_id: id, ...fields });
    const rest = atRest(chat, snapshot.version);
    waiting.forEach((one) => one.chat === chat && one.offer(snapshot)); // there already, perhaps
    const { state, workspace, agent_id, failure } = await rest;
    const agent = agent_id && (await nc.request(`ws.agent.${agent_id}.ping`, "{}", { timeout: 5000 })).json().lifecycle;
    return { id, outcome, state, workspace: workspace?.name ?? null, agent, failure };
  } catch (error) {
    return { id, error: error.message };
  } finally {
    pushes.unsubscribe();
  }
}

// What was pushed while NATS was away is missed: look once.
(async () => {
  for await (const status of nc.status()) {
    if (status.type === "reconnect") waiting.forEach(async (one) => one.offer(await ask("get", { chat_id: one.chat })));
  }
})();

const organization = (await ask("templates.list", {})).templates[0].organization_id;
const answers = [];
for await (const line of createInterface({ input: process.stdin })) {
  answers.push(carryOut(JSON.parse(line)).then((answer) => console.log(JSON.stringify(answer))));
}
await Promise.all(answers);
await nc.close();
