// Node's net module: node_net.mjs PORT
import net from "node:net";

const server = net.createServer((socket) => {
  socket.setNoDelay(true);
  socket.on("data", (data) => socket.write(data));
  socket.on("error", () => {});
});
server.listen({ port: Number(process.argv[2]), host: "127.0.0.1" }, () => {
  process.stdout.write("ready\n");
});
