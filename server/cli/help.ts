/**
 * The help of the command line.
 *
 * @module
 */

/** The help on both commands. */
export const HELP = `Socket servers, and a client that talks to them

Usage: deno task serve [address] [options]     an echo server on 127.0.0.1:8080
       deno task client [address] [options]    a line client for it
       deno run server/cli.ts help [serve | client]
       deno run server/cli.ts --version

Without the repository:
  deno run --allow-net jsr:@socketserver/socketserver/cli serve

Add these where you use them:
  --allow-read               a clone, a FILE, unix, unix-datagram, --exec
  --allow-write              unix, unix-datagram
  --allow-run                --mode forking, --exec
  --allow-env=PATH           --exec with a name that is no path
  --unstable-net             udp, unix-datagram; --mode forking, to share a port
  --unstable-worker-options  --permissions none in threads

"serve --help" and "client --help" show the options.
Exit codes: 0 done, 1 failed, 2 arguments that can't work, 3 the end of the
server cut clients off.`;

const ADDRESS_HELP =
  `Address, as tcp://host:port, udp://host:port, unix:/path, unix-datagram:/path,
or by options:
  -t, --transport T          tcp, udp, unix or unix-datagram (tcp)
      --hostname NAME        for tcp and udp: name or IP address (127.0.0.1)
  -p, --port N               for tcp and udp: port (8080)
      --path PATH            for unix and unix-datagram: the socket's path`;

/** The help on `serve`. */
export const SERVE_HELP = `Serves until SIGINT (Ctrl-C) or SIGTERM

Usage: deno task serve [address] [options]

${ADDRESS_HELP}

Handler:
      --handler NAME         echo, discard, daytime, chargen or sum (echo)
      --handler FILE#CLASS   a class that a module exports: ./upper.ts#Upper,
                             jsr:@scope/name#Upper, https://...#Upper
      --watch                new code when a module changes in the file's folder
                             or below it (threading and forking)
      --exec "COMMAND ARGS"  a command for each connection, which is its stdin
                             and stdout; quotes and backslashes as in a shell,
                             but no shell (tcp and unix)

Where handlers run:
  -m, --mode MODE            threading, forking or event-loop (threading)
      --workers N            threads or child processes (one a core)
      --dispatch WAY         how requests reach them (auto):
                             auto     shard where it can be had, else relay
                             shard    all accept on one TCP port
                             relay    the parent accepts and hands on
                             isolate  as relay, with one for each request
      --permissions P        what handlers may do: none or inherit (inherit)

TLS (tcp):
      --cert FILE            the certificate chain, in PEM
      --key FILE             its private key, in PEM

Limits:
      --allow LIST           the only clients served: addresses and subnets with
                             commas between them; may be repeated (tcp and udp)
      --deny LIST            clients refused, also those that --allow has
      --timeout MS           longest wait for a client to send or take bytes
                             (tcp and unix)
      --max-connections N    most requests open at once; others wait (no limit)
      --max-packet-size N    longest packet in bytes (what the system delivers)
      --shutdown-timeout MS  how long open requests may go on at the end (10000)

Output:
  -q, --quiet                don't print each connection
      --log FORMAT           text or json: a line on stdout for each connection,
                             its end with bytes and duration, and each error
      --stats SECONDS        counts and percentiles on stderr, every so often
      --top                  a table of the replicas, every second (terminal)
  -h, --help                 this help

Port 0 takes any free port; the line "Serving ..." tells which. At the first
signal open requests may finish; a second one ends the program at once. SIGHUP
has threads and processes replaced by new ones, which load the handler's code
again; open requests finish on the old code, within --shutdown-timeout. It also
has --cert and --key read again, for the clients that come then.`;

/** The help on `client`. */
export const CLIENT_HELP = `Sends what you type, line by line; prints what comes

Usage: deno task client [address] [options]
       printf '2 3\\n' | deno task client [address] [options]

${ADDRESS_HELP}

Options:
      --crlf                 end lines with CR LF, as many protocols want (tcp
                             and unix)
      --tls                  talk TLS (tcp)
      --ca FILE              the authority of the server's certificate, in PEM,
                             besides those that Deno trusts
      --timeout MS           for packets: longest wait for an answer (1000)
  -h, --help                 this help

Ctrl-D ends the input and closes that half of the connection; the client ends
when the server does. Over udp and unix-datagram each line is a packet; a line
without an answer makes the exit code 1.`;
