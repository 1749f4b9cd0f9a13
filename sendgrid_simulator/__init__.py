"""A simulated SendGrid API over real HTTP, for the demonstration, the tests and the benchmarks.

with Simulator(generated_automations(1, automations=3, links=60)) as simulator:
    simulator.fault(endpoint=Endpoint.LINKS, status=503, times=2)  # what goes wrong, and for whom
    simulator.send(simulator.automations[0].id, 0.0)  # an automation stops sending
    ...  # a client with simulator.base_url and simulator.api_key
"""

from sendgrid_simulator.alterations import Alteration, StatisticsAlteration
from sendgrid_simulator.api import Exchange, ServedPage
from sendgrid_simulator.catalog import demo_automations, generated_automation, generated_automations
from sendgrid_simulator.clock import BUSY_HOUR, Clock, ManualClock, SimulatedClock, WallClock
from sendgrid_simulator.counts import Order, Source
from sendgrid_simulator.endpoints import Behavior, HeaderForm, ResetForm
from sendgrid_simulator.faults import Delivery, Fault
from sendgrid_simulator.messages import Endpoint, Request, Response
from sendgrid_simulator.model import EPOCH, Automation, Change, FixedAutomation, Link, Row, Stats, fixed
from sendgrid_simulator.simulator import Simulator

__all__ = [
    "BUSY_HOUR",
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
    "Request",
    "ResetForm",
    "Response",
    "Row",
    "ServedPage",
    "SimulatedClock",
    "Simulator",
    "Source",
    "StatisticsAlteration",
    "Stats",
    "WallClock",
    "demo_automations",
    "fixed",
    "generated_automation",
    "generated_automations",
]
