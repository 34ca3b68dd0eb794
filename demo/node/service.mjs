// The shop's invoices, written by a Node service with BullMQ: it works the queue `invoices`, to
// which Django adds, and adds to `email`, which Django works. Neither knows that the other one is
// written in another language.
//
// QUEUECORE_URL: the server's address (redis://, rediss:// or unix://). Ends with SIGTERM.

import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';

const VAT = 0.2;
const address = process.env.QUEUECORE_URL ?? 'redis://127.0.0.1:6379';
const target = address.startsWith('unix://')
  ? new URL(address).pathname // ioredis takes a socket as a plain path
  : address;

function connect(options) {
  const connection = new Redis(target, { maxRetriesPerRequest: null, ...options });
  let away = false;
  connection.on('error', (error) => {
    if (!away) console.log(`the server is away, waiting for it: ${error.message}`);
    away = true;
  });
  connection.on('ready', () => {
    if (away) console.log('the server is back');
    away = false;
  });
  return connection;
}

const connections = [connect(), connect()];
const email = new Queue('email', { connection: connections[0] });

const invoices = new Worker(
  'invoices',
  async (job) => {
    const { to, name, order, items, total } = job.data;
    if (!(Number(total) > 0)) throw new Error(`order ${order} has no total`);
    await job.updateProgress(30);
    const net = items.reduce((sum, item) => sum + item.count * Number(item.price), 0);
    const issued = new Date(job.timestamp);
    const due = new Date(issued.getTime() + 14 * 24 * 3600 * 1000);
    const number = `${issued.getUTCFullYear()}-${String(job.id).padStart(6, '0')}`;
    const invoice = {
      number,
      order,
      net: (net / (1 + VAT)).toFixed(2),
      vat: (net - net / (1 + VAT)).toFixed(2),
      total: net.toFixed(2),
      due: due.toISOString().slice(0, 10),
    };
    await job.log(`invoice ${number} over ${invoice.total} EUR`);
    // The same id at every try: a second run of this job sends no second mail.
    const mail = await email.add(
      'invoice',
      { to, name, ...invoice },
      { jobId: `invoice-${number}`, attempts: 3, backoff: { type: 'exponential', delay: 2000 } },
    );
    await job.updateProgress(100);
    return { ...invoice, mail: mail.id };
  },
  { connection: connections[1], concurrency: 3, name: 'node-invoices' },
);

invoices.on('failed', (job, error) => console.log(`${job?.id} failed: ${error.message}`));
invoices.on('error', () => {}); // told by its connection
email.on('error', () => {});
console.log('working the queue invoices');

async function stop() {
  await invoices.close(); // what runs is finished first
  await email.close();
  for (const connection of connections) connection.disconnect();
}
for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => void stop());
