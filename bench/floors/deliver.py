"""The deliver floor: the same bodies posted to the partner by a loop over `requests.Session`, in as many threads.

Reads from standard input a JSON list of lines of [URL, body], each posted by one thread in order; prints the seconds it took.
"""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import requests

HEADERS = {"Authorization": f"Bearer {os.environ['FLOOR_TOKEN']}", "Content-Type": "application/json"}


def post(lane: list[list[str]]) -> None:
    with requests.Session() as session:
        for url, body in lane:
            session.post(url, data=body.encode(), headers=HEADERS, timeout=30).raise_for_status()


lanes = json.load(sys.stdin)
with ThreadPoolExecutor(len(lanes)) as pool:
    began, cpu = time.monotonic(), time.process_time()
    list(pool.map(post, lanes))
    print(json.dumps({"wall_s": time.monotonic() - began, "cpu_s": time.process_time() - cpu}))
