"""The table of BullMQ's features leaves nothing out: Node itself is asked what methods it has."""

import json
import subprocess
from pathlib import Path

from tests import parity
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
