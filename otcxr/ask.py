"""Ask the nursery of `otcxr.workflow` to do a job, and end as it ends. Needs nothing but Python, so that it starts in no time:
    python -IS ask.py SOCKET ARGUMENT ...
"""
import json
import socket
import sys

def ask(
    door, # path of the nursery's socket
    arguments, # of the command `otcxr`
): # exit status
    "Pass the arguments and our output on, and wait"
    with socket.socket(socket.AF_UNIX) as asked:
        asked.connect(door)
        socket.send_fds(asked, [json.dumps(arguments).encode()], [1, 2])
        said = asked.recv(8)
    return int(said) if said else 1

if __name__ == '__main__': sys.exit(ask(sys.argv[1], sys.argv[2:]))
