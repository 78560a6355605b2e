"""Prints a file with Printrun's printcore. Says in one JSON line what that cost.

Usage: printrun_driver.py DEVICE BAUD FILE FOLDER
"""

import json
import logging
import sys
import threading
import time

PATIENCE_S = 600


def main(device, baud, path, _folder):
    logging.basicConfig(level=logging.ERROR)
    from printrun import gcoder
    from printrun.printcore import printcore

    over = threading.Event()
    core = printcore()
    core.endcb = over.set
    core.connect(device, baud)
    until = time.monotonic() + 60
    while not core.online:
        if time.monotonic() > until:
            sys.exit("printcore does not get to know the printer")
        time.sleep(0.05)
    # Its own way: the whole file becomes objects before the first line is sent.
    with open(path, encoding="utf-8") as file:
        gcode = gcoder.LightGCode(file.readlines())
    begin_cpu, begin = time.process_time(), time.monotonic()
    if not core.startprint(gcode):
        sys.exit("printcore does not begin")
    if not over.wait(PATIENCE_S):
        sys.exit("printcore: the job does not end")
    end_cpu, end = time.process_time(), time.monotonic()
    # The last line is still on its way.
    time.sleep(1)
    # Not ru_maxrss, which is inherited from the process that started this one.
    with open("/proc/self/status", encoding="ascii") as status:
        peak_kib = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    print(json.dumps({"cpu_s": end_cpu - begin_cpu, "seconds": end - begin, "peak_bytes": peak_kib * 1024}), flush=True)
    core.disconnect()


main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4])
