//! Faults of jobs, of their files, of the disk and of an interrupted print.

use spoolway_protocol::Fault;

rows! { Fault:
    RecoveryRefused {
        means: "The message says why: mostly a profile that does not know how this firmware goes on with a part on its bed, or a position that cannot be followed.",
        done: "Nothing was sent and nothing moved. The job stays interrupted and holds the bed.",
        try: [
            "Do what the message says by hand, if it says something.",
            "Name another place in the file: `spoolway-agent recover JOB --plan --from 'layer 12' --z touching`.",
            "Cut the file behind the last whole layer of the part, and print the rest as a new job.",
            "Give the part up: `spoolway-agent recover JOB --abandon`.",
        ],
        see: "docs/recovery.md#when-it-is-refused",
    }
    RecoveryPlanChanged {
        means: "Since the plan was shown the printer was connected anew, or job, place or height are other ones, so that its id is another one.",
        done: "Nothing was sent: only a plan that somebody has seen is run.",
        try: [
            "Look at the printer and at the new plan: `spoolway-agent recover JOB --plan`, with the same --z and --from as before.",
            "Say yes with the id that it shows now.",
        ],
        see: "docs/recovery.md#the-plan",
    }
    JobLineTooLong {
        means: "The firmware's buffer for one line is smaller than this line with its number and checksum; the message names the line.",
        done: "The job failed before anything moved.",
        try: [
            "Look at that line, mostly a long M117 or M118 message or a comment that a script has made into one.",
            "Take it out of the slicer's G-code or the script, slice again, and hold the file against the printer: `spoolway-agent check part.gcode`.",
        ],
        see: "docs/operate.md#before-a-print",
    }
    JobNotGcode {
        means: "A line is no command, or holds bytes that are no text; the message names the line.",
        done: "The job failed before anything moved.",
        try: [
            "Export plain G-code: no project, 3MF, STL, and no binary G-code (.bgcode).",
            "Hold the file against the printer: `spoolway-agent check part.gcode`.",
        ],
        see: "docs/operate.md#before-a-print",
    }
    JobNeedsOverride {
        means: "The file was held against this printer, and something in it does not fit.",
        done: "Nothing moved. The job waits as awaiting_operator and keeps its turn, so the jobs behind it wait, too.",
        try: [
            "See what was found: `spoolway-agent jobs`; `spoolway-agent explain outside-volume` says more of one finding.",
            "Slice again for this printer, or correct what the agent knows of it (`printer.volume_mm`, `printer.nozzle_mm`, `printer.tools`).",
            "If it may be printed all the same: `spoolway-agent jobs override JOB`.",
            "If not: `spoolway-agent cancel JOB`.",
        ],
        see: "docs/operate.md#before-a-print",
    }
    JobFileTruncated {
        done: "It asked its other sources first. The job failed, nothing of it was printed, and what had come is thrown away.",
        try: [
            "Upload the file again at the backend, and have the job offered anew.",
            "If it happens again, compare the size of the stored file with the one that is offered.",
        ],
        see: "docs/backend-guide.md#sending-the-file",
    }
    JobFileCorrupt {
        means: "What came is longer, has pieces with another digest, or is another file than the one that was offered.",
        done: "It fetched damaged pieces again, and from other sources where there are some. Then the job failed; a file that differs is never printed.",
        try: [
            "Upload the file again at the backend, and have the job offered anew: size and SHA-256 have to be those of the very bytes that are sent.",
            "If it happens again, look for a proxy or a server that changes or compresses files.",
        ],
        see: "docs/backend-guide.md#files-from-a-server",
    }
    JobFileUnavailable {
        means: "Every source was tried: the server answered with an error, its links had expired, the backend has no such file, or the file on this machine cannot be read.",
        done: "It asked for new links and tried again with growing pauses. Then the job failed, or `print` ended, and nothing was printed.",
        try: [
            "Read the message: it has the server's status or the backend's word.",
            "A file of this machine has to be readable for the agent's user: `ls -l part.gcode`, and the folders above it.",
            "See that the file exists at the backend, and have the job offered anew.",
        ],
        see: "docs/backend-guide.md#files-from-a-server",
    }
    JobFileTooLarge {
        means: "It is larger than `spool.max_job_bytes`.",
        done: "It refused the job before a byte of the file was fetched.",
        try: [
            "Slice with arcs or a lower resolution, or split the print.",
            "If the disk has room, raise `spool.max_job_bytes` and, if need be, `spool.max_bytes`: `spoolway-agent status` shows the room in the row Storage.",
        ],
        see: "docs/operate.md#storage",
    }
    JobAlreadyStarted {
        means: "A start names an attempt that is not newer than the last one; most often the same command has come twice.",
        done: "It started nothing a second time.",
        try: [
            "Look what became of it: `spoolway-agent jobs`.",
            "To print it once more, have the backend start the next attempt.",
        ],
        see: "docs/backend-guide.md#every-command",
    }
    JobUnknown {
        means: "It was never offered, is of an owner before, or is so old that it was forgotten.",
        done: "It did nothing.",
        try: [
            "List the jobs with their ids: `spoolway-agent jobs`.",
            "Have the backend offer the job (again).",
        ],
        see: "docs/operate.md#the-queue",
    }
    JobHeld {
        means: "Somebody has said that it is not to start yet.",
        done: "It started nothing; the job stays in the queue, and others go ahead of it.",
        try: ["Let it go on: `spoolway-agent jobs release JOB`, or at the backend."],
        see: "docs/operate.md#the-queue",
    }
    JobNoObject {
        means: "An object can be left out of a print only by a label that the slicer has put into the file.",
        done: "It sent nothing; the print goes on with all its objects.",
        try: [
            "See which labels the file has (`objects` in the backend's `job.preflight`), and name one as it stands there.",
            "Switch labels of objects on in the slicer: M486 for Marlin, EXCLUDE_OBJECT for Klipper.",
        ],
        see: "docs/backend-guide.md#every-command",
    }
    RecordPrivate {
        means: "A record has the last words on the wire of a print that failed. It is given to the backend only where the operator of the agent has said so.",
        done: "It gave nothing, and refused the command.",
        try: [
            "Allow it: `sudo spoolway-agent config set backend.records=true`, then `sudo systemctl restart spoolway-agent`.",
            "Or pack a bundle and hand it over yourself: `sudo spoolway-agent bundle --job JOB`.",
        ],
        see: "docs/operate.md#at-2-am",
    }
    RecordMissing {
        means: "Only an attempt that failed or was interrupted leaves a record, and the oldest go: 24 records, 90 days.",
        done: "It gave nothing, and refused the command.",
        try: ["See which attempts have one: `spoolway-agent job JOB`."],
        see: "docs/operate.md#at-2-am",
    }
    JobExpired {
        means: "It was offered with a time until which it may start (`not_after`).",
        done: "The job failed without a line of it having been sent.",
        try: ["If it is still wanted, offer it again with another time, or without one."],
        see: "docs/operate.md#the-queue",
    }
    JobNotReady {
        means: "What was asked for does not go with its state: a pause of a job that is not printed, a start of one whose file is still coming, a change of one that is over.",
        done: "It did nothing; the job goes its way.",
        try: [
            "See its state, and why it waits: `spoolway-agent jobs`.",
            "See what the state means: `spoolway-agent explain awaiting_operator`, with the state that is shown.",
        ],
        see: "docs/operate.md#the-queue",
    }
    Cancelled {
        means: "Somebody at this machine, its owner, or whoever cleared the bed of an interrupted print has given it up.",
        done: "A print got no new line, and the profile's cancel script ran behind those on their way, mostly heaters, fan and motors off; its bed counts as used. A job that had not begun was only taken out of the queue.",
        try: [
            "Take the part off, then say so: `spoolway-agent bed clear`.",
            "To print it after all, have the backend start a new attempt, or print it anew: `spoolway-agent print part.gcode`.",
        ],
        see: "docs/operate.md#what-happens-when-",
    }
    DiskFull {
        means: "The disk, or the share of it that the agent may take (`spool.max_bytes`, `spool.reserve_bytes`), or a write that failed for another reason that the message names.",
        done: "A print that is under way goes on and ends as it should. New files are refused, no new job starts, and a write that failed is tried again every five seconds.",
        try: [
            "Do not restart the agent while a print runs or has just ended: how it ended may not be written down yet.",
            "See who takes the room: `spoolway-agent status` in the row Storage, and `df -h` and `du -xhd1 /var`.",
            "Make room, for example `journalctl --vacuum-size=200M`; files of finished jobs go by themselves when a new one needs the room.",
            "A disk that can only be read any more is worn out: look at `journalctl -k -n 50`, and replace the card.",
        ],
        see: "docs/operate.md#storage",
    }
    StoreCorrupt {
        means: "The database, or a file in the spool, does not hold what was written; worn cards and power cuts do that.",
        done: "A damaged database was set aside at the start as spoolway.db.corrupt-N in the state folder, and an empty one begun; the backend is told that events are missing. A print that is under way goes on. A damaged file is not printed.",
        try: [
            "Look at the bed: what is on it is not known any more. Then say `spoolway-agent bed clear`.",
            "Have the backend offer its unfinished jobs again; jobs of this machine are printed anew.",
            "Look for errors of the card: `journalctl -k -n 50`. Replace it if there are some, and see to the power supply.",
        ],
        see: "docs/operate.md#storage",
    }
    AgentRestarted {
        means: "It was stopped, has crashed, or its machine went down, in the middle of a print or a command.",
        done: "A print that it could take over goes on and has no such code. This one is interrupted, with the heaters switched off by the profile's cancel script as soon as the printer answers. A command that may have begun is never carried out again.",
        try: [
            "Look at the printer and the part.",
            "See why it ended: `journalctl -u spoolway-agent -n 100`.",
            "See how the print may go on: `spoolway-agent recover JOB --plan`; or give it up: `spoolway-agent recover JOB --abandon`.",
            "Put new versions and settings into force by `sudo systemctl restart spoolway-agent`, not by stop and start: then prints go on.",
        ],
        see: "docs/recovery.md#case-by-case",
    }
    MetricsAddress {
        means: "Another program, or another agent of this machine, listens at that address, or it is none of this machine's.",
        done: "It serves no figures, and does everything else.",
        try: [
            "See who has the port: `sudo ss -ltnp`.",
            "Set `metrics.listen` to another port; several agents of one machine need one each.",
            "Put it into force: `sudo systemctl restart spoolway-agent`.",
        ],
        see: "docs/operate.md#figures",
    }
    AgentStuck {
        means: "The printer's thread, the database or the link has not moved for longer than anything that it does may take: a driver or a disk hangs, or there is a fault in the agent.",
        done: "It stopped telling systemd that it is alive. Within half a minute systemd ends it and starts it again; a print goes on, as behind a crash. Where nobody watches over it this line in the log is all that happens.",
        try: [
            "See which part it was: `journalctl -u spoolway-agent -g agent.stuck`.",
            "With `store`: look for errors of the card, `journalctl -k -n 50`. With `printer`: unplug the cable and plug it in again.",
            "Tell its makers, with that part of the log, if it comes again.",
        ],
        see: "docs/operate.md#under-systemd",
    }
    Busy {
        means: "One job, plan, import or single command at a time: something else is under way, the printer is still being asked who it is, or the queue is full.",
        done: "It did nothing of what was asked for.",
        try: [
            "See what is under way: `spoolway-agent status`.",
            "Wait for its end, or give it up: `spoolway-agent cancel`.",
            "A finished part that is still on the bed keeps the next job waiting, too: `spoolway-agent bed`.",
        ],
        see: "docs/operate.md#the-queue",
    }
}
