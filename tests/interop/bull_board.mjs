// Bull Board's server over queues that others fill: node bull_board.mjs FOLDER CONNECTION QUEUE...
//
// Says its address on stdout and ends when its stdin does.
import { createRequire } from "node:module";

const [folder, connection, ...names] = process.argv.slice(2);
const load = createRequire(`${folder}/`);
const { createBullBoard } = load("@bull-board/api");
const { BullMQAdapter } = load("@bull-board/api/bullMQAdapter");
const { ExpressAdapter } = load("@bull-board/express");
const { FlowProducer, Queue } = load("bullmq");
const express = load("express");

const options = { connection: JSON.parse(connection) };
const board = new ExpressAdapter();
createBullBoard({
  queues: names.map((name) => new BullMQAdapter(new Queue(name, options))),
  serverAdapter: board,
  options: { flowProducer: new FlowProducer(options) },
});
const app = express();
app.use(board.getRouter());
const server = app.listen(0, "127.0.0.1", () => {
  process.stdout.write(`http://127.0.0.1:${server.address().port}\n`);
});
process.stdin.on("end", () => process.exit(0)).resume();
