/**
 * The help of the command line.
 *
 * @module
 */

/** The help on both commands. */
export const HELP = `Socket servers, and a client that talks to them

Usage: deno task serve [options]      an echo server on 127.0.0.1:8080
       deno task client [options]     a line client for it

Without the repository:
  deno run -A --unstable-net --unstable-worker-options \\
    jsr:@socketserver/socketserver/cli serve

"serve --help" and "client --help" show the options.
Exit codes: 0 done, 1 failed, 2 arguments that can't work.`;

const ADDRESS_HELP =
  `  -t, --transport T          tcp, udp, unix or unix-datagram (tcp)
      --hostname NAME        for tcp and udp: name or IP address (127.0.0.1)
  -p, --port N               for tcp and udp: port (8080)
      --path PATH            for unix and unix-datagram: the socket's path`;

/** The help on `serve`. */
export const SERVE_HELP = `Serves until SIGINT (Ctrl-C) or SIGTERM

Usage: deno task serve [options]

Address:
${ADDRESS_HELP}

Handler:
      --handler NAME         echo, discard, daytime, chargen or sum (echo)
      --handler FILE#CLASS   a class that a file exports: ./upper.ts#Upper
      --exec "COMMAND ARGS"  a command for each connection, which is its stdin
                             and stdout; quotes and backslashes as in a shell,
                             but no shell; needs --allow-run (tcp and unix)

Where handlers run:
  -m, --mode MODE            threading, forking or event-loop (threading)
      --workers N            threads or child processes (one a core)
      --dispatch WAY         how requests reach them (auto):
                             auto     shard where it can be had, else relay
                             shard    all accept on one TCP port
                             relay    the parent accepts and hands on
                             isolate  as relay, with one for each request

Limits:
      --max-connections N    most requests open at once; others wait (no limit)
      --max-packet-size N    longest packet in bytes (what the system delivers)
      --shutdown-timeout MS  how long open requests may go on at the end (10000)

  -q, --quiet                don't print each connection
  -h, --help                 this help

--port 0 takes any free port; the line "Serving ..." tells which. At the first
signal open requests may finish; a second one ends the program at once.`;

/** The help on `client`. */
export const CLIENT_HELP = `Sends what you type, line by line; prints what comes

Usage: deno task client [options]
       printf '2 3\\n' | deno task client [options]

${ADDRESS_HELP}
      --timeout MS           for packets: longest wait for an answer (1000)
  -h, --help                 this help

Ctrl-D ends the input; the client ends when the server does. Over udp and
unix-datagram each line is a packet, and a line without an answer makes the
exit code 1.`;
