"""A simulated SendGrid API over real HTTP, for the demonstration, the tests and the benchmarks."""

from sendgrid_simulator.alterations import Alteration
from sendgrid_simulator.catalogue import demo_automations, generated_automation, generated_automations, recent_start
from sendgrid_simulator.clock import Clock, ManualClock, RealClock
from sendgrid_simulator.exchange import Behaviour
from sendgrid_simulator.faults import Delivery, Fault
from sendgrid_simulator.messages import Request, Response
from sendgrid_simulator.model import Automation, Change, FixedAutomation, Link, Row, fixed
from sendgrid_simulator.ratelimit import HeaderForm, ResetForm
from sendgrid_simulator.records import Exchange, ServedPage
from sendgrid_simulator.simulator import Simulator
from sendgrid_simulator.sources import Order

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
    "recent_start",
]
