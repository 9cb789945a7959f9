#!/bin/sh
# A good guess: when TCP_USER_TIMEOUT ends a connection whose peer has stopped to read, the kernel
# sends a reset, as it does for SO_LINGER 0, so that the peer learns of it.
#
# What happens: the socket fails with ETIMEDOUT and is gone, and nothing is sent. The peer has an
# established connection for as long as it sends nothing and reads nothing; as soon as it reads, its
# window update is answered with a reset. With SO_LINGER 0 a reset is sent, and arrives also while
# the buffer of the peer is full.
#
# Why it matters: a game server often sets TCP_USER_TIMEOUT (Linux) for pulled cables. It also ends
# stalled tabs and bots, and if that comes before the server's own deadline, their side keeps the
# connection, and the log of the server says "timed out" for a peer whose network works.
#
# Seen with Linux 6.18 and Python 3.11:
#   user timeout: 20 of 20 servers ETIMEDOUT, 20 of 20 peers established, after reading: reset
#   linger 0: 0 of 20 peers established
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >stalled.py <<'PY'
import errno
import platform
import socket
import struct
import time

PAIRS, TIMEOUT_MS, SECONDS = 20, 3000, 10
ESTABLISHED = 1


def stalled(listener):
    """A server's socket that can write no more, and its peer."""
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.connect(listener.getsockname())
    server, _ = listener.accept()
    server.setblocking(False)
    try:
        while True:
            server.send(bytes(2900))
    except BlockingIOError:
        return server, peer


def established(pairs):
    # The first byte of TCP_INFO is the state.
    infos = [peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) for _, peer in pairs]
    return sum(info[0] == ESTABLISHED for info in infos)


def read_all(peer):
    peer.settimeout(2)
    try:
        while peer.recv(65536):
            pass
        return "end"
    except ConnectionResetError:
        return "reset"


def error_of(server):
    return server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


listener = socket.create_server(("127.0.0.1", 0), backlog=100)
pairs = [stalled(listener) for _ in range(PAIRS)]
for server, _ in pairs:
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TIMEOUT_MS)
time.sleep(SECONDS)
ended = sum(error_of(server) == errno.ETIMEDOUT for server, _ in pairs)
kept = established(pairs)
after = {read_all(peer) for _, peer in pairs}
print(f"Linux {platform.release()}")
print(f"user timeout: {ended} of {PAIRS} servers ETIMEDOUT, {kept} of {PAIRS} peers established, "
      f"after reading: {', '.join(after)}")
lingering = [stalled(listener) for _ in range(PAIRS)]
for server, _ in lingering:
    server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    server.close()
time.sleep(1)
reset = established(lingering)
print(f"linger 0: {reset} of {PAIRS} peers established")
assert (ended, kept, after, reset) == (PAIRS, PAIRS, {"reset"}, 0), "it has changed"
PY
python3 stalled.py
