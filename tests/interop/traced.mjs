// A Node service with bullmq-otel whose spans go to a collector: it adds to `orders`, which we work,
// and works `receipts`, to which we add. Arguments: the folder of the peer, the server's socket,
// the collector's address. It says {ready}, then {worked: <job>} for every receipt, and for each
// line on stdin adds one order with that line's JSON, below a span of its own.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [folder, path, url] = process.argv.slice(2);
const load = createRequire(`${folder}/`);
const { Queue, Worker, FlowProducer } = load("bullmq");
const { BullMQOtel } = load("bullmq-otel");
const { trace } = load("@opentelemetry/api");
const { NodeTracerProvider, SimpleSpanProcessor } = load("@opentelemetry/sdk-trace-node");
const { OTLPTraceExporter } = load("@opentelemetry/exporter-trace-otlp-http");

const provider = new NodeTracerProvider({
  spanProcessors: [new SimpleSpanProcessor(new OTLPTraceExporter({ url }))],
});
provider.register();
const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const telemetry = new BullMQOtel({ tracerName: "shop" });
const connection = { path };
const orders = new Queue("orders", { connection, telemetry });
const flows = new FlowProducer({ connection, telemetry });
const worker = new Worker("receipts", async () => "sent", { connection, telemetry });
worker.on("completed", (job) => say({ worked: { id: job.id, opts: job.opts } }));
await worker.waitUntilReady();
say({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  const { name, data, opts, flow } = JSON.parse(line);
  await trace.getTracer("shop").startActiveSpan("checkout", async (span) => {
    if (flow) await flows.add(flow);
    else await orders.add(name, data, opts);
    span.end();
  });
}
await worker.close();
await orders.close();
await flows.close();
await provider.forceFlush();
await provider.shutdown();
process.exit(0);
