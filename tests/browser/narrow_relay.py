"""A TCP relay with a small receive buffer towards a server, which Node cannot set.

usage: narrow_relay.py SERVER_PORT

It prints its own port. `hold PORT` on its standard input stops reading from the server for the
client that is connected from PORT, so that the server's next writes come short, and `release PORT`
resumes.
"""

import socket
import sys
import threading

BUFFER_BYTES = 4096
running = {}


def pump(source, target, may_read):
    try:
        while may_read.wait() and (data := source.recv(BUFFER_BYTES)):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, target):
            end.close()


def relay(client, port):
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    server.connect(("127.0.0.1", port))
    for end in (client, server):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    always = threading.Event()
    always.set()
    may_read = running[client.getpeername()[1]] = threading.Event()
    may_read.set()
    for ends in ((client, server, always), (server, client, may_read)):
        threading.Thread(target=pump, args=ends, daemon=True).start()


def accept(listener, port):
    while True:
        relay(listener.accept()[0], port)


listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
threading.Thread(target=accept, args=(listener, int(sys.argv[1])), daemon=True).start()
for line in sys.stdin:
    command, port = line.split()
    event = running[int(port)]
    event.clear() if command == "hold" else event.set()
