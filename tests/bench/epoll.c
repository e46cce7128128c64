/* The least that an echo server does on one core: epoll PORT */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static int poller;

static void watch(int descriptor) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = descriptor};
  epoll_ctl(poller, EPOLL_CTL_ADD, descriptor, &event);
}

static void echo(int descriptor) {
  static char buffer[65536];
  ssize_t count = recv(descriptor, buffer, sizeof buffer, 0);
  if (count > 0)
    send(descriptor, buffer, count, MSG_NOSIGNAL);
  else if (count == 0 || errno != EAGAIN)
    close(descriptor);
}

int main(int count, char **arguments) {
  if (count != 2)
    return 2;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons(atoi(arguments[1])),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(listener, (void *)&address, sizeof address) < 0 ||
      listen(listener, 511) < 0) {
    perror("epoll");
    return 1;
  }
  poller = epoll_create1(0);
  watch(listener);
  puts("ready");
  fflush(stdout);
  for (;;) {
    struct epoll_event events[256];
    int ready = epoll_wait(poller, events, 256, -1);
    for (int i = 0; i < ready; i++) {
      int descriptor = events[i].data.fd;
      if (descriptor != listener)
        echo(descriptor);
      else
        for (int client;
             (client = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;)
          watch(client);
    }
  }
}
