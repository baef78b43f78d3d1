#!/usr/bin/env python3
"""Counts the frames on an interface that hold one of some byte strings, until standard input ends.

captured-bytes.py INTERFACE HEX...: prints "listening", and at the end the number of frames and of those with a match."""
import select
import socket
import sys

ETH_P_ALL = 3
# Python has no name for it (asm-generic/socket.h).
SO_RCVBUFFORCE = 33
BUFFER_BYTES = 64 << 20


def main() -> None:
    interface, wanted = sys.argv[1], [bytes.fromhex(text) for text in sys.argv[2:]]
    frames = matches = 0
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as raw:
        raw.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
        raw.bind((interface, 0))
        print("listening", flush=True)
        while True:
            readable, _, _ = select.select([raw, sys.stdin], [], [])
            if raw in readable:
                frame = raw.recv(1 << 17)
                frames += 1
                matches += any(each in frame for each in wanted)
            elif sys.stdin in readable:
                break
    print(frames, matches)


main()
