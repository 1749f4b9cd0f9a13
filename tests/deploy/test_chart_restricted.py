"""Every pod of the chart, with what a user adds to it, is judged by the restricted pod security standard."""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.deploy.chart import CASES, HELMS, Object, case, configured, exporter, pod_specs, render, workload
from tests.programs import needs

pytestmark = needs(*HELMS)

# https://kubernetes.io/docs/concepts/security/pod-security-standards/: baseline, and what restricted adds.
VOLUMES: Final = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
SYSCTLS: Final = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
}
PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
SECCOMP: Final = {"RuntimeDefault", "Localhost"}
SELINUX: Final = {None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}


def complaints(spec: Object) -> Iterator[str]:
    """Yield what the restricted standard has against a pod's spec."""
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            yield key
    for volume in spec.get("volumes", ()):
        if not volume.keys() - {"name"} <= VOLUMES:
            yield f"volume {volume['name']}"
    pod = spec.get("securityContext", {})
    if not {found["name"] for found in pod.get("sysctls", ())} <= SYSCTLS:
        yield "sysctls"
    yield from identity("the pod", pod)
    for key in ("containers", "initContainers", "ephemeralContainers"):
        for container in spec.get(key, ()):
            yield from container_complaints(container, pod)


def identity(who: str, context: Object) -> Iterator[str]:
    """Yield what stands in the security context of a pod or a container alike."""
    if context.get("runAsUser") == 0:
        yield f"{who} runs as root"
    if context.get("seLinuxOptions", {}).get("type") not in SELINUX or context.get("seLinuxOptions", {}).keys() & {
        "user",
        "role",
    }:
        yield f"{who}: seLinuxOptions"
    if context.get("windowsOptions", {}).get("hostProcess"):
        yield f"{who}: hostProcess"
    if context.get("appArmorProfile", {}).get("type", "RuntimeDefault") == "Unconfined":
        yield f"{who}: appArmorProfile"


def container_complaints(container: Object, pod: Object) -> Iterator[str]:
    own: dict[str, Any] = container.get("securityContext", {})
    who = container["name"]
    yield from identity(who, own)
    if not own.get("runAsNonRoot", pod.get("runAsNonRoot")):
        yield f"{who}: runAsNonRoot"
    if own.get("seccompProfile", pod.get("seccompProfile", {})).get("type") not in SECCOMP:
        yield f"{who}: seccompProfile"
    if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
        yield f"{who}: privileges"
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", ()) or not set(capabilities.get("add", ())) <= {"NET_BIND_SERVICE"}:
        yield f"{who}: capabilities"
    if own.get("procMount", "Default") != "Default":
        yield f"{who}: procMount"
    if any(port.get("hostPort") for port in container.get("ports", ())):
        yield f"{who}: hostPort"
    for hook in (*container.get("lifecycle", {}).values(), *(container.get(name, {}) for name in PROBES)):
        if isinstance(hook, dict) and any(hook.get(kind, {}).get("host") for kind in ("httpGet", "tcpSocket")):
            yield f"{who}: host of a probe or hook"


@pytest.mark.parametrize("name", CASES)
def test_every_pod_of_every_case_is_restricted(name: str) -> None:
    specs = list(pod_specs(case("helm-4", name)))

    assert len(specs) == 2, "the workload's and the helm test's"
    for spec in specs:
        assert list(complaints(spec)) == []
        assert spec["enableServiceLinks"] is False
        assert spec["automountServiceAccountToken"] is False


def test_the_cases_hold_containers_of_the_users() -> None:
    specs = [spec for name in CASES for spec in pod_specs(case("helm-4", name))]

    assert any("initContainers" in spec and len(spec["containers"]) > 1 for spec in specs)


@pytest.mark.parametrize("name", CASES)
def test_the_exporters_own_containers_write_nowhere_else(name: str) -> None:
    for spec in pod_specs(case("helm-4", name)):
        own = [found for found in spec["containers"] if found["name"] in {"exporter", "scrape"}]

        assert [found["securityContext"]["readOnlyRootFilesystem"] for found in own] == [True]


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"extraContainers": [{"name": "side", "image": "x"}]}, "side: privileges"),
        ({"extraInitContainers": [{"name": "first", "image": "x"}]}, "first: capabilities"),
        ({"extraVolumes": [{"name": "disk", "hostPath": {"path": "/"}}]}, "volume disk"),
        ({"podSecurityContext": {"runAsUser": 0}}, "the pod runs as root"),
        ({"podSecurityContext": {"enabled": False}}, "exporter: runAsNonRoot"),
        ({"securityContext": {"enabled": False}}, "exporter: privileges"),
        ({"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}, "exporter: capabilities"),
        ({"podSecurityContext": {"seccompProfile": {"type": "Unconfined"}}}, "exporter: seccompProfile"),
    ],
)
def test_the_judge_sees_what_is_wrong(values: Object, complaint: str) -> None:
    spec = workload(render("helm-4", values=configured(**values)))["spec"]["template"]["spec"]

    assert complaint in list(complaints(spec))


@pytest.mark.parametrize("version", HELMS)
def test_on_openshift_the_platform_chooses_the_ids_and_the_rest_stays(version: str) -> None:
    for spec in pod_specs(case(version, "openshift-values.yaml")):
        assert spec["securityContext"] == {
            "runAsNonRoot": True,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        }


def test_the_exporter_has_a_memory_limit_to_start_from() -> None:
    resources = exporter(render("helm-4", values=configured()))["resources"]

    assert resources == {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}}
