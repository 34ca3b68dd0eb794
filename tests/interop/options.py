"""What BullMQ for Node declares of its options and listeners, read from its own declarations."""

import re
from itertools import zip_longest
from pathlib import Path

# What stands in the table for each of them: "Queue" for "Queue.prefix" or "Queue(prefix, ...)".
TOLD = {
    "QueueBaseOptions": "Queue",
    "KeyPrefixOptions": "Queue",
    "QueueOptions": "Queue",
    "AdvancedRepeatOptions": "Queue",
    "ObliterateOpts": "Queue.obliterate",
    "RepeatOptions": "Queue.upsertJobScheduler",
    "QueueListener": "Queue.on",
    "WorkerOptions": "Worker",
    "SandboxedOptions": "Worker",
    "AdvancedOptions": "Worker",
    "RateLimiterOptions": "Worker.limiter",
    "MetricsOptions": "Worker.metrics",
    "GetNextJobOptions": "Worker.getNextJob",
    "WorkerListener": "Worker.on",
    "QueueEventsOptions": "QueueEvents",
    "QueueEventsListener": "QueueEvents.on",
    "DefaultJobOptions": "JobOptions",
    "BaseJobOptions": "JobOptions",
    "CompressableJobOptions": "JobOptions",
    "BackoffOptions": "JobOptions.backoff",
    "DeduplicationOptions": "JobOptions.deduplication",
    "ParentOptions": "JobOptions.parent",
    "KeepJobs": "KeepJobs",
    "RetryOptions": "Job.retry",
    "MoveToDelayedOpts": "Job.moveToDelayed",
    "MoveToWaitingChildrenOpts": "Job.moveToWaitingChildren",
    "DependenciesOpts": "Job.getDependencies",
    "DependencyOpts": "Job.getDependencies",
    "FlowJobBase": "FlowJob",
    "FlowParentJob": "FlowJob",
    "FlowOpts": "FlowProducer.add",
    "NodeOpts": "FlowProducer.getFlow",
    "FlowProducerListener": "FlowProducer.on",
}
# Made of others, of one client or one backend, or passed about within BullMQ.
_NAMES = """
    AddChildrenOpts AddNodeOpts BaseOptions BulkJobOptions ChildPoolOpts ClusterOptions
    ConnectionOptions DefaultQueueOptions FlowDeduplicationOptions FlowJobOpts
    FlowNestedLeafJobOpts FlowParentJobOpts FlowProducerOptions FlowQueuesOpts FlowRootJobOpts
    JobSchedulerJobOptions JobSchedulerTemplateOptions JobsOptions ParentKeyOpts
    QueueEventsProducerOptions RedisKeyPrefixOptions RedisOptions RepeatBaseOptions
    RepeatableOptions RetryJobOpts IoredisListener LockManagerOptions MetricOptions
    RelayBackendOptions RelayListener RelayOptions RelayPublishOptions RelayPublishOpts
    SpanOptions
"""
WITHIN = frozenset(_NAMES.split())
_HEAD = re.compile(r"^(?:export )?(?:declare )?(interface|type) (\w+)", re.MULTILINE)
_NAME = re.compile(r"^ {4}(\w+)\??(?:\(|:)", re.MULTILINE)
_FAMILY = re.compile(r"(Options|Opts|Listener)$")


def declared(folder: Path) -> dict[str, set[str]]:
    """The names in each interface of options or of listeners, by the interface's own name."""
    found: dict[str, set[str]] = {}
    root = folder / "node_modules/bullmq/dist/esm"
    for place in ("classes", "interfaces", "types"):
        for path in sorted((root / place).glob("*.d.ts")):
            text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
            heads = list(_HEAD.finditer(text))
            for head, after in zip_longest(heads, heads[1:]):
                name = head[2]
                if not (_FAMILY.search(name) or name in TOLD):
                    continue
                body = text[head.start() : after.start() if after else len(text)]
                end = r"^\}" if head[1] == "interface" else r"^(?:export|declare)(?! type \w+ =)"
                names = _NAME.findall(re.split(end, body, maxsplit=1, flags=re.MULTILINE)[0])
                found.setdefault(name, set()).update(names)
    return found


def told(rows: list[str]) -> set[str]:
    """All that rows of the table tell of; one may hold several: ``Queue.on(waiting, paused)``."""
    found: set[str] = set()
    for row in rows:
        owner, _, inner = row.partition("(")
        for one in inner.rstrip(")").split(", ") if inner else [""]:
            name = f"{owner}.{one}" if one else owner
            # A row of what stands within an option tells the option, too.
            parts = name.split(".")
            found.update(".".join(parts[:end]) for end in range(1, len(parts) + 1))
    return found
