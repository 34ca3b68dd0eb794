// The public methods of BullMQ's classes, as a JSON list: node methods.mjs FOLDER
import { createRequire } from "node:module";

const bullmq = createRequire(`${process.argv[2]}/`)("bullmq");
const CLASSES = ["Queue", "Job", "Worker", "QueueEvents", "QueueEventsProducer", "FlowProducer"];
const COMMON = ["EventEmitter", "QueueBase", "Object"];
const found = new Set();

for (const name of CLASSES) {
  let one = bullmq[name].prototype;
  while (!COMMON.includes(one.constructor.name)) {
    for (const method of Object.getOwnPropertyNames(one)) {
      if (method !== "constructor" && !method.startsWith("_")) found.add(`${name}.${method}`);
    }
    one = Object.getPrototypeOf(one);
  }
}
process.stdout.write(JSON.stringify([...found]));
