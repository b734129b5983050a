"""The second program of the lesson: binds a port, receives, decodes, and prints who said what.

Usage: receive.py PORT ENCODING ERRORS
"""
import socket
import sys

port, encoding, errors = sys.argv[1:]
sys.stdout.reconfigure(encoding="utf-8", line_buffering=True)
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("127.0.0.1", int(port)))
print("%s:%d" % sock.getsockname())
while True:
    data, (host, port) = sock.recvfrom(65536)
    try:
        text = data.decode(encoding, errors)
    except UnicodeDecodeError:
        text = data.hex()  # as udprelayd shows undecodable bytes; the program of the lesson ended here
    print(f"{host}:{port}: {text}")
