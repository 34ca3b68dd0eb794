// BullMQ for Node as a peer: makes its objects and calls their methods, as told on stdin.
//
// One JSON object a line. In:  {n, make, as, args, processor}   make a Queue, Worker, QueueEvents ...
//                              {n, on, call, args}              call a method of it
//                              {n, on, job, call, args}         call a method of one of its jobs
//                              {n, on, job, events}             wait until that job is finished
//                              {n, open}                        let the processors waiting at a gate go on
//                              {n, shut}                        shut all gates again
// Out: {n, value} or {n, error}; and {from, event, args} for everything an object emits.
// A processor is the source of a function `(job, token, signal) => ...`, which also sees `bullmq`
// and `gate(name)`: a promise that is kept when Python opens that gate.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const load = createRequire(`${process.argv[2]}/`);
const bullmq = load("bullmq");
const objects = new Map();
const gates = new Map();

function gateOf(name) {
  if (!gates.has(name)) {
    const one = {};
    one.promise = new Promise((resolve) => (one.open = resolve));
    gates.set(name, one);
  }
  return gates.get(name);
}

const gate = (name) => gateOf(String(name)).promise;

function say(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

function plain(error) {
  return { name: error?.name, message: String(error?.message ?? error), stack: error?.stack };
}

function report(name, object) {
  const emit = object.emit;
  object.emit = function (event, ...args) {
    if (!event.includes(":")) {
      const told = args.map((one) => (one instanceof Error ? plain(one) : one));
      // A client or an async iterator is of no use to the other side.
      say({ from: name, event, args: event === "ready" ? [] : told });
    }
    return emit.call(this, event, ...args);
  };
  // An emitter whose errors nobody listens to would end the process.
  object.on("error", () => {});
}

// Options with `nodes` are those of a Cluster, which BullMQ takes as an object of ioredis alone.
function connect(options) {
  const nodes = options?.connection?.nodes;
  if (!nodes) return;
  const { Cluster } = load("ioredis");
  const cluster = (options.connection = new Cluster(nodes, {
    redisOptions: { maxRetriesPerRequest: null },
  }));
  cluster.on("error", () => {});
}

function make({ make: kind, as, args, processor }) {
  if (processor) {
    const source = new Function("bullmq", "gate", `return (${processor})`)(bullmq, gate);
    args.splice(1, 0, source);
  }
  connect(args.at(-1));
  const object = new bullmq[kind](...args);
  report(as, object);
  objects.set(as, object);
  return object.waitUntilReady?.().then(() => null);
}

async function answer(request) {
  if (request.open !== undefined) {
    gateOf(request.open).open();
    return null;
  }
  if (request.shut) return gates.clear();
  if (request.make) return make(request);
  let target = objects.get(request.on);
  if (request.call === "close") objects.delete(request.on);
  if (request.events) {
    const job = await target.getJob(request.job);
    return job.waitUntilFinished(objects.get(request.events));
  }
  if (request.job !== undefined) {
    const job = await target.getJob(request.job);
    if (!job) throw new Error(`no job ${request.job}`);
    target = job;
  }
  return target[request.call](...request.args);
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  // Requests run side by side: a call that waits must not hold up the one that it waits for.
  Promise.resolve()
    .then(() => answer(request))
    .then(
      (value) => say({ n: request.n, value: value ?? null }),
      (error) => say({ n: request.n, error: plain(error) }),
    );
}
process.exit(0);
