//! Faults of the port, of the firmware behind it, and of the conversation with it.

use spoolway_protocol::Fault;

rows! { Fault:
    PortMissing {
        means: "The device file of printer.port does not exist, is no serial line, or no port is plugged in at all.",
        done: "It shows the printer as offline, keeps the queue, and opens the port as soon as something is plugged in, or within a second of its coming.",
        try: [
            "Switch the printer on, and plug the USB cable in at both ends.",
            "See which ports there are, and who is at each: `spoolway-agent detect`.",
            "Compare with what is configured: `spoolway-agent config show`; set `printer.port` to a name under /dev/serial/by-path, or to \"auto\".",
            "Put a change into force: `sudo systemctl restart spoolway-agent`.",
        ],
        see: "docs/operate.md#ports",
    }
    PortBusy {
        means: "A port is opened for one program alone, because two that write into one line break each other's lines.",
        done: "It shows the printer as offline and tries again every second; the queue is kept.",
        try: [
            "See who has it: `sudo fuser -v /dev/ttyUSB0`, with the port that the message names.",
            "Stop that program (OctoPrint, a slicer, a terminal, ModemManager), or a second agent.",
            "Keep ModemManager away for good: install the udev rules that come with the agent (systemd/60-spoolway.rules).",
        ],
        see: "docs/operate.md#ports",
    }
    PortPermission {
        done: "It shows the printer as offline and tries again every second; the queue is kept.",
        try: [
            "See whose the port is: `ls -l /dev/ttyUSB0`, with the port that the message names; its group is usually dialout.",
            "Put the agent's user into that group: `sudo usermod -aG dialout USER`, then restart the agent. The unit that comes with it is in dialout already.",
            "For boards whose port has another group, install the udev rules that come with the agent (systemd/60-spoolway.rules).",
        ],
        see: "docs/operate.md#ports",
    }
    PortLost {
        means: "The cable was pulled, the printer was switched off, or USB gave up for want of power.",
        done: "A print that was under way is interrupted, and the last of the conversation is in wire.log in the state folder. The port is opened as soon as it is back; then the heaters are switched off by the profile's cancel script. Nothing moves by itself.",
        try: [
            "Look at the printer: until it answers again its heaters may still be on.",
            "Check the cable at both ends, and the printer's power; use a short cable without a hub.",
            "Look for USB errors and low voltage of the Raspberry Pi: `journalctl -k -n 50`.",
            "When `spoolway-agent status` says idle, look how the print may go on: `spoolway-agent recover JOB --plan`.",
        ],
        see: "docs/recovery.md#case-by-case",
    }
    PortRate {
        means: "The driver took another rate than was asked for, more than 3 % off, at which bytes are garbled.",
        done: "It left the port alone and tries again every second.",
        try: [
            "Set `printer.baud` to a rate that the adapter can do, such as 115200, and the firmware to the same, or to \"auto\".",
            "Find the rate out: `spoolway-agent detect`.",
        ],
        see: "docs/operate.md#ports",
    }
    PortAmbiguous {
        means: "printer.port is \"auto\", more than one port is plugged in, and none is the one at which a printer has answered before.",
        done: "It opened none of them, since a board may restart when its port is opened, and looks again every second.",
        try: [
            "Ask who is at which port: `spoolway-agent detect`.",
            "Write the name that it prints into `printer.port`, or unplug what is no printer.",
        ],
        see: "docs/operate.md#ports",
    }
    PortReleased {
        means: "The owner has sent printer.disconnect, so that another program may use the port.",
        done: "It closed the port, and shows the printer as offline. Jobs wait. A restart of the agent takes the port up again, too.",
        try: [
            "See that the other program is done with the printer.",
            "Have the backend send `printer.connect`, or say `sudo systemctl restart spoolway-agent`.",
        ],
        see: "docs/operate.md#from-the-backend",
    }
    PrinterChanged {
        means: "Firmware family, machine type, UUID or USB identity differ from those of the printer that answered here before. A new version of the firmware alone does not.",
        done: "It shows the printer as error, told the backend, and prints nothing until a person has said which printer is right.",
        try: [
            "See that the right printer is at this cable: the message says what was and what is.",
            "If it is right (a new board, another socket), say so: `spoolway-agent printer accept`.",
            "If it is not, plug the right one in; the agent notices by itself.",
        ],
        see: "docs/operate.md#ports",
    }
    FirmwareSilent {
        means: "The port is open, and nothing that can be understood comes back: wrong rate, no power at the board, or a firmware that hangs.",
        done: "It asks again and again, and sets the line up anew meanwhile; with printer.baud = \"auto\" it tries the other rates. A print that was under way is interrupted, with the last of the conversation in wire.log in the state folder.",
        try: [
            "Look at the printer's display: is it on, does it ask something, has it stopped?",
            "Reset the printer, or switch it off and on.",
            "Find the rate out, with nothing being printed: `spoolway-agent detect`; then set `printer.baud`.",
            "See what comes over the wire: `spoolway-agent console`.",
        ],
        see: "docs/operate.md#ports",
    }
    FirmwareReset {
        means: "Its first lines came in the middle of a conversation, or it asks for a line that it cannot have lost. It has forgotten where its head is and what was heated.",
        done: "The job is interrupted, and the agent has greeted the firmware anew. The heaters are switched off by the profile's cancel script; nothing moves by itself.",
        try: [
            "Look at the part: has it come off, is the nozzle in it?",
            "Look for a brown-out: do lights flicker when heaters switch on, is the power supply hot?",
            "Look for another program that opens the port, which resets many boards: `sudo fuser -v /dev/ttyUSB0`.",
            "Look how the print may go on: `spoolway-agent recover JOB --plan`; or give it up: `spoolway-agent recover JOB --abandon`.",
        ],
        see: "docs/recovery.md#case-by-case",
    }
    FirmwareHalted {
        means: "Thermal protection, an endstop or a kill switch: the firmware has switched its heaters off itself and listens to nothing until it is reset.",
        done: "It sends nothing any more, shows the printer as halted, and has interrupted the job. The firmware's words stand in the message, the conversation before them in wire.log in the state folder.",
        try: [
            "Read the firmware's words, and find the cause before anything else: thermistor, heater, their screws and cables, endstop.",
            "Reset the printer, or switch it off and on; the agent greets it by itself.",
            "Only then look how the print may go on: `spoolway-agent recover JOB --plan`.",
        ],
        see: "docs/recovery.md#case-by-case",
    }
    CommUncertain {
        means: "No reply came for some lines, and this firmware does not check line numbers, so that nobody can ask it. Sent again, the lines might be carried out twice; left out, never.",
        done: "The job is paused, with its heaters on, and nothing is sent. `status` names the lines. When their replies come late after all, the question is settled by itself. With no job under way the conversation was begun anew.",
        try: [
            "Look at the print, at the place where the nozzle stands.",
            "If it has carried the lines out: `spoolway-agent resume --doubt executed`.",
            "If it has not: `spoolway-agent resume --doubt lost`, which sends them again.",
            "If the layer is damaged: `spoolway-agent cancel`.",
        ],
        see: "docs/operate.md#what-happens-when-",
    }
    CommTooManyRefusals {
        means: "One line was refused again and again, always with an error of its checksum or number: bytes are damaged on their way.",
        done: "It gave the conversation up. The job is interrupted, the heaters are switched off by the profile's cancel script, and wire.log in the state folder has what was said.",
        try: [
            "Take a short, shielded USB cable without a hub, away from motor and heater wires.",
            "See how many refusals there are meanwhile: `spoolway-agent status`, in the row Wire.",
            "Lower the rate at both ends: `printer.baud` and the firmware's own.",
            "See how the print may go on: `spoolway-agent recover JOB --plan`.",
        ],
        see: "docs/operate.md#on-the-wire",
    }
    CommSyncFailed {
        means: "Before a job's first line the agent sets the firmware's line counter and has it proven; this firmware never answered as its profile says.",
        done: "It gave the conversation up, and begins a new one by itself. A job of which no line had gone out has failed, any other is interrupted.",
        try: [
            "Reset the printer; the agent greets it by itself.",
            "See that the profile fits the firmware: `spoolway-agent status` names both, `spoolway-agent profiles` lists what there is. Set `printer.profile` if the wrong one was taken.",
            "Look at what is said: wire.log in the state folder, or `spoolway-agent console`.",
        ],
        see: "docs/profiles.md#how-a-printer-gets-its-profile",
    }
    PrinterEstopUnsent {
        means: "The printer's port is not open, so that nobody can have heard the stop.",
        done: "It sent nothing. Whatever the printer is doing, it goes on with it.",
        try: [
            "Switch the printer off at the mains, now.",
            "See afterwards what became of the port: `spoolway-agent status`.",
        ],
        see: "docs/operate.md#what-happens-when-",
    }
    PrinterCannot {
        means: "The firmware profile has no words for what was asked, or the printer has no such heater.",
        done: "It sent nothing, and refused the command.",
        try: [
            "See what the profile has in [hand]: `spoolway-agent profiles show marlin`, with the profile that `spoolway-agent status` names.",
            "If the machine can do it, write a profile of your own with those words, and check it: `spoolway-agent profiles check FILE`.",
        ],
        see: "docs/profiles.md#hand-may-be-left-out",
    }
    PrinterRefused {
        means: "The firmware answered a single command with an error, or did not say where its head is.",
        done: "It told the backend the firmware's words; nothing was tried again.",
        try: [
            "Read what the printer said; most want their axes homed first (`printer.home`).",
            "Ask it by hand: `spoolway-agent console send M114`.",
        ],
        see: "docs/operate.md#from-the-backend",
    }
    PrinterAsked {
        means: "Its firmware sent a host action (//action:cancel, pause or out_of_filament): somebody used its menu, or its filament sensor switched.",
        done: "It did as the printer asked: a pause holds the job however long it takes, a cancel ends it by the profile's cancel script.",
        try: [
            "Look at the printer's display, and at the filament.",
            "See whether it has a question open: `spoolway-agent prompts`, and answer it: `spoolway-agent answer 0`.",
            "A job that is paused goes on from the printer's menu, or with `spoolway-agent resume`.",
        ],
        see: "docs/operate.md#what-happens-when-",
    }
    Estop {
        means: "Somebody at this machine or a backend has pulled the emergency stop.",
        done: "The firmware's stop went out ahead of everything, the job is interrupted, and nothing is sent until the printer has been reset.",
        try: [
            "Make sure that nobody is in danger and nothing burns; switch off at the mains if in doubt.",
            "Find out who stopped it and why: `spoolway-agent logs -n 100`.",
            "Reset the printer, then go on (`spoolway-agent recover JOB --plan`) or give the part up (`spoolway-agent recover JOB --abandon`).",
        ],
        see: "docs/recovery.md#case-by-case",
    }
    PromptClosed {
        means: "The question was answered in the meantime, at the printer perhaps, or its firmware takes answers only at its own display.",
        done: "It sent the printer nothing.",
        try: [
            "See what the printer asks now: `spoolway-agent prompts`.",
            "Else go to the printer's own display.",
        ],
        see: "docs/operate.md#what-happens-when-",
    }
}
