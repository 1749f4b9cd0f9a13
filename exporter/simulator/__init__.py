"""A simulated SendGrid API over real HTTP, for the demonstration, the tests and the benchmarks."""

from exporter.simulator.alterations import Alteration
from exporter.simulator.catalogue import demo_automations, generated_automation, generated_automations
from exporter.simulator.clock import Clock, ManualClock, RealClock
from exporter.simulator.exchange import Behaviour, Exchange, ServedPage
from exporter.simulator.faults import Delivery, Fault
from exporter.simulator.messages import Request, Response
from exporter.simulator.model import Automation, Change, FixedAutomation, Link, Row, fixed
from exporter.simulator.ratelimit import HeaderForm, ResetForm
from exporter.simulator.simulator import Simulator
from exporter.simulator.sources import Order

__all__ = [
    "Alteration",
    "Automation",
    "Behaviour",
    "Change",
    "Clock",
    "Delivery",
    "Exchange",
    "Fault",
    "FixedAutomation",
    "HeaderForm",
    "Link",
    "ManualClock",
    "Order",
    "RealClock",
    "Request",
    "ResetForm",
    "Response",
    "Row",
    "ServedPage",
    "Simulator",
    "demo_automations",
    "fixed",
    "generated_automation",
    "generated_automations",
]
