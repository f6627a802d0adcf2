/* Closed-loop WebSocket load against 127.0.0.1; prints two lines: "ready", and one of JSON.
 *
 * usage: wsload PORT REQUEST_FILE CONNECTIONS MESSAGE_BYTES MILLISECONDS MAX_MESSAGES
 *
 * Opens all connections by the handshake in REQUEST_FILE, whose key is that of RFC 6455 1.3, says
 * so, and waits for a line of input. Then each connection sends a text message, waits for the same
 * one to come back, and goes on. No message is sent after MILLISECONDS or MAX_MESSAGES (0: no
 * count); those under way get two seconds. Pings are answered. Whatever is neither that nor the
 * echo, also what does not come, is an error. The connections are closed at the end of input, so
 * that whoever measures can leave out both handshakes. */
#define _GNU_SOURCE
#include "timing.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LEAST = 16, SHORT = 125, MASK = 4, ROOM = 4096, EVENTS = 256, OPENING_SECONDS = 10, CLOSING_SECONDS = 2 };
enum { TEXT = 0x81, CLOSE = 0x88, PING = 0x89, PONG = 0x8a, MASKED = 0x80 };

static const char ACCEPT[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
static const unsigned char KEY[MASK] = {0x37, 0xfa, 0x21, 0x3d};

struct conn {
    int fd; /* -1 after an error */
    bool awaits_echo;
    int64_t since;
    unsigned char frame[2 + MASK + SHORT], echo[2 + SHORT];
    size_t kept; /* start of an incomplete frame */
    unsigned char in[ROOM];
};

static struct {
    struct sockaddr_in addr;
    size_t message_bytes;
    uint64_t budget; /* messages that may still be sent */
} load;

static struct {
    uint64_t good, errors;
} count;

static int poller, awaited;
static bool stopping;

/* Writes a masked frame; returns its length. */
static size_t make_frame(unsigned char *at, unsigned first, const unsigned char *data, size_t n)
{
    at[0] = (unsigned char)first;
    at[1] = (unsigned char)(MASKED | n);
    memcpy(at + 2, KEY, MASK);
    for (size_t i = 0; i < n; i++)
        at[2 + MASK + i] = data[i] ^ KEY[i % MASK];
    return 2 + MASK + n;
}

/* Every connection has a message of its own, which begins with its number. */
static void prepare(struct conn *c, int number)
{
    char *text = (char *)c->echo + 2;
    memset(text, 'x', SHORT);
    text[snprintf(text, load.message_bytes, "%d", number)] = '.';
    make_frame(c->frame, TEXT, c->echo + 2, load.message_bytes);
    c->echo[0] = TEXT;
    c->echo[1] = (unsigned char)load.message_bytes;
}

/* ---- the handshake ---------------------------------------------------------------------- */

static void refuse(const char *why, const char *head)
{
    fprintf(stderr, "%s: %.200s\n", why, head);
    exit(1);
}

/* Reads up to the head's end, and nothing behind it: nothing may come before we send. */
static void await_head(int fd)
{
    char head[ROOM + 1];
    size_t have = 0;
    do {
        ssize_t got = recv(fd, head + have, ROOM - have, 0);
        if (got <= 0)
            fail("the answer to a handshake");
        have += (size_t)got;
        head[have] = 0;
    } while (have < ROOM && strstr(head, "\r\n\r\n") == NULL);
    if (strncmp(head, "HTTP/1.1 101 ", 13) != 0 || strstr(head, ACCEPT) == NULL)
        refuse("a handshake was not accepted", head);
    if (strcasestr(head, "\r\nSec-WebSocket-Extensions:") != NULL)
        refuse("an extension was chosen that nobody offered", head);
}

static void open_conn(struct conn *c, const char *request, size_t n)
{
    int on = 1;
    struct timeval limit = {.tv_sec = OPENING_SECONDS};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0)
        fail("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(c->fd, (struct sockaddr *)&load.addr, sizeof load.addr) < 0)
        fail("connect");
    if (send(c->fd, request, n, MSG_NOSIGNAL) != (ssize_t)n)
        fail("send");
    await_head(c->fd);
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event) < 0)
        fail("epoll_ctl");
}

/* ---- messages --------------------------------------------------------------------------- */

static void drop(struct conn *c)
{
    count.errors++;
    awaited -= c->awaits_echo;
    c->awaits_echo = false;
    close(c->fd);
    c->fd = -1;
}

/* A frame always fits into the socket's buffer: there is one under way, and maybe a Pong. */
static bool send_frame(struct conn *c, const unsigned char *frame, size_t n)
{
    if (send(c->fd, frame, n, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)n)
        return true;
    drop(c);
    return false;
}

static void send_message(struct conn *c)
{
    if (stopping || load.budget == 0)
        return;
    load.budget--;
    c->since = now_ns();
    c->awaits_echo = true;
    awaited++;
    send_frame(c, c->frame, 2 + MASK + load.message_bytes);
}

/* Takes one complete frame; false where it is not what was to come. */
static bool take_frame(struct conn *c, const unsigned char *at, size_t n)
{
    unsigned char pong[2 + MASK + SHORT];
    if (at[0] == PING)
        return send_frame(c, pong, make_frame(pong, PONG, at + 2, n - 2));
    if (!c->awaits_echo || n != 2 + load.message_bytes || memcmp(at, c->echo, n) != 0)
        return false;
    c->awaits_echo = false;
    awaited--;
    count.good++;
    count_batch(c->since);
    send_message(c);
    return true;
}

static void receive(struct conn *c)
{
    ssize_t got = recv(c->fd, c->in + c->kept, ROOM - c->kept, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        drop(c);
        return;
    }
    size_t have = c->kept + (size_t)got, at = 0;
    while (have - at >= 2) {
        size_t n = 2u + c->in[at + 1];
        if (n <= 2 + SHORT && have - at < n)
            break;
        if (n > 2 + SHORT || !take_frame(c, c->in + at, n)) {
            if (c->fd >= 0)
                drop(c);
            return;
        }
        if (c->fd < 0)
            return;
        at += n;
    }
    c->kept = have - at;
    memmove(c->in, c->in + at, c->kept);
}

/* ---- the run ---------------------------------------------------------------------------- */

static void run(struct conn *conns, int connections, int64_t milliseconds)
{
    struct epoll_event events[EVENTS];
    int64_t deadline = now_ns() + milliseconds * 1000000, end = deadline + 2000000000;
    for (int i = 0; i < connections; i++)
        send_message(&conns[i]);
    while (awaited > 0) {
        int64_t now = now_ns();
        stopping |= now >= deadline;
        if (now >= end)
            break;
        int64_t wait_ms = ((stopping ? end : deadline) - now) / 1000000 + 1;
        int ready = epoll_wait(poller, events, EVENTS, (int)wait_ms);
        for (int i = 0; i < ready; i++)
            receive(events[i].data.ptr);
    }
    count.errors += (uint64_t)awaited;
}

/* Says goodbye, and waits until the server has closed, or for some seconds. */
static void close_all(struct conn *conns, int connections)
{
    unsigned char goodbye[2 + MASK + 2];
    size_t n = make_frame(goodbye, CLOSE, (const unsigned char *)"\x03\xe8", 2);
    for (int i = 0; i < connections; i++)
        if (conns[i].fd >= 0)
            send(conns[i].fd, goodbye, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    int64_t end = now_ns() + CLOSING_SECONDS * (int64_t)1000000000;
    for (int i = 0; i < connections; i++)
        while (conns[i].fd >= 0 && now_ns() < end && recv(conns[i].fd, conns[i].in, ROOM, 0) > 0)
            continue;
}

static size_t read_file(const char *path, char *into, size_t room)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail(path);
    size_t n = fread(into, 1, room, file);
    fclose(file);
    return n;
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "usage: %s PORT REQUEST_FILE CONNECTIONS MESSAGE_BYTES MS MAX_MESSAGES\n",
                argv[0]);
        return 2;
    }
    int connections = atoi(argv[3]), bytes = atoi(argv[4]);
    int64_t milliseconds = atoll(argv[5]), start;
    char request[ROOM], line[16];
    if (connections < 1 || bytes < LEAST || bytes > SHORT || milliseconds < 1 || milliseconds > 600000)
        return 2;
    load.addr.sin_family = AF_INET;
    load.addr.sin_port = htons((unsigned short)atoi(argv[1]));
    load.addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    load.message_bytes = (size_t)bytes;
    load.budget = atoll(argv[6]) ? strtoull(argv[6], NULL, 10) : UINT64_MAX;
    poller = epoll_create1(0);
    struct conn *conns = calloc((size_t)connections, sizeof *conns);
    if (poller < 0 || conns == NULL)
        fail("start");

    size_t n = read_file(argv[2], request, sizeof request);
    for (int i = 0; i < connections; i++) {
        prepare(&conns[i], i);
        open_conn(&conns[i], request, n);
    }
    printf("ready\n");
    fflush(stdout);
    if (fgets(line, sizeof line, stdin) == NULL)
        return 1;
    start = now_ns();
    run(conns, connections, milliseconds);
    printf("{\"requests\": %llu, \"errors\": %llu, \"body_bytes\": %llu, \"connects\": %d, "
           "\"seconds\": %.6f, \"p50_us\": %u, \"p99_us\": %u}\n",
           (unsigned long long)count.good, (unsigned long long)count.errors,
           (unsigned long long)count.good * load.message_bytes, connections,
           (double)(now_ns() - start) / 1e9, quantile_us(0.5), quantile_us(0.99));
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL)
        continue;
    close_all(conns, connections);
    return 0;
}
