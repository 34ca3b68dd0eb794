"""The table of BullMQ's features leaves nothing out of Node's methods, options and events."""

import json
import subprocess
from pathlib import Path

from tests import parity
from tests.interop import options
from tests.machine import PEERS

# What Node's classes use among themselves, though JavaScript hides nothing.
NAMES = """
    Queue.emit Queue.off Queue.on Queue.once Queue.metaValues Queue.jobScheduler Queue.addJob
    Queue.commandByType Queue.sanitizeJobTypes Queue.getRanges Queue.baseGetClients
    Queue.parseClientList Job.createBackend Job.asJSONSandbox Job.shouldRetryJob
    Job.getSpanOperation Job.recordJobMetrics Job.queueName Job.prefix Job.isInState Job.addJob
    Job.toFlowEntry Job.validateOptions Job.updateStacktrace Job.setSpanJobAttributes
    Worker.createBackend Worker.createLockManager Worker.createSandbox Worker.extendJobLocks
    Worker.emit Worker.off Worker.on Worker.once Worker.callProcessJob Worker.createJob
    Worker.jobScheduler Worker.waitForRateLimit Worker.mainLoop Worker.minimumBlockTimeout
    Worker.maximumBlockTimeout Worker.isRateLimited Worker.moveToActive Worker.waitForJob
    Worker.getBlockTimeout Worker.getRateLimitDelay Worker.delay Worker.updateDelays
    Worker.nextJobFromJobData Worker.processJob Worker.getUnrecoverableErrorMessage
    Worker.handleCompleted Worker.handleFailed Worker.stalledChecker Worker.whenCurrentJobsFinished
    Worker.retryIfFailed Worker.moveStalledJobsToWait Worker.moveLimitedBackToWait
    QueueEvents.emit QueueEvents.off QueueEvents.on QueueEvents.once QueueEvents.run
    QueueEvents.consumeEvents FlowProducer.emit FlowProducer.off FlowProducer.on FlowProducer.once
    FlowProducer.Job FlowProducer.getBackend FlowProducer.addNode FlowProducer.collectFlowEntry
    FlowProducer.addNodes FlowProducer.getNode FlowProducer.validateFlowJobs
    FlowProducer.addChildren FlowProducer.getChildren FlowProducer.queueFromNode
    FlowProducer.toFlowError
"""
INTERNAL = frozenset(NAMES.split())
SCRIPT = Path(__file__).with_name("methods.mjs")


def test_every_method_of_node_s_stands_in_the_table(node: Path) -> None:
    command = [str(node), str(SCRIPT), str(PEERS / "bullmq-6")]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    methods = set(json.loads(answer.stdout))
    assert len(methods) > 150
    told = {row.theirs for row in parity.rows()}
    assert not methods - told - INTERNAL
    assert not INTERNAL & told
    assert not INTERNAL - methods


def test_every_option_and_event_of_node_s_stands_in_the_table() -> None:
    interfaces = options.declared(PEERS / "bullmq-6")
    strange = interfaces.keys() - options.TOLD.keys() - options.WITHIN
    assert not strange, (
        "say in options.py where these stand in the table, or that they are internal"
    )
    assert not (options.TOLD.keys() | options.WITHIN) - interfaces.keys()
    assert len(interfaces["WorkerOptions"]) > 15
    told = options.told([row.theirs for row in parity.rows()])
    missing = {
        f"{owner}.{name}"
        for interface, owner in options.TOLD.items()
        for name in interfaces[interface]
        if f"{owner}.{name}" not in told
    }
    assert not missing
