/*
 * A closed loop of echo clients: each sends a message, waits until all of it
 * has come back, and sends the next.
 *
 *   loadgen tcp|udp IP PORT CONNECTIONS SIZE SECONDS RENEW
 *   loadgen unix PATH 0 CONNECTIONS SIZE SECONDS RENEW
 *
 * RENEW 1 makes a new connection for every message. Prints
 * "MESSAGES_PER_SECOND ERRORS".
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

enum { MAX_EVENTS = 256, BUFFER_SIZE = 65536 };

struct client {
  int socket;
  int connected;
  size_t received;
};

static union {
  struct sockaddr any;
  struct sockaddr_in in;
  struct sockaddr_un un;
} address;
static socklen_t address_length;
static int is_datagram, is_tcp, renew, poller;
static char *message;
static size_t size;
static unsigned long messages, errors;

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
  if (send(client->socket, message, size, MSG_NOSIGNAL) != (ssize_t)size)
    errors++;
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
    send_message(client);
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
  send_message(client);
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
  messages++;
  if (renew)
    reopen(client);
  else
    send_message(client);
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
  if (count != 8) {
    fprintf(stderr, "loadgen: expected 7 arguments\n");
    return 2;
  }
  read_address(arguments);
  int clients = atoi(arguments[4]);
  size = atoi(arguments[5]);
  renew = atoi(arguments[7]);
  message = malloc(size);
  memset(message, 'x', size);
  message[size - 1] = '\n';
  poller = epoll_create1(0);
  struct client *all = calloc(clients, sizeof *all);
  double start = now(), end = start + atof(arguments[6]);
  for (int i = 0; i < clients; i++)
    open_client(&all[i]);
  while (now() < end) {
    struct epoll_event events[MAX_EVENTS];
    int ready = epoll_wait(poller, events, MAX_EVENTS, 100);
    for (int i = 0; i < ready; i++) {
      struct client *client = events[i].data.ptr;
      if (client->connected)
        on_data(client);
      else
        on_connected(client);
    }
  }
  printf("%.0f %lu\n", messages / (now() - start), errors);
  return 0;
}
