"""Typical automations of marketing departments, generated from a seed."""

import base64
import hashlib
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from sendgrid_simulator.model import EPOCH, Automation, Link

_NAMES: Final = (
    "Welcome series",
    "Abandoned cart",
    "Win-back after 90 days",
    "Post-purchase care",
    "Birthday offer",
    "Trial to paid",
    "Newsletter onboarding",
    "Review request",
    "Loyalty milestones",
    "Back in stock",
)
_PAGES: Final = (
    "https://shop.example.com/?utm_source=sendgrid&utm_medium=email&utm_campaign={slug}",
    "https://shop.example.com/new-in?utm_source=sendgrid&utm_campaign={slug}&step={step}",
    "https://shop.example.com/cart/{{{{cart_id}}}}?utm_campaign={slug}",
    "https://shop.example.com/p/{number}?color=blue&size=M&utm_campaign={slug}",
    "https://blog.example.com/guides/{slug}-{number}#start",
    "https://shop.example.com/angebote/frühling-{number}?utm_campaign={slug}",
    "https://shop.example.com/account/{{{{customer_id}}}}/preferences",
    "https://support.example.com/hc/articles/{number}?lang={{{{locale}}}}",
)
_HOME: Final = "https://shop.example.com/"
_IMPRINT: Final = "https://shop.example.com/imprint"
_CLICK_RATES: Final = (0.02, 0.05)
_LINKS_PER_STEP: Final = 12
_HOME_PLACES: Final = (0, 8)
_UNPLACED: Final = (10, 11)
"""A footer's links, which SendGrid lists without a position: one URL twice, so that even the whole key repeats."""
_DEMO: Final = (("Welcome series", 66, 60_000.0), ("Abandoned cart", 30, 35_000.0), ("Win-back", 18, 15_000.0))


def simulated_key(seed: int) -> str:
    """Return an API key of the usual form, SG.<22>.<43>."""
    digest = hashlib.blake2b(f"key {seed}".encode(), digest_size=48).digest()
    text = base64.urlsafe_b64encode(digest + digest).decode().replace("=", "")
    return f"SG.{text[:22]}.{text[22:65]}"


def generated_automations(
    seed: int,
    automations: int,
    links: int,
    *,
    clicks_per_day: float = 2_000.0,
    started: float = EPOCH,
    click_rate: float | None = None,
) -> Iterator[Automation]:
    """Make automations with this many links each; the clicks per day are those of a whole automation."""
    for number in range(automations):
        round_, name = divmod(number, len(_NAMES))
        title = _NAMES[name] if round_ == 0 else f"{_NAMES[name]} {round_ + 1}"
        yield generated_automation(
            seed, title, links, clicks_per_day=clicks_per_day, started=started, click_rate=click_rate
        )


def generated_automation(
    seed: int,
    name: str,
    links: int,
    *,
    clicks_per_day: float = 2_000.0,
    started: float = EPOCH,
    click_rate: float | None = None,
) -> Automation:
    """Make one automation; its id, steps and links follow from the seed and the name, and so does a click rate."""
    # Shares by Zipf's law with an exponent of 0.8: few links have most of the clicks, as on real pages.
    ranks = [_number(f"{seed} {name} rank {number}") % max(links, 1) for number in range(links)]
    shares = [1 / (1 + rank) ** 0.8 for rank in ranks]
    made = tuple(_link(seed, name, number, clicks_per_day * shares[number] / sum(shares)) for number in range(links))
    if click_rate is None:
        lowest, highest = _CLICK_RATES
        click_rate = lowest + (highest - lowest) * (_number(f"{seed} {name} click rate") % 1_000) / 1_000
    return Automation(_uuid(f"{seed} {name}"), name, made, started, click_rate)


def edited(automation: Automation, at: float) -> Automation:
    """Return the result of editing a live automation: a duplicate with new ids that starts from zero at that moment.

    In SendGrid a live automation cannot be changed, only duplicated.
    """
    steps = {step_id: _uuid(f"{automation.id} {at} {step_id}") for step_id in automation.step_ids}
    links = tuple(replace(link, step_id=steps[link.step_id], changes=()) for link in automation.links)
    return replace(automation, id=_uuid(f"{automation.id} {at}"), links=links, started=at, sending=())


def demo_automations(seed: int = 1, *, started: float = EPOCH) -> tuple[Automation, ...]:
    """Make the three automations of the demonstration: a click or so every second, one list of two pages."""
    return tuple(
        generated_automation(seed, name, links, clicks_per_day=clicks, started=started) for name, links, clicks in _DEMO
    )


def _link(seed: int, name: str, number: int, clicks_per_day: float) -> Link:
    step, place = divmod(number, _LINKS_PER_STEP)
    step_id = _uuid(f"{seed} {name} step {step}")
    if place in _UNPLACED:
        return Link(step_id, _IMPRINT, None, clicks_per_day)
    if place in _HOME_PLACES:
        return Link(step_id, _HOME, place, clicks_per_day)
    page = _PAGES[_number(f"{seed} {name} page {number}") % len(_PAGES)]
    slug = name.lower().replace(" ", "-")
    url = page.format(slug=slug, step=step, number=1_000 + _number(f"{seed} {name} number {number}") % 9_000)
    return Link(step_id, url, place, clicks_per_day)


def _number(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _uuid(text: str) -> str:
    return str(uuid.UUID(bytes=hashlib.blake2b(text.encode(), digest_size=16).digest(), version=4))
