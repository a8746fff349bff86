// A provisioner made from docs/protocol.md alone, on the official NATS client. Its workspaces are folders. A template's
// source may say {"seconds": 5}, how long a build takes, and {"error": "no disk"}, how it ends.
import { randomUUID } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { connect, headers } from "@nats-io/transport-node";

const { NATS_URL, WORKSPACED_USER, WORKSPACED_PASSWORD, WORKSPACED_INBOX_PREFIX, PROVISIONER_TAG, CONFORMANCE_FOLDER } =
  process.env;
const nc = await connect({
  servers: NATS_URL,
  user: WORKSPACED_USER,
  pass: WORKSPACED_PASSWORD,
  inboxPrefix: WORKSPACED_INBOX_PREFIX,
  maxReconnectAttempts: -1,
});
const consumer = (await nc.request(`$JS.API.CONSUMER.INFO.JOBS.${PROVISIONER_TAG}`)).json();
const lease = consumer.config.ack_wait / 1e6; // ms
const atWork = new Set();

// Sent under one id until the stream has it, or the work is not ours any more.
async function store(work, subject, body) {
  const named = headers();
  named.set("Nats-Msg-Id", randomUUID());
  while (!work.lost) {
    const answer = await nc.request(subject, JSON.stringify(body), { timeout: 1000, headers: named }).catch(() => null);
    if (answer && !answer.json().error) return;
    await setTimeout(200);
  }
}

async function report(work, status, more = {}) {
  const { build_id, build_number, job_id, workspace } = work.job;
  work.status = status;
  const body = { build_id, build_number, job_id, worker: "node", attempt: work.attempt, ...more };
  await store(work, `ws.event.${workspace.id}.job.${status}`, body);
}

// Extends the lease; it may run out all the same, when this machine was suspended for example.
async function keepLease(work) {
  let until = performance.now() + lease;
  while (!work.done) {
    const now = performance.now();
    if (now > until) return loseLease(work);
    if (await nc.request(work.reply, "+WPI", { timeout: lease / 3 }).catch(() => null)) until = now + lease;
    await setTimeout(lease / 3);
  }
}

function loseLease(work) {
  work.lost = true;
  atWork.delete(work);
}

async function build(work) {
  const lost = work.attempt - 1;
  if (lost >= 3) {
    return ["failed", { error: `Build has been detected as hung: its provisioner was lost ${lost} times` }];
  }
  await report(work, "running");
  const { seconds = 0.01, error } = work.job.template.source ?? {};
  const canceled = await Promise.race([setTimeout(seconds * 1000, false), work.canceled]);
  if (canceled) {
    await report(work, "canceling");
    return ["canceled", {}];
  }
  if (error) return ["failed", { error }];
  // By the workspace's id, so what an earlier attempt made is found again.
  const folder = `${CONFORMANCE_FOLDER}/folders/${work.job.workspace.id}`;
  if (work.job.transition === "start") await mkdir(folder, { recursive: true });
  if (work.job.transition === "delete") await rm(folder, { recursive: true, force: true });
  return ["succeeded", { agents: [] }];
}

async function carryOut(message) {
  const tokens = message.reply.split("."); // $JS.ACK.JOBS.<tag>.<delivery>…; newer servers put domain and account first
  const work = { job: message.json(), reply: message.reply, attempt: Number(tokens[tokens.length > 9 ? 6 : 4]) };
  work.canceled = new Promise((resolve) => (work.cancel = () => resolve(true)));
  atWork.add(work);
  keepLease(work);
  const [status, more] = await build(work);
  await store(work, `ws.log.${work.job.workspace.id}.${work.job.build_id}`, { seq: work.attempt, end: true });
  await report(work, status, more);
  if (!work.lost) nc.publish(work.reply, "+ACK");
  work.done = true;
  atWork.delete(work);
}

function heed(_, { subject }) {
  for (const work of atWork) {
    const { job_id, workspace } = work.job;
    if (subject === `ws.cancel.${job_id}`) work.cancel();
    const asked = subject === "ws.resync" || subject === `ws.resync.${workspace.id}`;
    if (asked && ["running", "canceling"].includes(work.status)) report(work, work.status);
  }
}

for (const subject of ["ws.cancel.*", "ws.resync", "ws.resync.*"]) nc.subscribe(subject, { callback: heed });
process.on("SIGTERM", () => process.exit(0));

// One open request for a job at a time; the job comes to its inbox, a status line says that none came.
for (;;) {
  const inbox = `${WORKSPACED_INBOX_PREFIX}.${randomUUID()}`;
  const answers = nc.subscribe(inbox, { max: 1 });
  const wish = JSON.stringify({ batch: 1, expires: 5_000_000_000 });
  nc.publish(`$JS.API.CONSUMER.MSG.NEXT.JOBS.${PROVISIONER_TAG}`, wish, { reply: inbox });
  setTimeout(6000).then(() => answers.unsubscribe()); // the request was lost with a connection
  for await (const message of answers) {
    if (message.reply) carryOut(message);
    else await setTimeout(50); // the queue may be away
  }
}
