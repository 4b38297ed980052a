"""Runs ministack until standard input ends: however the tests end, it ends with them, and so do the functions that it runs."""

import os
import signal
import subprocess
import sys


def serve():
    """ministack itself, with the batches of a distributed Map, which it leaves out: it hands over item by item.

    Source: https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itembatcher.html
    """
    from ministack.app import main
    from ministack.services import stepfunctions

    run = stepfunctions._run_distributed_map

    def run_in_batches(state, raw_input, effective, iterator, execution, ctx):
        state = dict(state)
        if batcher := state.pop("ItemBatcher", None):
            items = stepfunctions._read_map_items(state.pop("ItemReader"), effective, ctx)
            shared = stepfunctions._resolve_params_obj(batcher.get("BatchInput", {}), effective, ctx)
            size = int(batcher["MaxItemsPerBatch"])
            effective = [{"BatchInput": shared, "Items": items[at : at + size]} for at in range(0, len(items), size)]
        return run(state, raw_input, effective, iterator, execution, ctx)

    stepfunctions._run_distributed_map = run_in_batches
    main()


def guard(log):
    """A process of its own, which is ended with everything that it started."""
    with open(log, "wb") as out:
        server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    # Whoever stops the tests by a signal to their group must not stop this before its work is done.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    print(server.pid, flush=True)
    sys.stdin.read()
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, number)
            server.wait(timeout=5)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            pass


if __name__ == "__main__":
    guard(sys.argv[1]) if len(sys.argv) > 1 else serve()
