"""Runs ministack until standard input ends: however the tests end, it ends with them, and so do the functions that it runs."""

import os
import signal
import subprocess
import sys

bin_dir, log = sys.argv[1], sys.argv[2]
with open(log, "wb") as out:
    server = subprocess.Popen(
        [os.path.join(bin_dir, "python"), "-m", "ministack"],
        stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
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
