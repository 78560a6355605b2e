"""Prints a file with OctoPrint's comm layer alone: no server, no plugins. Says in one JSON line what that cost.

Usage: octoprint_driver.py DEVICE BAUD FILE FOLDER
"""

import json
import logging
import sys
import threading
import time

PATIENCE_S = 600


def main(device, baud, path, folder):
    # Settings and logs go into the folder of this print.
    logging.basicConfig(level=logging.ERROR)
    from octoprint.settings import settings

    settings(init=True, basedir=folder)
    # No card: asking for its files costs lines that are no part of the job.
    settings().setBoolean(["feature", "sdSupport"], False)
    from octoprint.plugin import plugin_manager

    plugin_manager(init=True, plugin_folders=[], plugin_bases=[], plugin_entry_points=[])
    from octoprint.printer.profile import PrinterProfileManager
    from octoprint.util.comm import MachineCom, MachineComPrintCallback

    operational, over, marks, failures = threading.Event(), threading.Event(), {}, []

    def mark(name):
        marks[name] = (time.process_time(), time.monotonic())

    class Callback(MachineComPrintCallback):
        def on_comm_state_change(self, state):
            if state == MachineCom.STATE_OPERATIONAL:
                operational.set()

        def on_comm_print_job_started(self, suppress_script=False, user=None):
            mark("begin")

        def on_comm_print_job_done(self, suppress_script=False):
            mark("end")
            over.set()

        def on_comm_print_job_failed(self, reason=None):
            failures.append("the job failed: %s" % reason)
            over.set()

        def on_comm_error(self, error, reason, consequence=None, faq=None, logs=None):
            failures.append("%s (%s)" % (error, reason))
            over.set()

    comm = MachineCom(
        port=device,
        baudrate=baud,
        callbackObject=Callback(),
        printerProfileManager=PrinterProfileManager(),
    )
    comm.start()
    if not operational.wait(60):
        sys.exit("OctoPrint does not get to know the printer")
    # It asks who the printer is and sets up reports; the job begins after that.
    time.sleep(1)
    comm.selectFile(path, False)
    comm.startPrint()
    if not over.wait(PATIENCE_S) or failures:
        sys.exit("OctoPrint: %s" % (failures or "the job does not end"))
    # The last lines are still on their way.
    time.sleep(1)
    (begin_cpu, begin), (end_cpu, end) = marks["begin"], marks["end"]
    # Not ru_maxrss, which is inherited from the process that started this one.
    with open("/proc/self/status", encoding="ascii") as status:
        peak_kib = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    print(json.dumps({"cpu_s": end_cpu - begin_cpu, "seconds": end - begin, "peak_bytes": peak_kib * 1024}), flush=True)
    comm.close(wait=False)


main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4])
