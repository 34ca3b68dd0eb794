"""PyPI's bullmq as a peer: what peer.mjs is for Node; run by the Python that has it.

The same lines of JSON: make an object, call a method of it or of one of its jobs. A processor is
the source of an expression, a coroutine function of a job and a token.
"""

import asyncio
import inspect
import json
import sys

import bullmq
import redis.asyncio

NAMES = """
    id name data opts delay priority timestamp processedOn finishedOn attemptsMade attemptsStarted
    stalledCounter returnvalue failedReason stacktrace progress parentKey
"""
FIELDS = NAMES.split()
objects = {}
clients = {}


def say(message):
    print(json.dumps(message, default=plain), flush=True)


def plain(value):
    if isinstance(value, BaseException):
        return {"name": type(value).__name__, "message": str(value), "stack": ""}
    if isinstance(value, bullmq.Job):
        return {name: getattr(value, name) for name in FIELDS}
    return str(value)


def make(request):
    *given, options = request["args"]
    # One client for all; whoever waits for jobs or events takes a socket of its own.
    path = options.pop("connection")["path"]
    if path not in clients:
        clients[path] = redis.asyncio.Redis(unix_socket_path=path, decode_responses=True)
    options["connection"] = clients[path]
    if request["processor"]:
        given.append(eval(request["processor"]))
    made = objects[request["as"]] = getattr(bullmq, request["make"])(*given, options)
    if hasattr(made, "emit"):
        emit = made.emit

        def told(event, *args, **named):
            if ":" not in event:
                say({"from": request["as"], "event": event, "args": args})
            emit(event, *args, **named)

        made.emit = told


async def answer(request):
    if "shut" in request:
        return None
    if "make" in request:
        return make(request)
    target = objects[request["on"]]
    if request["call"] == "close":
        del objects[request["on"]]
        if isinstance(target, bullmq.Queue):
            return None  # it would close everybody's client
    if "job" in request:
        target = await target.getJob(request["job"])
        if target is None:
            raise LookupError(f"no job {request['job']}")
    found = getattr(target, request["call"])(*request["args"])
    return await found if inspect.isawaitable(found) else found


async def serve(request):
    try:
        say({"n": request["n"], "value": await answer(request)})
    except Exception as error:
        say({"n": request["n"], "error": error})


async def main():
    tasks = set()
    while line := await asyncio.to_thread(sys.stdin.readline):
        task = asyncio.create_task(serve(json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


asyncio.run(main())
