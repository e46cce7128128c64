/*
 * Echo clients: each sends a message, waits until all of it has come back, and
 * sends the next.
 *
 *   loadgen tcp|udp IP PORT CONNECTIONS SIZE SECONDS RENEW PIPELINE RATE
 *   loadgen unix PATH 0 CONNECTIONS SIZE SECONDS RENEW PIPELINE RATE
 *
 * RENEW 1 makes a new connection for every message. PIPELINE is how many
 * messages are sent at once. With a RATE above 0 messages become due at equal
 * distances, and their time counts from then: what a slow server delays, it
 * does not hide. Prints "MESSAGES_PER_SECOND ERRORS P50 P99 P99.9", the last
 * three in microseconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { MAX_EVENTS = 256, BUFFER_SIZE = 65536, MAX_MICROSECONDS = 1000000, MAX_WARM_UP = 5 };

struct client {
  int socket;
  int connected, was_answered;
  size_t received;
  double due;
  struct client *next_idle;
};

static union {
  struct sockaddr any;
  struct sockaddr_in in;
  struct sockaddr_un un;
} address;
static socklen_t address_length;
static int is_datagram, is_tcp, renew, pipeline, poller;
static char *message;
static size_t size;
static unsigned long messages, errors, times[MAX_MICROSECONDS];
static struct client *idle;
static double interval, next_due, start;
static int unanswered;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

static void watch(struct client *client, int operation, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = client};
  epoll_ctl(poller, operation, client->socket, &event);
}

static void send_message(struct client *client) {
  client->received = 0;
  if (interval == 0 || start == 0)
    client->due = now();
  if (send(client->socket, message, size, MSG_NOSIGNAL) != (ssize_t)size)
    errors++;
}

/* Sends the next message: now, or once it is due. */
static void go_on(struct client *client) {
  if (interval == 0 || start == 0)
    return send_message(client);
  client->next_idle = idle;
  idle = client;
}

static void send_due(void) {
  for (double time = now(); idle != NULL && next_due <= time;) {
    struct client *client = idle;
    idle = client->next_idle;
    client->due = next_due;
    next_due += interval;
    send_message(client);
  }
}

/* What counts begins when each client has had an answer. */
static void begin(void) {
  messages = errors = 0;
  memset(times, 0, sizeof times);
  start = next_due = now();
}

static void note_answer(struct client *client) {
  messages += pipeline;
  if (!client->was_answered) {
    client->was_answered = 1;
    unanswered--;
  }
  long time = (now() - client->due) * 1e6;
  times[time < MAX_MICROSECONDS ? time : MAX_MICROSECONDS - 1]++;
}

static int percentile(double share) {
  unsigned long all = 0, below = 0;
  for (int i = 0; i < MAX_MICROSECONDS; i++)
    all += times[i];
  for (int i = 0; i < MAX_MICROSECONDS; i++)
    if ((below += times[i]) >= all * share)
      return i;
  return 0;
}

static void open_client(struct client *client) {
  int type = is_datagram ? SOCK_DGRAM : SOCK_STREAM, one = 1;
  client->socket = socket(address.any.sa_family, type | SOCK_NONBLOCK, 0);
  if (is_tcp)
    setsockopt(client->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  client->connected =
      connect(client->socket, &address.any, address_length) == 0;
  if (!client->connected && errno != EINPROGRESS) {
    perror("loadgen: connect");
    exit(1);
  }
  watch(client, EPOLL_CTL_ADD, client->connected ? EPOLLIN : EPOLLOUT);
  if (client->connected)
    go_on(client);
}

static void reopen(struct client *client) {
  close(client->socket);
  open_client(client);
}

static void on_connected(struct client *client) {
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(client->socket, SOL_SOCKET, SO_ERROR, &error, &length);
  if (error != 0) {
    errors++;
    return reopen(client);
  }
  client->connected = 1;
  watch(client, EPOLL_CTL_MOD, EPOLLIN);
  go_on(client);
}

static void on_data(struct client *client) {
  static char buffer[BUFFER_SIZE];
  ssize_t count = recv(client->socket, buffer, sizeof buffer, 0);
  if (count <= 0) {
    if (count < 0 && errno == EAGAIN)
      return;
    errors++;
    return reopen(client);
  }
  client->received += count;
  if (client->received < size)
    return;
  note_answer(client);
  if (renew)
    reopen(client);
  else
    go_on(client);
}

static void read_address(char **arguments) {
  is_tcp = strcmp(arguments[1], "tcp") == 0;
  is_datagram = strcmp(arguments[1], "udp") == 0;
  if (is_tcp || is_datagram) {
    address.in.sin_family = AF_INET;
    address.in.sin_port = htons(atoi(arguments[3]));
    inet_pton(AF_INET, arguments[2], &address.in.sin_addr);
    address_length = sizeof address.in;
  } else {
    address.un.sun_family = AF_UNIX;
    strncpy(address.un.sun_path, arguments[2], sizeof address.un.sun_path - 1);
    address_length = sizeof address.un;
  }
}

int main(int count, char **arguments) {
  if (count != 10) {
    fprintf(stderr, "loadgen: expected 9 arguments\n");
    return 2;
  }
  read_address(arguments);
  int clients = atoi(arguments[4]);
  size_t line = atoi(arguments[5]);
  renew = atoi(arguments[7]);
  pipeline = atoi(arguments[8]);
  double rate = atof(arguments[9]);
  if (rate > 0)
    interval = 1 / rate;
  size = line * pipeline;
  message = malloc(size);
  memset(message, 'x', size);
  for (size_t end = line; end <= size; end += line)
    message[end - 1] = '\n';
  poller = epoll_create1(0);
  struct client *all = calloc(clients, sizeof *all);
  double seconds = atof(arguments[6]), opened = now();
  unanswered = clients;
  for (int i = 0; i < clients; i++)
    open_client(&all[i]);
  while (start == 0 || now() < start + seconds) {
    struct epoll_event events[MAX_EVENTS];
    /* To wait for the next message that is due, it spins */
    int spins = interval > 0 && start > 0;
    int ready = epoll_wait(poller, events, MAX_EVENTS, spins ? 0 : 100);
    for (int i = 0; i < ready; i++) {
      struct client *client = events[i].data.ptr;
      if (client->connected)
        on_data(client);
      else
        on_connected(client);
    }
    if (start == 0 && (unanswered == 0 || now() - opened > MAX_WARM_UP))
      begin();
    if (interval > 0 && start > 0)
      send_due();
  }
  printf("%.0f %lu %d %d %d\n", messages / (now() - start), errors,
         percentile(0.5), percentile(0.99), percentile(0.999));
  return 0;
}
