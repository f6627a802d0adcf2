"""What systemd passes to a service, and what it is told."""

from monoceros.compat.systemd import SD_LISTEN_FDS_START as SD_LISTEN_FDS_START
from monoceros.compat.systemd import listen_fds as listen_fds
from monoceros.compat.systemd import sd_notify as sd_notify
