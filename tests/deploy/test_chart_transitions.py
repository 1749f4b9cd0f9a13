"""Upgrades from one set of values to another: each works in place, or is refused with the commands that do it.

Kubernetes' own validation of updates is not at hand; what it does not let change is compared between two renders.
"""

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import pytest
import yaml

from tests.deploy.chart import CHART, HELMS, NAME, Object, configured, one, render, workload
from tests.deploy.cluster import upgrade
from tests.programs import needs

pytestmark = needs(*HELMS)


class Transition(NamedTuple):
    """A row of README's table."""

    change: str
    before: dict[str, Any]
    after: dict[str, Any]
    refused: bool = False


def claims(total: int = 1, **given: Any) -> dict[str, Any]:
    return {"sharding": {"total": total}, "persistence": {"type": "pvc", "size": "2Gi", "storageClass": "fast"} | given}


NOTHING: Final[dict[str, Any]] = {}
SHARDED: Final = {"sharding": {"total": 2}}
TRANSITIONS: Final = (
    Transition("`persistence.type` emptyDir to pvc", NOTHING, claims()),
    Transition("`persistence.type` pvc to emptyDir", claims(), NOTHING),
    Transition("`persistence.enabled` false", claims(), {"persistence": {"enabled": False}}),
    Transition("`persistence.existingClaim`", claims(), claims(existingClaim="mine")),
    Transition("`persistence.size` larger", claims(size="900Mi"), claims(size="1Gi")),
    Transition("`persistence.size` smaller", claims(size="2Gi"), claims(size="2G"), refused=True),
    Transition("`persistence.storageClass` another", claims(), claims(storageClass="slow"), refused=True),
    Transition("`persistence.accessModes`", claims(), claims(accessModes=["ReadWriteMany"]), refused=True),
    Transition("`persistence.annotations`", claims(), claims(annotations={"a": "b"})),
    Transition("`persistence.type` emptyDir to pvc, sharded", SHARDED, claims(2), refused=True),
    Transition("`persistence.type` pvc to emptyDir, sharded", claims(2), SHARDED, refused=True),
    Transition(
        "`persistence.enabled` false, sharded", claims(2), SHARDED | {"persistence": {"enabled": False}}, refused=True
    ),
    Transition("`persistence.size`, sharded", claims(2), claims(2, size="4Gi"), refused=True),
    Transition("`persistence.storageClass`, sharded", claims(2), claims(2, storageClass=None), refused=True),
    Transition("`persistence.accessModes`, sharded", claims(2), claims(2, accessModes=["ReadWriteMany"]), refused=True),
    Transition("`persistence.annotations`, sharded", claims(2), claims(2, annotations={"a": "b"}), refused=True),
    Transition("`sharding.total` from one to several", claims(1), claims(3)),
    Transition("`sharding.total` from several to one", claims(3), claims(1)),
    Transition("`sharding.total` more or fewer", claims(2), claims(5)),
    Transition(
        "`nameOverride` beside a fixed `fullnameOverride`",
        claims(2) | {"fullnameOverride": "clicks", "nameOverride": "a"},
        claims(2) | {"fullnameOverride": "clicks", "nameOverride": "b"},
    ),
    Transition("`fullnameOverride`, `nameOverride`, `namespaceOverride`", NOTHING, {"fullnameOverride": "clicks"}),
    Transition("`commonLabels`, `podLabels`", claims(2), claims(2) | {"commonLabels": {"a": "b"}}),
    Transition("`revisionHistoryLimit`", SHARDED, SHARDED | {"revisionHistoryLimit": 3}),
    Transition(
        "`updateStrategy` and back to the default",
        {"updateStrategy": {"type": "RollingUpdate"}},
        {"updateStrategy": {}},
    ),
    Transition("`service.ipDualStack.enabled`", NOTHING, {"service": {"ipDualStack": {"enabled": True}}}),
    Transition(
        "`service.ipDualStack.ipFamilies` with another first",
        {"service": {"ipDualStack": {"enabled": True, "ipFamilies": ["IPv4", "IPv6"]}}},
        {"service": {"ipDualStack": {"enabled": True, "ipFamilies": ["IPv6", "IPv4"]}}},
        refused=True,
    ),
    Transition("`service.type`", {"service": {"type": "NodePort"}}, NOTHING),
    Transition(
        "`service.loadBalancerClass`",
        {"service": {"type": "LoadBalancer", "loadBalancerClass": "example.org/a"}},
        {"service": {"type": "LoadBalancer", "loadBalancerClass": "example.org/b"}},
        refused=True,
    ),
    Transition("`containerPort`, `service.port`", SHARDED, SHARDED | {"containerPort": 20154}),
    Transition(
        "`config.existingConfigMap`", NOTHING, {"config": {"automations": [], "existingConfigMap": {"name": "ours"}}}
    ),
)

# What may change in place in a StatefulSet's spec (revisionHistoryLimit only on recent clusters).
MUTABLE: Final = {
    *("replicas", "template", "updateStrategy", "persistentVolumeClaimRetentionPolicy", "minReadySeconds", "ordinals"),
}
UNITS: Final = {"": 1, "Mi": 2**20, "Gi": 2**30, "G": 10**9}


def size(claim: Object) -> float:
    number, unit = re.fullmatch(r"(\d+)(\D*)", claim["resources"]["requests"]["storage"]).groups()  # type: ignore[union-attr]
    return int(number) * UNITS[unit]


def forbidden(old: Object, new: Object) -> Iterator[str]:
    """Yield what Kubernetes does not let change from one object to the other."""
    before, after = old.get("spec", {}), new.get("spec", {})
    kind = old["kind"]
    if kind == "StatefulSet":
        yield from (
            key
            for key in before.keys() | after.keys() - MUTABLE
            if key not in MUTABLE and before.get(key) != after.get(key)
        )
    if kind == "Deployment" and before["selector"] != after["selector"]:
        yield "selector"
    if kind == "PersistentVolumeClaim":
        yield from (key for key in ("accessModes", "storageClassName") if before.get(key) != after.get(key))
        if size(after) < size(before):
            yield "storage"
    if kind == "Service":
        if before.get("clusterIP") != after.get("clusterIP"):
            yield "clusterIP"
        # The cluster's own choice is not known, so a first family that is named only now is not forbidden by itself.
        if {"ipFamilies"} <= before.keys() & after.keys() and before["ipFamilies"][0] != after["ipFamilies"][0]:
            yield "ipFamilies"
        if before["type"] == after["type"] == "LoadBalancer" and before.get("loadBalancerClass") != after.get(
            "loadBalancerClass"
        ):
            yield "loadBalancerClass"
    if kind == "Secret" and old["type"] != new["type"]:
        yield "type"


def blocked(before: list[Object], after: list[Object]) -> list[str]:
    """Return what stands in the way of an upgrade from one render to the other."""
    new = {(found["kind"], found["metadata"]["name"]): found for found in after}
    return [
        f"{found['kind']}: {reason}"
        for found in before
        for later in [new.get((found["kind"], found["metadata"]["name"]))]
        if later
        for reason in forbidden(found, later)
    ]


def ids(transition: Transition) -> str:
    return transition.change.replace("`", "")


@pytest.mark.parametrize("transition", TRANSITIONS, ids=ids)
def test_each_transition_is_possible_or_known_not_to_be(transition: Transition) -> None:
    before, after = (render("helm-4", values=configured(**values)) for values in transition[1:3])

    assert bool(blocked(before, after)) == transition.refused, blocked(before, after)


@pytest.mark.parametrize("transition", [each for each in TRANSITIONS if each.refused], ids=ids)
@pytest.mark.parametrize("version", HELMS)
def test_an_impossible_upgrade_is_refused_with_the_commands_that_do_it(version: str, transition: Transition) -> None:
    before = render("helm-4", values=configured(**transition.before))
    status, said = upgrade(version, before, configured(**transition.after))

    assert status != 0
    kind = (
        "service"
        if "service" in transition.before
        else "statefulset"
        if SHARDED.items() <= transition.before.items()
        else "persistentvolumeclaim"
    )
    assert f"kubectl --namespace clicks delete {kind} {NAME}" in said


# Those for which the chart looks at what the cluster has.
LOOKED_AT: Final = [
    each for each in TRANSITIONS if not each.refused and {"persistence", "service", "sharding"} & each.after.keys()
]


@pytest.mark.parametrize("transition", LOOKED_AT, ids=ids)
def test_a_possible_upgrade_is_let_through(transition: Transition) -> None:
    before = render("helm-4", values=configured(**transition.before))
    status, said = upgrade("helm-4", before, configured(**transition.after))

    assert status == 0, said


@pytest.mark.parametrize("version", HELMS)
@pytest.mark.parametrize("values", [claims(), claims(3, annotations={"a": "b"}), claims(2, storageClass="")])
def test_an_upgrade_that_changes_nothing_is_let_through(version: str, values: Object) -> None:
    before = render(version, values=configured(**values))

    assert upgrade(version, before, configured(**values))[0] == 0


def test_a_claim_keeps_its_class_where_the_values_no_longer_name_one() -> None:
    before = render("helm-4", values=configured(**claims()))
    status, rendered = upgrade("helm-4", before, configured(**claims(storageClass=None)))
    after = [found for found in yaml.safe_load_all(rendered) if found]

    assert status == 0, rendered
    assert one(after, "PersistentVolumeClaim")["spec"]["storageClassName"] == "fast"


@pytest.mark.parametrize("total", [1, 2])
@pytest.mark.parametrize("strategy", [{}, {"type": "Recreate"}, {"type": "OnDelete"}])
def test_a_strategy_without_a_rolling_update_takes_away_what_one_left(total: int, strategy: dict[str, str]) -> None:
    spec = workload(render("helm-4", values=configured(sharding={"total": total}, updateStrategy=strategy)))["spec"]
    found = spec["strategy" if total == 1 else "updateStrategy"]

    assert found["type"] == "RollingUpdate" or found["rollingUpdate"] is None


def test_a_rolling_update_of_the_users_arrives_with_and_without_its_type() -> None:
    rolling = {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    strategies = [
        one(render("helm-4", values=configured(updateStrategy=given)), "Deployment")["spec"]["strategy"]
        for given in (rolling, rolling | {"type": "RollingUpdate"})
    ]

    assert strategies == [rolling, rolling | {"type": "RollingUpdate"}]


def test_readme_lists_every_transition_and_what_it_takes() -> None:
    text = (CHART / "README.md").read_text()
    table = text.partition("### What can be changed")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \| (.*?) \|$", table, re.MULTILINE)

    assert [change for change, _ in rows] == [transition.change for transition in TRANSITIONS]
    for (change, outcome), transition in zip(rows, TRANSITIONS, strict=True):
        assert outcome.startswith("refused") == transition.refused, change
