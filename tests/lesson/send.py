"""The first program of the lesson: reads lines, encodes each, and sends it to a host and port.

Usage: send.py HOST PORT ENCODING ERRORS
"""
import socket
import sys

host, port, encoding, errors = sys.argv[1:]
sys.stdin.reconfigure(encoding="utf-8")
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for line in sys.stdin:
    sock.sendto(line.rstrip("\n").encode(encoding, errors), (host, int(port)))
