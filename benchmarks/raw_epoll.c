/* The ceiling: one thread, one recv and one send per request, a constant answer.
 *
 * usage: raw_epoll PORT BODY_BYTES
 *
 * Nothing is parsed. A request is whatever ends in CRLFCRLF, so bodies are not understood; a head
 * whose last five bytes are "close" closes the connection, which is how the load "close" ends its
 * heads. An answer that does not fit the socket's buffer cuts the connection. Ends by itself after
 * an hour. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FD = 65536, CARRY = 16, ROOM = 65536, BATCH = 64, EVENTS = 256 };

struct tail {
    unsigned char length;
    char bytes[CARRY];
};

static struct tail tails[MAX_FD];
static char input[CARRY + ROOM];
static char *answers; /* BATCH copies, so that a pipeline is one send */
static size_t answer_bytes;

static void prepare(size_t body_bytes)
{
    char head[256];
    int head_bytes = snprintf(head, sizeof head,
                              "HTTP/1.1 200 OK\r\nServer: raw_epoll\r\n"
                              "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
                              "Content-Type: text/plain\r\nContent-Length: %zu\r\n\r\n",
                              body_bytes);
    answer_bytes = (size_t)head_bytes + body_bytes;
    answers = malloc(answer_bytes * BATCH);
    if (answers == NULL)
        exit(1);
    for (int i = 0; i < BATCH; i++) {
        char *answer = answers + (size_t)i * answer_bytes;
        memcpy(answer, head, (size_t)head_bytes);
        memset(answer + head_bytes, 'x', body_bytes);
    }
}

static int listen_on(int port)
{
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((unsigned short)port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* accepted sockets inherit it */
    if (bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0 || listen(fd, 2048) < 0) {
        perror("bind");
        exit(1);
    }
    return fd;
}

static bool answer(int fd, int requests)
{
    for (; requests > 0; requests -= BATCH) {
        size_t size = answer_bytes * (size_t)(requests < BATCH ? requests : BATCH);
        if (send(fd, answers, size, MSG_NOSIGNAL) != (ssize_t)size)
            return false;
    }
    return true;
}

/* False when the connection is over. */
static bool serve(int fd)
{
    struct tail *tail = &tails[fd];
    memcpy(input, tail->bytes, tail->length);
    ssize_t got = recv(fd, input + tail->length, ROOM, 0);
    if (got <= 0)
        return false;

    char *at = input, *end = input + tail->length + got, *found;
    int requests = 0;
    bool closing = false;
    while ((found = memmem(at, (size_t)(end - at), "\r\n\r\n", 4)) != NULL) {
        closing = found - at >= 5 && memcmp(found - 5, "close", 5) == 0;
        at = found + 4;
        requests++;
    }
    tail->length = (unsigned char)(end - at < CARRY ? end - at : CARRY);
    memcpy(tail->bytes, end - tail->length, tail->length);
    return answer(fd, requests) && !closing;
}

static void admit(int poller, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0)
        return;
    if (fd >= MAX_FD) {
        close(fd);
        return;
    }
    tails[fd].length = 0;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: %s PORT BODY_BYTES\n", argv[0]);
        return 2;
    }
    alarm(3600);
    prepare(strtoul(argv[2], NULL, 10));
    int listener = listen_on(atoi(argv[1])), poller = epoll_create1(0);
    struct epoll_event events[EVENTS] = {{.events = EPOLLIN, .data.fd = listener}};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &events[0]);
    for (;;) {
        int ready = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                admit(poller, listener);
            else if (!serve(fd))
                close(fd);
        }
    }
}
