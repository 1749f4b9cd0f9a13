"""A simulated SendGrid API over real HTTP, for the demonstration, the tests and the benchmarks."""

from sendgrid_simulator.alterations import Alteration
from sendgrid_simulator.api import Exchange, ServedPage
from sendgrid_simulator.catalog import demo_automations, generated_automation, generated_automations, recent_start
from sendgrid_simulator.clock import Clock, ManualClock, RealClock
from sendgrid_simulator.counts import Order, Source
from sendgrid_simulator.endpoints import Behavior, Endpoint, HeaderForm, ResetForm
from sendgrid_simulator.faults import Delivery, Fault
from sendgrid_simulator.messages import Request, Response
from sendgrid_simulator.model import EPOCH, Automation, Change, FixedAutomation, Link, Row, fixed
from sendgrid_simulator.simulator import Simulator

__all__ = [
    "EPOCH",
    "Alteration",
    "Automation",
    "Behavior",
    "Change",
    "Clock",
    "Delivery",
    "Endpoint",
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
    "Source",
    "demo_automations",
    "fixed",
    "generated_automation",
    "generated_automations",
    "recent_start",
]
