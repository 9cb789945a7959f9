#!/bin/sh
# A good guess: sock_diag (netlink) without NLM_F_DUMP looks one TCP connection up by its two
# addresses and ports, as `ss` filters do, and answers ENOENT when there is no such connection.
#
# What happens: the kernel looks it up as it would for a packet. If the connection has ended, or never
# was, but a socket listens on the local port, the answer is that listener, without an error. Its
# idiag_rqueue and idiag_wqueue are then numbers of connections, those that wait and the backlog, in
# the fields that are bytes for a connection. Without a listener it is ENOENT, as guessed.
#
# Why it matters: a game server may ask which bytes a client's kernel has not acknowledged, to know
# whether a break of the network is over (SIOCOUTQ says the same, but needs an ioctl). For a client
# that has just gone, it reads the backlog of its own listener as bytes that are on their way, and
# waits for a client that does not exist. Check idiag_state, or the cookie of the socket.
#
# Seen with Linux 6.18:
#   open: state 1, wqueue 0
#   ended, with a listener: state 10, wqueue 7
#   ended, without: error 2
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >ask.py <<'PY'
import errno
import socket
import struct

NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, NLMSG_ERROR = 4, 20, 1, 2


def ask(local, peer):
    """What the kernel says of the connection with these two ends."""
    id_of_socket = struct.pack(
        "!HH4s12x4s12x", local[1], peer[1], socket.inet_aton(local[0]), socket.inet_aton(peer[0])
    ) + struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)
    request = struct.pack("=BBBxI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0xFFFFFFFF)
    request += id_of_socket
    head = struct.pack("=IHHII", 16 + len(request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_SOCK_DIAG) as netlink:
        netlink.send(head + request)
        answer = netlink.recv(4096)
    (kind,) = struct.unpack_from("=H", answer, 4)
    if kind == NLMSG_ERROR:
        return f"error {-struct.unpack_from('=i', answer, 16)[0]}"
    state = answer[17]
    (wqueue,) = struct.unpack_from("=I", answer, 16 + 60)
    return f"state {state}, wqueue {wqueue}"


listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(7)
client = socket.create_connection(listener.getsockname())
server, peer = listener.accept()
local = server.getsockname()
seen = {"open": ask(local, peer)}
# A reset leaves nothing behind.
client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
client.close()
server.close()
seen["ended, with a listener"] = ask(local, peer)
listener.close()
seen["ended, without"] = ask(local, peer)
for name, what in seen.items():
    print(f"{name}: {what}")
assert seen == {
    "open": "state 1, wqueue 0",
    "ended, with a listener": "state 10, wqueue 7",
    "ended, without": f"error {errno.ENOENT}",
}, "the kernel behaves in another way now"
PY
python3 ask.py
