"""Connections to the server, byte by byte: HTTP, WebSocket frames (RFC 6455), and links whose bytes
have the time at which the kernel received them.
"""

import asyncio
import contextlib
import re
import socket
import struct
import time

HOST = "Host: 127.0.0.1\r\n"
POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = POLLING.replace("polling", "websocket")
UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
# Of socket(7): the time at which a packet was received, as a timespec.
SO_TIMESTAMPNS = 35
WAIT_S = 20


def request(target, fields="", method="GET", body=b""):
    return f"{method} {target} HTTP/1.1\r\n{HOST}{fields}\r\n".encode() + body


def frame(opcode, payload=b"", first=0x80):
    """A masked frame; the mask is zero."""
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 65_536:
        length = bytes([0x80 | 126]) + struct.pack(">H", size)
    else:
        length = bytes([0x80 | 127]) + struct.pack(">Q", size)
    return bytes([first | opcode]) + length + bytes(4) + payload


def unmasked_frames(buffer):
    """The complete frames at the beginning of a buffer, as (opcode, payload), and the rest."""
    found, at = [], 0
    while len(buffer) >= at + 2:
        length, start = buffer[at + 1], at + 2
        if length >= 126:
            size, form = (2, ">H") if length == 126 else (8, ">Q")
            if len(buffer) < start + size:
                break
            (length,) = struct.unpack_from(form, buffer, start)
            start += size
        if len(buffer) < start + length:
            break
        found.append((buffer[at] & 15, bytes(buffer[start : start + length])))
        at = start + length
    return found, buffer[at:]


def new_socket(source="127.0.0.1", receive_buffer=None, namespace=None, segment_bytes=None):
    # A socket is in the network namespace of the thread that makes it.
    with namespace() if namespace else contextlib.nullcontext():
        client = socket.socket()
    try:
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if segment_bytes:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, segment_bytes)
        client.setblocking(False)
        client.bind((source, 0))
    except OSError:
        client.close()
        raise
    return client


async def connect(port, source="127.0.0.1", receive_buffer=None, host="127.0.0.1", **options):
    """A socket that is connected to the server. `receive_buffer` bytes in the kernel show slow
    reading early.
    """
    client = new_socket(source, receive_buffer, **options)
    try:
        connecting = asyncio.get_running_loop().sock_connect(client, (host, port))
        await asyncio.wait_for(connecting, WAIT_S)
    except BaseException:
        client.close()
        raise
    return client


async def send(client, data):
    await asyncio.get_running_loop().sock_sendall(client, data)


async def receive(client, limit_s=WAIT_S):
    """The next bytes; none at the end."""
    return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 65536), limit_s)


async def read_response(client, limit_s=WAIT_S):
    """A response with its head and body."""
    received = b""
    while True:
        head, end, body = received.partition(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        if end and len(body) >= (int(length[1]) if length else 0):
            return head, body
        more = await receive(client, limit_s)
        if not more:
            raise ConnectionError("the response was cut off")
        received += more


async def read_to_end(client, limit_s=WAIT_S):
    """All bytes until the end of the connection, which may be a reset."""
    received, until = b"", time.monotonic() + limit_s
    try:
        while more := await receive(client, max(0.01, until - time.monotonic())):
            received += more
    except ConnectionError:
        pass
    return received


def status_of(response):
    found = re.match(rb"HTTP/1\.1 (\d+)", response)
    return int(found[1]) if found else None


async def ask(port, data, source="127.0.0.1", limit_s=WAIT_S):
    """Sends bytes on a connection of its own. Returns all that comes back."""
    client = await connect(port, source)
    try:
        try:
            await send(client, data)
        except ConnectionError:
            # It was refused before its end.
            pass
        return await read_to_end(client, limit_s)
    finally:
        client.close()


async def join(port, room, source="127.0.0.1", fields="", **options):
    """A WebSocket of the JSON dialect. Returns its socket and what came after the head."""
    client = await connect(port, source, **options)
    try:
        await send(client, request(f"/ws?room={room}", UPGRADE + fields))
        received = b""
        while b"\r\n\r\n" not in received:
            more = await receive(client)
            if not more:
                raise ConnectionError("no response to the upgrade")
            received += more
    except BaseException:
        client.close()
        raise
    head, _, rest = received.partition(b"\r\n\r\n")
    if status_of(head) != 101:
        client.close()
        raise ConnectionError(head.decode(errors="replace"))
    return client, rest


async def close_code(client, buffer=b"", limit_s=WAIT_S):
    """Reads until a close frame. Returns its code; None for an end without one."""
    until = time.monotonic() + limit_s
    while True:
        frames, buffer = unmasked_frames(buffer)
        for opcode, payload in frames:
            if opcode == CLOSE:
                return int.from_bytes(payload[:2], "big") if payload else None
        try:
            more = await receive(client, max(0.01, until - time.monotonic()))
        except ConnectionError:
            return None
        if not more:
            return None
        buffer += more


def reset(client):
    """Ends a connection with a reset."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


class WebSocket:
    """A WebSocket whose messages are handed to `on_message(opcode, payload, at)`, where `at` is the
    time in seconds at which the kernel received their last byte.
    """

    def __init__(self, client, on_message):
        self.client, self.on_message = client, on_message
        self.loop = asyncio.get_running_loop()
        # The code of the close frame and its payload, or None and the error.
        self.ended = self.loop.create_future()
        self.heard_at = time.monotonic()
        self.buffer, self.has_head = b"", False
        client.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.loop.add_reader(client, self.read)

    @classmethod
    async def open(cls, port, target, on_message, fields="", **options):
        client = await connect(port, **options)
        link = cls(client, on_message)
        link.write(request(target, UPGRADE + fields))
        return link

    def read(self):
        try:
            data, ancillary, _, _ = self.client.recvmsg(65536, 64)
        except BlockingIOError:
            return
        except OSError as error:
            self.end(None, str(error).encode())
            return
        if not data:
            self.end(None, b"ended without a close frame")
            return
        self.heard_at = time.monotonic()
        at = time.time()
        for _, kind, value in ancillary:
            if kind == SO_TIMESTAMPNS:
                seconds, nanoseconds = struct.unpack("qq", value)
                at = seconds + nanoseconds / 1e9
        self.buffer += data
        if not self.has_head:
            head, end, rest = self.buffer.partition(b"\r\n\r\n")
            if not end:
                return
            if status_of(head) != 101:
                self.end(None, head.partition(b"\r\n")[0])
                return
            self.has_head, self.buffer = True, rest
        frames, self.buffer = unmasked_frames(self.buffer)
        for opcode, payload in frames:
            if self.ended.done():
                return
            if opcode == PING:
                self.send(PONG, payload)
            elif opcode == CLOSE:
                code = int.from_bytes(payload[:2], "big") if payload else None
                self.end(code, payload[2:])
            elif opcode in (TEXT, BINARY):
                self.on_message(opcode, payload, at)

    def send(self, opcode, payload):
        self.write(frame(opcode, payload))

    def write(self, data):
        """Sends a few bytes; a socket that takes none of them ends."""
        if self.ended.done():
            return
        try:
            if self.client.send(data) != len(data):
                self.end(None, b"the socket took a part of a message")
        except OSError as error:
            self.end(None, str(error).encode())

    def end(self, code, reason, with_reset=False):
        if self.ended.done():
            return
        self.loop.remove_reader(self.client)
        reset(self.client) if with_reset else self.client.close()
        self.ended.set_result((code, reason))
