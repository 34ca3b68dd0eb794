// BullMQ for Node, measured; started by bench/trials.py as `node node.mjs FOLDER`, where FOLDER has
// bullmq and ioredis in its node_modules. What it says and hears: see protocol.py.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const { Queue, Worker } = createRequire(`${process.argv[2]}/`)("bullmq");

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const task = JSON.parse((await lines.next()).value);
const connection = { path: task.socket };

function say(message) {
  process.stdout.write(`${message}\n`);
}

async function ready() {
  say("ready");
  await lines.next();
}

// Seconds: of the monotonic clock that all processes share, and of this process on the CPUs.
const clock = () => Number(process.hrtime.bigint()) / 1e9;
function cpu() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

async function work() {
  const notes = { begun: 0, ended: 0, jobs: 0, waits: [] };
  let spent = 0;
  const start = () => {
    if (!notes.begun) {
      notes.begun = clock();
      spent = cpu();
    }
  };
  const processors = {
    async: async () => start(),
    latency: async (job) => {
      start();
      notes.waits.push(Number(process.hrtime.bigint() - BigInt(job.data.sent)) / 1e6);
    },
  };
  const worker = new Worker(task.queue, processors[task.processor], {
    connection,
    concurrency: task.concurrency,
    autorun: false,
  });
  worker.on("completed", () => {
    notes.jobs += 1;
    notes.ended = clock();
  });
  await worker.waitUntilReady();
  await ready();
  worker.run();
  await lines.next();
  const used = cpu() - spent;
  await worker.close(); // what the server has said, the worker has then heard
  say(JSON.stringify({ ...notes, cpu: used, rss: process.resourceUsage().maxRSS * 1024 }));
}

async function add() {
  const queue = new Queue(task.queue, { connection });
  await queue.waitUntilReady();
  await queue.add("warm", {});
  const numbers = Array.from({ length: task.jobs }, (_, n) => n);
  const jobs = numbers.map((n) => ({ name: "noop", data: { n } }));
  await ready();
  const begun = clock();
  const spent = cpu();
  if (task.act === "add-bulk") {
    // By the 500: on the machines tried it is faster so than by one call of addBulk for all.
    for (let i = 0; i < jobs.length; i += 500) await queue.addBulk(jobs.slice(i, i + 500));
  } else if (task.act === "add-concurrently") {
    await Promise.all(numbers.map((n) => queue.add("noop", { n })));
  } else {
    for (const n of numbers) await queue.add("noop", { n });
  }
  say(JSON.stringify({ seconds: clock() - begun, cpu: cpu() - spent }));
}

await (task.act === "work" ? work() : add());
process.exit(0);
