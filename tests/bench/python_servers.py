"""Python's servers: python_servers.py KIND PORT

KIND is threading, forking, lines, asyncio, asyncio-lines or udp.
"""
import asyncio
import socketserver
import sys


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            while data := self.request.recv(65536):
                self.request.sendall(data)
        except ConnectionError:
            pass


class Lines(socketserver.StreamRequestHandler):
    def handle(self):
        try:
            for line in self.rfile:
                self.wfile.write(line)
        except ConnectionError:
            pass


class Packets(socketserver.BaseRequestHandler):
    def handle(self):
        packet, socket = self.request
        socket.sendto(packet, self.client_address)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 512


class ForkingServer(socketserver.ForkingTCPServer):
    allow_reuse_address = True
    request_queue_size = 512
    max_children = 1000


async def echo_lines(reader, writer):
    try:
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
    except ConnectionError:
        pass
    writer.close()


async def echo(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    writer.close()


async def serve(client_connected, address):
    server = await asyncio.start_server(client_connected, *address, backlog=512)
    print("ready", flush=True)
    await server.serve_forever()


kind, address = sys.argv[1], ("127.0.0.1", int(sys.argv[2]))
if kind.startswith("asyncio"):
    asyncio.run(serve(echo if kind == "asyncio" else echo_lines, address))
elif kind == "udp":
    server = socketserver.UDPServer(address, Packets)
elif kind == "forking":
    server = ForkingServer(address, Echo)
else:
    server = Server(address, Lines if kind == "lines" else Echo)
print("ready", flush=True)
server.serve_forever()
