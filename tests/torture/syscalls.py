# SPDX-License-Identifier: Apache-2.0
"""syscalls.py - the kernel refuses: one call, or each from there on, fails with an error that it may
have. The daemon may end, and must say why; it may not lose, mix or invent."""

from .kills import tracer
from .ledger import Violation

FAILS = {
    "openat": ("EMFILE", "ENFILE", "EACCES", "EIO", "ENOSPC", "EINTR", "ENOMEM"),
    "read": ("EINTR", "EIO", "EAGAIN"),
    "pread64": ("EIO", "EINTR", "ENOMEM"),
    "preadv2": ("EIO", "EAGAIN", "EINTR", "EOPNOTSUPP"),
    "write": ("EINTR",),
    "pwrite64": ("EIO", "ENOSPC", "EINTR", "EDQUOT"),
    "writev": ("EINTR", "EAGAIN", "EPIPE"),
    "fsync": ("EIO", "ENOSPC", "EINTR"),
    "fdatasync": ("EIO", "ENOSPC", "EINTR"),
    "ftruncate": ("EIO", "ENOSPC", "EINTR"),
    "rename": ("EIO", "ENOSPC", "EACCES"),
    "link": ("EIO", "ENOSPC", "EPERM"),
    "unlink": ("EIO", "EACCES"),
    "newfstatat": ("EIO", "ENOMEM", "EACCES"),
    "sendto": ("EAGAIN", "EINTR", "ECONNRESET", "ENOBUFS", "EPIPE"),
    "recvfrom": ("EAGAIN", "EINTR", "ECONNRESET", "ENOMEM"),
    "sendmsg": ("EAGAIN", "EINTR", "ECONNRESET", "ENOBUFS"),
    "sendmmsg": ("EAGAIN", "EINTR", "ENOBUFS"),
    "recvmsg": ("EAGAIN", "EINTR", "ENOMEM"),
    "recvmmsg": ("EAGAIN", "EINTR", "ENOMEM"),
    "socket": ("EMFILE", "ENFILE", "ENOBUFS"),
    "connect": ("ECONNREFUSED", "ENETUNREACH", "ETIMEDOUT", "EINTR"),
    "accept4": ("EMFILE", "ENFILE", "ECONNABORTED", "EINTR"),
    "epoll_wait": ("EINTR",),
    "epoll_pwait": ("EINTR",),
    "epoll_ctl": ("ENOMEM", "ENOSPC"),
    "fcntl": ("EMFILE", "EIO"),
    "lseek": ("EIO",),
    "getdents64": ("EIO",),
    "clone3": ("EAGAIN",),
    "eventfd2": ("EMFILE",),
}
SPAN = 40  # the nth call, at random up to this


class Errors:
    name, points, long_points, per_life = "syscall", 1500, 6000, 20

    def life(self, world, number, n_points, tick):
        rng = world.rng
        for _ in range(n_points):
            call = rng.choice(list(FAILS))
            error = rng.choice(FAILS[call])
            first = 1 + int(SPAN * rng.random() ** 2)
            when = rng.choice((f"{first}", f"{first}", f"{first}..{first + 3}", f"{first}+"))
            if error in ("EINTR", "EAGAIN") or call == "accept4":  # for ever would be a loop that nobody can leave
                when = f"{first}..{first + 3}"
            tick(f"{call} {error} when={when}")
            before = len(world.ocid.log())
            if world.up(tracer(f"{call}:error={error}:when={when}", calls=call),
                        mute=when.endswith("+")):
                world.drive(4)
            elif call != "epoll_ctl":  # libuv aborts in silence
                self._says_why(world, error, world.ocid.log()[before:])
            world.died()
        world.come_to_rest()

    @staticmethod
    def _says_why(world, error, said):
        """It has ended, or hangs up on everybody, as it must when each of its sends fails: to hold on
        to clients that it cannot answer would be to let them wait. Of a client that has itself hung
        up nothing is said."""
        if not said:
            raise Violation(f"it does not start, and says nothing: {world.ocid.process}")
        if error in ("EPIPE", "ECONNRESET"):
            return
        if world.running and "hung up on" not in said and "turned away" not in said:
            raise Violation(f"it hangs up on everybody, and does not say why: {said[-1500:]}")
