"""The filter of system calls: no new process, no program, no socket, no hand on another process or on the system.

A list of what is refused, not of what is allowed: parsers and their libraries make a hundred harmless calls, and a
new version of one must not fail on a new one. Refused calls fail with EPERM, so that a library that only tries
something goes on without it. Source: seccomp(2), Documentation/userspace-api/seccomp_filter.rst of Linux.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_SET_MODE_FILTER = 1
_FLAG_TSYNC = 1  # all threads of the process
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000  # SECCOMP_RET_*
_LOAD, _EQUAL, _AT_LEAST, _HAS, _RETURN = (
    0x20,
    0x15,
    0x35,
    0x45,
    0x06,
)  # BPF_LD|W|ABS, BPF_JMP|JEQ, JGE, JSET|K, BPF_RET|K
_NUMBER, _ARCHITECTURE, _FIRST = 0, 4, 16  # offsets in struct seccomp_data, the last of the first argument's lower half
_CLONE_THREAD = 0x00010000
_X32 = 0x40000000  # the bit of x86-64's second set of numbers

# AUDIT_ARCH_* and the column of the table below.
_MACHINES: Final = MappingProxyType({"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)})
# What is refused: its number on x86-64 and on arm64, None where it has none.
_REFUSED: Final[Mapping[str, tuple[int | None, int | None]]] = MappingProxyType(
    {
        # the network, other programs' sockets in the file system, and what goes around this filter
        **{"socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200)},
        **{"io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427)},
        # programs and processes; threads are allowed below
        **{"fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281)},
        # other processes, and leaving the group that is killed at the end
        **{"ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272)},
        **{"pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424)},
        **{"tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240)},
        **{"setpgid": (109, 154), "setsid": (112, 157)},
        # what Landlock leaves open: owner, mode, times and attributes of files; older ones of it, cutting them off
        **{"chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452)},
        **{"chown": (92, None), "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54)},
        **{"utime": (132, None), "utimes": (235, None), "futimesat": (261, None), "utimensat": (280, 88)},
        **{"setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7), "setxattrat": (463, 463)},
        **{"removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16), "removexattrat": (466, 466)},
        **{"truncate": (76, 45)},
        # the system: name spaces, mounts, keys, modules, clock
        **{"unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39)},
        **{"pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429)},
        **{"fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433)},
        **{"mount_setattr": (442, 442), "open_by_handle_at": (304, 265), "acct": (163, 89), "quotactl": (179, 60)},
        **{"bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "syslog": (103, 116)},
        **{"add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219)},
        **{"init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106)},
        **{"kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142)},
        **{"swapon": (167, 224), "swapoff": (168, 225), "iopl": (172, None), "ioperm": (173, None)},
        **{"settimeofday": (164, 170), "clock_settime": (227, 112)},
        **{"sethostname": (170, 161), "setdomainname": (171, 162)},
    }
)
_CLONE, _CLONE3 = (56, 220), 435
_SIGNALS: Final = ((62, 129), (234, 131))  # kill, tgkill: to itself alone, as abort(3) does
_SECCOMP, _CAPSET = (317, 277), (126, 91)
_CAPABILITIES = 0x20080522  # _LINUX_CAPABILITY_VERSION_3
_READ_SEARCH = 1 << 2  # CAP_DAC_READ_SEARCH

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def hold() -> bool:
    """Refuse them from here on, in all threads; whether the kernel and its machine let us."""
    known = _MACHINES.get(platform.machine())
    if _libc is None or known is None:
        return False
    architecture, column = known
    program = filter_of(architecture, column, os.getpid())
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    _give_up_rights(column)
    told = _Program(len(program) // 8, program)
    return bool(_libc.syscall(_SECCOMP[column], _SECCOMP_SET_MODE_FILTER, _FLAG_TSYNC, ctypes.byref(told)) == 0)


def _give_up_rights(column: int) -> None:
    """Of root's capabilities keep the one to read files: uploads may be another user's. Others have none to give up.

    With its other capabilities root would be let into the environment and memory of other processes (proc(5)).
    """
    if os.geteuid() == 0:
        assert _libc is not None
        # Effective, permitted and inheritable, the lower 32 bits and then the upper (capset(2)).
        for kept in (_READ_SEARCH, 0):
            rights = struct.pack("=6I", kept, kept, 0, 0, 0, 0)
            if _libc.syscall(_CAPSET[column], struct.pack("=Ii", _CAPABILITIES, 0), rights) == 0:
                return


def filter_of(architecture: int, column: int, own: int) -> bytes:
    """The filter, in classic BPF, for a process with the id `own`."""
    refuse, unknown = _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS
    lines = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _KILL)]
    lines += [(_LOAD, 0, 0, _NUMBER), (_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, refuse)]
    for numbers in _REFUSED.values():
        if (number := numbers[column]) is not None:
            lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, refuse)]
    # Its flags lie in memory, which a filter cannot see; the C library then falls back to the older clone.
    lines += [(_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, unknown)]
    for number, test, value in (
        (_CLONE[column], _HAS, _CLONE_THREAD),
        *((numbers[column], _EQUAL, own) for numbers in _SIGNALS),
    ):
        lines += [(_EQUAL, 0, 4, number), (_LOAD, 0, 0, _FIRST), (test, 1, 0, value)]
        lines += [(_RETURN, 0, 0, refuse), (_RETURN, 0, 0, _ALLOW)]
    lines.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *line) for line in lines)
