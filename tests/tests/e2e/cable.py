"""A network cable with a mind of its own, as a TUN device: what is sent into it comes back from the far address.

Whoever connects to FAR reaches whatever listens at NEAR: source and destination of every packet change places, which leaves
the checksums of IP and TCP as they are. On the way packets are lost, doubled and late, and so overtake one another.

    cable.py DEVICE NEAR FAR

It says `up`. Each line that it is told is one word and a number: `loss 0.02`, `double 0.01`, `delay_ms 30`, `jitter_ms 20`;
it says the word once that holds. It ends with its standard input.
"""

import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
PACKET_BYTES = 2048
# More are dropped, as a switch does it.
MOST_WAITING = 10_000

device, near, far = sys.argv[1:]
tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", device.encode(), IFF_TUN | IFF_NO_PI))
for words in (["addr", "add", near, "peer", far, "dev", device], ["link", "set", device, "up", "mtu", "1500"]):
    subprocess.run(["ip", *words], check=True)

way = {"loss": 0.0, "double": 0.0, "delay_ms": 0.0, "jitter_ms": 0.0}
chance = random.Random(1)
waiting = []
told = ""
count = 0


def send(packet):
    """Puts a packet of IPv4 on its way, unless it is lost."""
    global count
    if packet[0] >> 4 != 4 or len(waiting) >= MOST_WAITING:
        return
    back = packet[:12] + packet[16:20] + packet[12:16] + packet[20:]
    for _ in range(2 if chance.random() < way["double"] else 1):
        if chance.random() >= way["loss"]:
            late = way["delay_ms"] + chance.uniform(0, way["jitter_ms"])
            count += 1
            heapq.heappush(waiting, (time.monotonic() + late / 1000, count, back))


print("up", flush=True)
while True:
    wait = max(0, waiting[0][0] - time.monotonic()) if waiting else None
    ready, _, _ = select.select([tun, sys.stdin], [], [], wait)
    if sys.stdin in ready:
        # Unbuffered: a line that waits in a buffer would not wake anybody.
        more = os.read(sys.stdin.fileno(), 4096).decode()
        if not more:
            break
        *lines, told = (told + more).split("\n")
        for line in lines:
            word, number = line.split()
            way[word] = float(number)
            print(word, flush=True)
    if tun in ready:
        send(os.read(tun, PACKET_BYTES))
    while waiting and waiting[0][0] <= time.monotonic():
        os.write(tun, heapq.heappop(waiting)[2])
