"""Taking connections off a listener, compiled."""

from monoceros.http._socket cimport (
    AF_INET,
    AF_INET6,
    EAGAIN,
    ECONNABORTED,
    EINTR,
    EWOULDBLOCK,
    errno,
    inet_ntop,
    mono_accept,
    ntohl,
    ntohs,
    sockaddr,
    sockaddr_in,
    sockaddr_in6,
    sockaddr_storage,
    socklen_t,
)

from os import strerror


def accept(listener, /):
    """Accept one connection as a non-blocking descriptor and its peer's address."""
    cdef sockaddr_storage address
    cdef socklen_t size = sizeof(address)
    cdef int fd = mono_accept(listener.fileno(), <sockaddr *>&address, &size)
    cdef int error
    if fd < 0:
        error = errno
        if error == EAGAIN or error == EWOULDBLOCK or error == EINTR or error == ECONNABORTED:
            return None
        raise OSError(error, strerror(error))
    return fd, _address(&address)


cdef object _address(sockaddr_storage *address):
    """Return a peer's address as ``socket.accept`` would."""
    cdef char text[64]
    cdef sockaddr_in *four
    cdef sockaddr_in6 *six
    if address.ss_family == AF_INET:
        four = <sockaddr_in *>address
        inet_ntop(AF_INET, &four.sin_addr, text, sizeof(text))
        return text.decode("ascii"), ntohs(four.sin_port)
    if address.ss_family == AF_INET6:
        six = <sockaddr_in6 *>address
        inet_ntop(AF_INET6, &six.sin6_addr, text, sizeof(text))
        return (
            text.decode("ascii"),
            ntohs(six.sin6_port),
            ntohl(six.sin6_flowinfo),
            six.sin6_scope_id,
        )
    return ""
