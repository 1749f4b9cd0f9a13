"""The peer (d): nginx with gzip_static, which sends files as they lie: the floor."""

import gzip
import os
import shutil
import zlib
from pathlib import Path
from typing import Final

from benchmarks.programs import MissingToolError, Program, free_port

_CONFIGURATION: Final = """\
worker_processes auto;
daemon off;
pid {folder}/pid;
error_log stderr error;
{user}
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    gzip_static on;
    types {{ }}
    default_type "text/plain; version=0.0.4; charset=utf-8";
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        root {folder}/files;
    }}
}}
"""


def start(folder: Path, log: Path, *, plain: bytes, compressed: bytes) -> Program:
    """Serve these very bytes under /metrics; `compressed` to whoever takes gzip."""
    binary = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if binary is None:
        raise MissingToolError("nginx is not measured: apt-get install nginx-light")
    if zlib.decompress(compressed, wbits=31) != plain:
        raise ValueError("the compressed body is not the plain one: nginx would serve two different things")
    files = folder / "files"
    files.mkdir(parents=True)
    (files / "metrics").write_bytes(plain)
    (files / "metrics.gz").write_bytes(compressed)
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    configuration = folder / "nginx.conf"
    configuration.write_text(_CONFIGURATION.format(folder=folder, port=port, user=user))
    return Program("nginx", [binary, "-p", str(folder), "-c", str(configuration)], log).ready_on(port)


def compress(plain: bytes) -> bytes:
    """Return the body as one gzip stream, where no program has made one."""
    return gzip.compress(plain, compresslevel=6, mtime=0)
