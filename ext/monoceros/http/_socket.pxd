"""System calls on sockets, and what they answer."""

cdef extern from "sys/types.h" nogil:
    ctypedef long ssize_t

cdef extern from "sys/uio.h" nogil:
    struct iovec:
        void *iov_base
        size_t iov_len

cdef extern from "sys/socket.h" nogil:
    ctypedef unsigned int socklen_t
    struct sockaddr:
        unsigned short sa_family
    struct sockaddr_storage:
        unsigned short ss_family
    struct msghdr:
        iovec *msg_iov
        size_t msg_iovlen
    struct linger:
        int l_onoff
        int l_linger
    const int MSG_DONTWAIT
    int MSG_PEEK
    const int SHUT_WR
    const int SHUT_RDWR
    const int SOL_SOCKET
    const int SO_LINGER
    const int AF_INET
    const int AF_INET6
    ssize_t recv(int fd, void *data, size_t size, int flags)
    ssize_t send(int fd, const void *data, size_t size, int flags)
    ssize_t sendmsg(int fd, const msghdr *message, int flags)
    int shutdown(int fd, int how)
    int setsockopt(int fd, int level, int option, const void *value, socklen_t size)

cdef extern from "netinet/in.h" nogil:
    struct in_addr:
        pass
    struct in6_addr:
        pass
    struct sockaddr_in:
        unsigned short sin_port
        in_addr sin_addr
    struct sockaddr_in6:
        unsigned short sin6_port
        unsigned int sin6_flowinfo
        in6_addr sin6_addr
        unsigned int sin6_scope_id
    unsigned short ntohs(unsigned short number)
    unsigned int ntohl(unsigned int number)

cdef extern from "arpa/inet.h" nogil:
    const char *inet_ntop(int family, const void *address, char *text, socklen_t size)

cdef extern from "errno.h" nogil:
    const int EAGAIN
    const int EWOULDBLOCK
    const int EINTR
    const int ECONNABORTED
    int errno

cdef extern from "unistd.h" nogil:
    int close(int fd)

cdef extern from *:
    """
    #ifndef MSG_NOSIGNAL
    #define MSG_NOSIGNAL 0 /* macOS has SO_NOSIGPIPE instead; Python ignores SIGPIPE anyway */
    #endif
    #include <fcntl.h>
    #include <poll.h>
    #include <sys/socket.h>
    #define MONO_HALF_CLOSED 1
    #define MONO_GONE 2
    /* Whether a client is still there, as monoceros.http.presence has it. */
    static inline int mono_look(int fd) {
        int found = 0;
        struct pollfd entry;
        entry.fd = fd;
        entry.revents = 0;
    #ifdef POLLRDHUP
        entry.events = POLLRDHUP;
    #else
        entry.events = 0;
    #endif
        if (poll(&entry, 1, 0) > 0) {
            if (entry.revents & (POLLHUP | POLLERR | POLLNVAL))
                found |= MONO_GONE;
    #ifdef POLLRDHUP
            if (entry.revents & POLLRDHUP)
                found |= MONO_HALF_CLOSED;
    #endif
        }
    #ifndef POLLRDHUP
        if (!found) {
            char octet;
            if (recv(fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
                found = MONO_HALF_CLOSED;
        }
    #endif
        return found;
    }
    static inline int mono_accept(int listener, struct sockaddr *address, socklen_t *size) {
    #if defined(__linux__)
        return accept4(listener, address, size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    #else
        int fd = accept(listener, address, size);
        if (fd >= 0) {
            fcntl(fd, F_SETFD, FD_CLOEXEC);
            fcntl(fd, F_SETFL, O_NONBLOCK);
        }
        return fd;
    #endif
    }
    """
    const int MSG_NOSIGNAL
    const int MONO_GONE
    int mono_look(int fd) nogil
    int mono_accept(int listener, sockaddr *address, socklen_t *size) nogil
