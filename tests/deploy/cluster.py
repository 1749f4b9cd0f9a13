"""A Kubernetes API server of which helm's `lookup` can ask, holding the objects of an earlier render."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from tests.deploy.chart import CHART, NAMESPACE, RELEASE, Object, helm

# The kinds that the server knows, by the path below which they stand.
RESOURCES: Final = {
    "/api/v1": (
        ("services", "Service"),
        ("persistentvolumeclaims", "PersistentVolumeClaim"),
        ("configmaps", "ConfigMap"),
        ("pods", "Pod"),
        ("secrets", "Secret"),
        ("serviceaccounts", "ServiceAccount"),
    ),
    "/apis/apps/v1": (("statefulsets", "StatefulSet"), ("deployments", "Deployment")),
}
_APPS: Final = {"groupVersion": "apps/v1", "version": "v1"}


def _answers(objects: list[Object]) -> dict[str, Object]:
    """Return what the server answers, by path."""
    answers: dict[str, Any] = {
        "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {
            "kind": "APIGroupList",
            "groups": [{"name": "apps", "versions": [_APPS], "preferredVersion": _APPS}],
        },
    }
    for prefix, resources in RESOURCES.items():
        listed = [{"name": name, "kind": kind, "namespaced": True, "verbs": ["get"]} for name, kind in resources]
        group = prefix.removeprefix("/apis/").removeprefix("/api/")
        answers[prefix] = {"kind": "APIResourceList", "groupVersion": group, "resources": listed}
        for name, kind in resources:
            for found in objects:
                if found["kind"] == kind:
                    metadata = found["metadata"]
                    answers[f"{prefix}/namespaces/{metadata['namespace']}/{name}/{metadata['name']}"] = found
    return answers


@contextmanager
def cluster(objects: list[Object]) -> Iterator[str]:
    """Serve the objects on a loopback port; give the server's address."""
    answers = _answers(objects)
    missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = answers.get(self.path.partition("?")[0])
            body = json.dumps(found or missing).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep the tests' output for what fails."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def upgrade(version: str, before: list[Object], values: Object) -> tuple[int, str]:
    """Return helm's exit status and its complaint when the objects are there and the values are new."""
    with cluster(before) as address:
        done = helm(
            version,
            *("template", RELEASE, CHART, "--namespace", NAMESPACE, "--values", "-"),
            *("--is-upgrade", "--dry-run=server", "--disable-openapi-validation", "--kube-apiserver", address),
            values=json.dumps(values),
        )
    return done.returncode, done.stdout if done.returncode == 0 else done.stderr
