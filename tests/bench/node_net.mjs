// Node's net module, also of Deno and Bun, alone or in a cluster:
// node_net.mjs PORT [WORKERS]
import cluster from "node:cluster";
import net from "node:net";
import process from "node:process";

const [port, workers] = process.argv.slice(2).map(Number);

function ready() {
  process.stdout.write("ready\n");
}

if (workers !== undefined && cluster.isPrimary) {
  let listening = 0;
  cluster.on("listening", () => {
    if (++listening === workers) ready();
  });
  for (let i = 0; i < workers; i++) cluster.fork();
} else {
  const server = net.createServer((socket) => {
    socket.setNoDelay(true);
    socket.on("data", (data) => socket.write(data));
    socket.on("error", () => {});
  });
  server.listen({ port, host: "127.0.0.1" }, () => {
    if (workers === undefined) ready();
  });
}
