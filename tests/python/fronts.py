"""Real proxies in front of the server, with the configurations of README.md and docs/proxies.md.

Only addresses, files and certificates are replaced in them.
"""

import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile

from harness import WAIT_MAX_S, block_of, program, replace, reserve_port, until
from test_nginx import MAIN as NGINX_MAIN


def children(pid):
    return set(pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


class Front:
    """A running proxy. `backends` are HOST:PORT."""

    # Whether it reports that a client has gone while it waits for a response.
    reports_closed_tabs = True
    # Whether it waits for a server that is away, and the status if not.
    waits_for_server = False
    status_without_server = 502

    def __init__(self, test, backends, change=lambda block: block):
        self.folder = pathlib.Path(test.enterContext(tempfile.TemporaryDirectory()))
        self.port = reserve_port(test)
        self.url = f"http://127.0.0.1:{self.port}"
        self.file = self.folder / "front.conf"
        self.file.write_text(change(self.configuration(backends)))
        with (self.folder / "output.log").open("wb") as output:
            self.process = subprocess.Popen(
                self.command(), stdout=output, stderr=output, env=self.environment()
            )
        test.addCleanup(self.stop)
        until(self.listens, f"{type(self).__name__} listens: {self.logs()}")

    def environment(self):
        return os.environ

    def listens(self):
        assert self.process.poll() is None, self.logs()
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", self.port), WAIT_MAX_S).close()
            return True

    def logs(self):
        """All that it has written."""
        return "".join(file.read_text() for file in sorted(self.folder.glob("*.log")))

    def reload(self):
        """Returns when new processes serve new requests."""
        before = children(self.process.pid)
        self.reload_command()
        until(lambda: children(self.process.pid) - before, "it has reloaded")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(WAIT_MAX_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


class Nginx(Front):
    def configuration(self, backends):
        pairs = [
            (r"listen 443 ssl;", f"listen 127.0.0.1:{self.port};"),
            (r" *ssl_certificate .*\n", ""),
            (r" *ssl_certificate_key .*\n", ""),
            (r"/var/log/nginx/skirmish\.log", "access.log"),
            (r"/var/log/nginx/skirmish-error\.log", "error.log"),
        ]
        block = block_of("README.md", "With nginx", "nginx")
        if len(backends) == 1:
            pairs.append((r"127\.0\.0\.1:8765", backends[0]))
        else:
            block = block_of("docs/proxies.md", "## Several processes", "nginx") + block
            pairs += [
                (r"server 127\.0\.0\.1:8765 ", f"server {backends[0]} "),
                (r"server 127\.0\.0\.1:8766 ", f"server {backends[1]} "),
                (
                    r"proxy_pass http://127\.0\.0\.1:8765;",
                    "proxy_pass http://skirmish; proxy_next_upstream off;",
                ),
            ]
        return NGINX_MAIN.format(block=replace(block, pairs))

    def command(self):
        return [program("nginx"), "-p", self.folder, "-c", self.file.name, "-e", "error.log"]

    def reload_command(self):
        subprocess.run([*self.command(), "-s", "reload"], check=True)


class Haproxy(Front):
    waits_for_server = True
    status_without_server = 503

    def configuration(self, backends):
        block = block_of("docs/proxies.md", "## HAProxy", "haproxy")
        pairs = [
            (r"log /dev/log local0", "log stdout format raw local0\n    maxconn 200"),
            (r":443 ssl crt .*", f"127.0.0.1:{self.port}"),
        ]
        if len(backends) == 1:
            pairs.append((r"127\.0\.0\.1:8765", backends[0]))
        else:
            several = block_of("docs/proxies.md", "## Several processes", "haproxy")
            rules, backend = several.removeprefix("frontend players\n").split("backend ")
            pairs += [
                (r"(?m)^ +default_backend", f"{rules}    default_backend"),
                (r"(?s)backend skirmish\n    server.*", f"backend {backend}"),
            ]
            block = replace(block, pairs)
            pairs = [
                (r"127\.0\.0\.1:8765", backends[0]),
                (r"127\.0\.0\.1:8766", backends[1]),
            ]
        return replace(block, pairs)

    def command(self):
        return [program("haproxy"), "-W", "-f", self.file]

    def listens(self):
        # For some ms after its start the master (2.6.12) ignores this signal.
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        caught = int(re.search(r"SigCgt:\s*(\w+)", status)[1], 16)
        return super().listens() and caught & 1 << signal.SIGUSR2 - 1

    def reload_command(self):
        # What `systemctl reload haproxy` does.
        self.process.send_signal(signal.SIGUSR2)


class Caddy(Front):
    def configuration(self, backends):
        block = block_of("README.md", "With Caddy", "caddy")
        return replace(
            block,
            [
                (
                    r"\A{\n",
                    f"{{\n    admin unix/{self.folder}/admin\n    persist_config off\n",
                ),
                (r"play\.example\.com {", f"http://:{self.port} {{\n    bind 127.0.0.1"),
                (r"127\.0\.0\.1:8765", backends[0]),
            ],
        )

    def environment(self):
        return {**os.environ, "HOME": str(self.folder)}

    def caddy(self, command, *flags):
        caddy = pathlib.Path(sys.executable).parent / "caddy"
        return [caddy, command, "--config", self.file, "--adapter", "caddyfile", *flags]

    def command(self):
        return self.caddy("run")

    def reload(self):
        command = self.caddy("reload", "--force", "--address", f"unix/{self.folder}/admin")
        subprocess.run(
            command, check=True, env=self.environment(), stderr=subprocess.DEVNULL
        )


class Apache(Front):
    reports_closed_tabs = False
    status_without_server = 503
    # What stands around the block of docs/proxies.md.
    MAIN = """
    ServerName localhost
    DefaultRuntimeDir {folder}
    PidFile {folder}/apache.pid
    ErrorLog {folder}/error.log
    {user}
    LoadModule mpm_event_module {modules}/mod_mpm_event.so
    LoadModule authz_core_module {modules}/mod_authz_core.so
    LoadModule headers_module {modules}/mod_headers.so
    LoadModule proxy_module {modules}/mod_proxy.so
    LoadModule proxy_http_module {modules}/mod_proxy_http.so
    Listen 127.0.0.1:{port}
    {block}
    """

    def configuration(self, backends):
        block = replace(
            block_of("docs/proxies.md", "## Apache", "apache"),
            [
                (r"\*:443", f"127.0.0.1:{self.port}"),
                (r" *SSLEngine .*\n", ""),
                (r" *SSLCertificateFile .*\n", ""),
                (r" *SSLCertificateKeyFile .*\n", ""),
                (r"/var/log/apache2/skirmish\.log", f"{self.folder}/access.log"),
                (r"127\.0\.0\.1:8765", backends[0]),
            ],
        )
        return self.MAIN.format(
            folder=self.folder,
            # As root it needs another user for its processes.
            user="User #65534\nGroup #65534" if os.geteuid() == 0 else "",
            modules="/usr/lib/apache2/modules",
            port=self.port,
            block=block,
        )

    def command(self):
        return [program("apache2"), "-f", self.file, "-D", "FOREGROUND"]

    def reload_command(self):
        subprocess.run([program("apache2"), "-f", self.file, "-k", "graceful"], check=True)

    def stop(self):
        if self.process.poll() is None:
            workers = children(self.process.pid)
            self.process.terminate()
            # It gives them 10 s, of which some with connections make use.
            for pid in workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        super().stop()


FRONTS = [Nginx, Haproxy, Caddy, Apache]
