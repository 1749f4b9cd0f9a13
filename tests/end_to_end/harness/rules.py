"""Rule files as other hands change them: run faster, or confined to a namespace."""

import re
from typing import Final

import yaml

from tests.end_to_end.harness.promtool import with_matcher

# How many times faster rules run in tests: ten minutes of `for` are two seconds, a day of memory nearly five minutes.
SPEED: Final = 300
UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def faster(text: str, *, shortest_range: int = 1) -> str:
    """Return the rules with every duration divided by the speed, none below a second or its own bound."""

    def divide(match: re.Match[str]) -> str:
        seconds = sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)([smhdw])", match[2]))
        return f"{match[1]}{max(seconds // SPEED, shortest_range if match[1] == '[' else 1)}s"

    return re.sub(r"(\[|offset |for: |interval: )((?:\d+[smhdw])+)", divide, text)


def enforced(text: str, namespace: str) -> str:
    """Return the rules as the operator's enforcedNamespaceLabel rewrites them: every selector and every result."""
    content = yaml.safe_load(text)
    for group in content["groups"]:
        group["name"] += f" of {namespace}"
        for rule in group["rules"]:
            rule["expr"] = with_matcher(rule["expr"], "namespace", namespace, binary="promtool-newer")
            rule["labels"] = {**rule.get("labels", {}), "namespace": namespace}
    return yaml.safe_dump(content)
