/* Closed-loop HTTP/1.1 load against 127.0.0.1; prints one line of JSON.
 *
 * usage: loadgen PORT REQUEST_FILE CONNECTIONS DEPTH CLOSE MILLISECONDS MAX_REQUESTS
 *
 * Each connection sends DEPTH copies of the request in one write, waits for as many complete
 * answers, and goes on. With CLOSE = 1, or when an answer announces it, it waits for the server's
 * FIN and connects anew. No request is started after MILLISECONDS or MAX_REQUESTS (0: no count);
 * what is under way then gets two seconds. Only a complete 200 counts as a request: everything
 * else, unanswered requests and connections that were not closed included, is an error. */
#define _GNU_SOURCE
#include "answers.h"
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

enum { KEEP = 16384, ROOM = 262144, EVENTS = 256, MAX_ERRORS = 1000 };

struct conn {
    int fd;
    struct reader reader;
    bool polling_out;
    size_t out_left;
    int64_t since;
    size_t kept; /* start of an incomplete head or line */
    char keep[KEEP];
};

static struct {
    struct sockaddr_in addr;
    char *batch;
    size_t request_bytes;
    unsigned depth;
    bool close;
    uint64_t budget; /* requests that may still be started */
} load;

static struct {
    struct totals totals;
    uint64_t lost, connects;
} count;

static char input[KEEP + ROOM];
static int poller, active;
static bool stopping;

static uint64_t errors(void)
{
    return count.totals.bad + count.lost;
}

/* ---- connections ------------------------------------------------------------------------ */

static void poll_for(struct conn *c, int operation)
{
    c->polling_out = c->out_left > 0;
    struct epoll_event event = {.events = EPOLLIN | (c->polling_out ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(poller, operation, c->fd, &event) < 0)
        fail("epoll_ctl");
}

static void drop(struct conn *c)
{
    count.lost += c->reader.awaited;
    c->reader.awaited = 0;
    close(c->fd);
    c->fd = -1;
    active--;
}

static void write_batch(struct conn *c)
{
    const char *end = load.batch + load.depth * load.request_bytes;
    ssize_t sent = send(c->fd, end - c->out_left, c->out_left, MSG_NOSIGNAL);
    if (sent > 0)
        c->out_left -= (size_t)sent;
}

/* Starts the next batch; false when there is nothing more to start. */
static bool start_batch(struct conn *c)
{
    if (stopping || load.budget == 0)
        return false;
    c->reader.awaited = load.budget < load.depth ? (unsigned)load.budget : load.depth;
    load.budget -= c->reader.awaited;
    c->out_left = c->reader.awaited * load.request_bytes;
    c->reader.state = HEAD;
    c->kept = 0;
    c->reader.closing = load.close;
    c->since = now_ns();
    write_batch(c);
    return true;
}

static void open_conn(struct conn *c)
{
    int on = 1;
    c->reader.totals = &count.totals;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0)
        fail("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(c->fd, (struct sockaddr *)&load.addr, sizeof load.addr) < 0 && errno != EINPROGRESS)
        fail("connect");
    active++;
    count.connects++;
    if (start_batch(c))
        poll_for(c, EPOLL_CTL_ADD);
    else
        drop(c);
}

static void reopen(struct conn *c)
{
    drop(c);
    if (!stopping && load.budget > 0 && errors() < MAX_ERRORS)
        open_conn(c);
}

static void finish_batch(struct conn *c)
{
    count_batch(c->since);
    if (c->reader.closing)
        return; /* until the server's FIN */
    if (!start_batch(c))
        drop(c);
    else if (c->out_left > 0)
        poll_for(c, EPOLL_CTL_MOD);
}

static void receive(struct conn *c)
{
    memcpy(input, c->keep, c->kept);
    ssize_t got = recv(c->fd, input + c->kept, ROOM, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        if (got == 0 && c->reader.awaited > 0 && c->reader.state == UNTIL_EOF) {
            finish_answer(&c->reader);
            finish_batch(c);
        }
        reopen(c);
        return;
    }
    const char *end = input + c->kept + got;
    const char *at = c->reader.awaited > 0 ? read_answers(&c->reader, input, end) : input;
    size_t left = (size_t)(end - at);
    if (left > KEEP || (c->reader.awaited == 0 && left > 0)) {
        count.lost++; /* a head without end, or more than was asked for */
        reopen(c);
        return;
    }
    memcpy(c->keep, at, left);
    c->kept = left;
    if (c->reader.awaited == 0)
        finish_batch(c);
}

static void handle(struct conn *c, uint32_t events)
{
    if (c->polling_out && (events & EPOLLOUT)) {
        write_batch(c);
        if (c->out_left == 0)
            poll_for(c, EPOLL_CTL_MOD);
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        receive(c);
}

/* ---- the run ---------------------------------------------------------------------------- */

static void run(struct conn *conns, int connections, int64_t milliseconds)
{
    struct epoll_event events[EVENTS];
    int64_t deadline = now_ns() + milliseconds * 1000000, end = deadline + 2000000000;
    for (int i = 0; i < connections; i++)
        open_conn(&conns[i]);
    while (active > 0) {
        int64_t now = now_ns();
        stopping |= now >= deadline || errors() >= MAX_ERRORS;
        if (now >= end)
            break;
        int64_t wait_ms = ((stopping ? end : deadline) - now) / 1000000 + 1;
        int ready = epoll_wait(poller, events, EVENTS, (int)wait_ms);
        for (int i = 0; i < ready; i++)
            handle(events[i].data.ptr, events[i].events);
    }
    for (int i = 0; i < connections; i++) {
        if (conns[i].fd < 0)
            continue;
        count.lost += conns[i].reader.awaited == 0; /* not closed; drop counts what is awaited */
        drop(&conns[i]);
    }
}

static void read_request(const char *path)
{
    FILE *file = fopen(path, "rb");
    static char request[1 << 20];
    if (file == NULL)
        fail(path);
    load.request_bytes = fread(request, 1, sizeof request, file);
    fclose(file);
    load.batch = malloc(load.request_bytes * load.depth + 1);
    if (load.batch == NULL)
        fail("malloc");
    for (unsigned i = 0; i < load.depth; i++)
        memcpy(load.batch + i * load.request_bytes, request, load.request_bytes);
}

int main(int argc, char **argv)
{
    if (argc != 8) {
        fprintf(stderr, "usage: %s PORT REQUEST_FILE CONNECTIONS DEPTH CLOSE MS MAX_REQUESTS\n",
                argv[0]);
        return 2;
    }
    int connections = atoi(argv[3]);
    int64_t milliseconds = atoll(argv[6]), start;
    load.addr.sin_family = AF_INET;
    load.addr.sin_port = htons((unsigned short)atoi(argv[1]));
    load.addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    load.depth = (unsigned)atoi(argv[4]);
    load.close = atoi(argv[5]) != 0;
    load.budget = atoll(argv[7]) ? strtoull(argv[7], NULL, 10) : UINT64_MAX;
    if (connections < 1 || load.depth < 1 || milliseconds < 1 || milliseconds > 600000)
        return 2;
    read_request(argv[2]);
    poller = epoll_create1(0);
    struct conn *conns = calloc((size_t)connections, sizeof *conns);
    if (poller < 0 || conns == NULL)
        fail("start");

    start = now_ns();
    run(conns, connections, milliseconds);
    double seconds = (double)(now_ns() - start) / 1e9;
    printf("{\"requests\": %llu, \"errors\": %llu, \"body_bytes\": %llu, \"connects\": %llu, "
           "\"seconds\": %.6f, \"p50_us\": %u, \"p99_us\": %u}\n",
           (unsigned long long)count.totals.good, (unsigned long long)errors(),
           (unsigned long long)count.totals.body_bytes, (unsigned long long)count.connects, seconds,
           quantile_us(0.5), quantile_us(0.99));
    return 0;
}
