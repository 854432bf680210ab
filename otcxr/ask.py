"""Ask the nursery of `otcxr.workflow` to do a job, and end as it ends. Needs nothing but Python, so that it starts in no time:
    python -IS ask.py SOCKET ARGUMENT ...
"""
import json
import socket
import sys

with socket.socket(socket.AF_UNIX) as asked:
    asked.connect(sys.argv[1])
    socket.send_fds(asked, [json.dumps(sys.argv[2:]).encode()], [1, 2])
    said = asked.recv(8)
sys.exit(int(said) if said else 1)
