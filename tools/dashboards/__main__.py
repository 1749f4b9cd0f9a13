"""Write the dashboards' JSON."""

import sys

from tools.dashboards.files import write

if __name__ == "__main__":
    for path in write():
        sys.stdout.write(f"{path}\n")
