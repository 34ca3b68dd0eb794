// The company's Node workers, for the pictures of the docs: see demo/evening/.
//
// QUEUECORE_URL: the server's address. Ends with SIGTERM.

import { Worker } from 'bullmq';

const address = process.env.QUEUECORE_URL ?? 'redis://127.0.0.1:6379';
const path = address.startsWith('unix://') ? new URL(address).pathname : undefined;
const connection = path ? { path } : { url: address };
const work = (low, high) =>
  new Promise((done) => setTimeout(done, 1000 * (low + Math.random() * (high - low))));

const workers = [
  new Worker('search.index', async () => (await work(0.05, 0.5), { indexed: 1 }), {
    connection,
    name: 'indexer-1',
    concurrency: 8,
  }),
  new Worker('video.transcode', async () => (await work(8, 40), { codec: 'av1' }), {
    connection,
    name: 'gpu-3',
    concurrency: 3,
  }),
];
for (const worker of workers) worker.on('error', () => {});
for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, async () => {
    await Promise.all(workers.map((worker) => worker.close(true)));
    process.exit(0);
  });
}
