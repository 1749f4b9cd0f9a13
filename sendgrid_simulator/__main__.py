"""Run the simulator as a program."""

from sendgrid_simulator.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
