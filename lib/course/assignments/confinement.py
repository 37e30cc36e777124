"""Confine this process: files, processes, network, memory. It uses the standard library alone.

Two levels. "kernel" (Linux 5.13 or later, on x86-64 or arm64) holds for every program code:
Landlock lets the process read the Python installation and system libraries, and read and write one
folder; a seccomp filter refuses new processes, programs, sockets, signals to others and changes of
rights; all capabilities are dropped. "python" is an audit hook of the interpreter. It stops
mistakes and plain attempts; code that knows the interpreter can get around it.
"""

import ctypes
import os
import platform
import struct
import sys
from pathlib import Path

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None

KERNEL, PYTHON = "kernel", "python"
LARGEST_FILE = 2**23
OPEN_FILES = 64

# ---- system calls, by the number they have on each processor

COMMON = {
    "pidfd_send_signal": 424, "io_uring_setup": 425, "io_uring_enter": 426,
    "io_uring_register": 427, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431,
    "fsmount": 432, "fspick": 433, "pidfd_open": 434, "pidfd_getfd": 438, "mount_setattr": 442,
    "fchmodat2": 452, "setxattrat": 463, "removexattrat": 466,
}  # fmt: skip
REFUSED = {
    "x86_64": COMMON | {
        "shmget": 29, "socket": 41, "socketpair": 53, "fork": 57, "vfork": 58, "execve": 59,
        "kill": 62, "chmod": 90, "fchmod": 91, "chown": 92, "fchown": 93, "lchown": 94,
        "ptrace": 101, "rt_sigqueueinfo": 129, "utime": 132, "mknod": 133, "personality": 135,
        "setrlimit": 160, "mount": 165, "umount2": 166, "setxattr": 188, "lsetxattr": 189,
        "fsetxattr": 190, "removexattr": 197, "lremovexattr": 198, "fremovexattr": 199,
        "tkill": 200, "utimes": 235, "mq_open": 240, "add_key": 248, "request_key": 249,
        "keyctl": 250, "mknodat": 259, "fchownat": 260, "futimesat": 261, "fchmodat": 268,
        "unshare": 272, "utimensat": 280, "rt_tgsigqueueinfo": 297, "perf_event_open": 298,
        "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311, "memfd_create": 319,
        "bpf": 321, "execveat": 322, "userfaultfd": 323,
    },
    "aarch64": COMMON | {
        "setxattr": 5, "lsetxattr": 6, "fsetxattr": 7, "removexattr": 14, "lremovexattr": 15,
        "fremovexattr": 16, "mknodat": 33, "umount2": 39, "mount": 40, "fchmod": 52,
        "fchmodat": 53, "fchownat": 54, "fchown": 55, "utimensat": 88, "personality": 92,
        "unshare": 97, "ptrace": 117, "kill": 129, "tkill": 130, "rt_sigqueueinfo": 138,
        "setrlimit": 164, "mq_open": 180, "shmget": 194, "socket": 198, "socketpair": 199,
        "add_key": 217, "request_key": 218, "keyctl": 219, "execve": 221,
        "rt_tgsigqueueinfo": 240, "perf_event_open": 241, "setns": 268, "process_vm_readv": 270,
        "process_vm_writev": 271, "memfd_create": 279, "bpf": 280, "execveat": 281,
        "userfaultfd": 282,
    },
}  # fmt: skip
CHECKED = {  # calls that are allowed with some arguments
    "x86_64": {
        "clone": 56, "clone3": 435, "tgkill": 234, "prlimit64": 302, "mmap": 9, "capset": 126,
    },
    "aarch64": {
        "clone": 220, "clone3": 435, "tgkill": 131, "prlimit64": 261, "mmap": 222, "capset": 91,
    },
}  # fmt: skip
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
CLONE_THREAD = 0x00010000
MAP_SHARED, MAP_ANONYMOUS = 0x01, 0x20
EPERM, ENOSYS = 1, 38
SET_NO_NEW_PRIVS, SET_SECCOMP, SET_PARENT_DEATH_SIGNAL = 38, 22, 1

# Rights of Landlock: bit 0 execute, 1 write, 2 read a file, 3 list, 4 to 12 remove and make,
# 13 link elsewhere, 14 truncate, 15 ioctl of devices. The version of Landlock says which it knows.
RIGHTS_OF_VERSION = {1: 13, 2: 14, 3: 15, 4: 15}
LIST, READ, WRITE_FILE = 1 << 3, 1 << 2, 1 << 1 | 1 << 2 | 1 << 14
FILE_RIGHTS = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15


def kernel_problem() -> str:
    """Say why the kernel cannot confine a process here; an empty text where it can."""
    if sys.platform != "linux" or platform.machine() not in REFUSED:
        return "it needs Linux on x86-64 or arm64"
    if _landlock_version() < 1:
        return "Landlock is off: it needs Linux 5.13 or later, and a container that allows it"
    with open("/proc/self/status", encoding="ascii") as status:
        return "" if "Seccomp_filters:" in status.read() else "the kernel has no seccomp filters"


def confine(folder: str, level: str, memory: int, cpu_s: int, hidden: list[str]) -> None:
    """Confine this process for good.

    Args:
        folder: the only place that it may write, and its working directory.
        level: "kernel" or "python".
        memory: bytes of private memory that it may write; code of libraries is not counted.
        cpu_s: seconds of processor time, after which the system ends the process.
        hidden: paths that stay unreadable inside the Python installation.
    """
    limits = {
        resource.RLIMIT_CPU: cpu_s,
        resource.RLIMIT_FSIZE: LARGEST_FILE,
        resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_CORE: 0,
    }
    if sys.platform == "linux":  # elsewhere the limit is not kept
        limits[resource.RLIMIT_DATA] = memory
    for limit, value in limits.items():
        hard = resource.getrlimit(limit)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (value, value))
    if level == PYTHON:
        sys.addaudithook(_audit_hook(os.path.realpath(folder), hidden))
        return
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getppid()
    _check(libc.prctl(SET_PARENT_DEATH_SIGNAL, 9, 0, 0, 0), "prctl")
    if os.getppid() != parent:
        os._exit(1)
    _check(libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    _restrict_files(libc, folder, hidden)
    _drop_capabilities(libc)
    _refuse_calls(libc)


# ---- files


def readable_roots() -> list[str]:
    """List the folders and files of the system that a confined process may read."""
    prefixes = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    roots = {os.path.join(prefix, name) for prefix in prefixes for name in ("lib", "lib64")}
    roots |= {"/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/share/zoneinfo"}
    roots |= {"/etc/ld.so.cache", "/etc/localtime", "/dev/urandom", "/dev/null"}
    roots |= {"/proc/cpuinfo", "/sys/devices/system/cpu"}
    roots |= {path for path in sys.path if os.path.basename(path) in PACKAGES}
    return sorted({os.path.realpath(root) for root in roots if os.path.exists(root)})


PACKAGES = "site-packages", "dist-packages"


def visible(root: str, hidden: list[str]) -> list[tuple[str, bool]]:
    """Split a tree around hidden paths: what may be read whole, and folders only to be listed."""
    below = [path for path in hidden if Path(path).is_relative_to(root)]
    if not below:
        return [(root, True)]
    if root in below:
        return []
    parts = [(root, False)]
    for entry in sorted(os.scandir(root), key=lambda entry: entry.name):
        if not entry.is_symlink():
            parts += visible(entry.path, below)
    return parts


def _landlock_version() -> int:
    return ctypes.CDLL(None, use_errno=True).syscall(LANDLOCK_CREATE, None, 0, 1)


def _restrict_files(libc, folder: str, hidden: list[str]) -> None:
    version = _landlock_version()
    every = (1 << RIGHTS_OF_VERSION.get(version, 16)) - 1
    hidden = [os.path.realpath(path) for path in hidden]
    attributes = struct.pack("<Q", every)
    if version >= 4:
        attributes += struct.pack("<Q", 0b11)  # TCP: bind and connect
    if version >= 6:
        attributes += struct.pack("<Q", 0b11)  # abstract sockets and signals of others
    rules = libc.syscall(LANDLOCK_CREATE, attributes, len(attributes), 0)
    _check(rules, "landlock_create_ruleset")
    parts = [part for root in readable_roots() for part in visible(root, hidden)]
    rights = {path: READ | LIST if whole else LIST for path, whole in parts}
    rights["/dev/null"] = WRITE_FILE
    rights[os.path.realpath(folder)] = every & ~1
    for path, allowed in rights.items():
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        if not os.path.isdir(path):
            allowed &= FILE_RIGHTS
        rule = struct.pack("<Qi", allowed & every, place)
        _check(libc.syscall(LANDLOCK_ADD, rules, 1, rule, 0), f"landlock_add_rule {path}")
        os.close(place)
    _check(libc.syscall(LANDLOCK_RESTRICT, rules, 0), "landlock_restrict_self")
    os.close(rules)


def _drop_capabilities(libc) -> None:
    """Give up all rights of an administrator, which a grader in a container often has."""
    header = struct.pack("<Ii", 0x20080522, 0)
    number = CHECKED[platform.machine()]["capset"]
    _check(libc.syscall(number, header, struct.pack("<6I", *[0] * 6)), "capset")


# ---- system calls


def _refuse_calls(libc) -> None:
    """Install a seccomp filter; refused calls fail with EPERM."""
    machine = platform.machine()
    special = CHECKED[machine]
    allow, refuse, missing = 0x7FFF0000, 0x00050000 | EPERM, 0x00050000 | ENOSYS
    code = [_load(4), _jump(AUDIT_ARCH[machine], 1, 0), _return(0x80000000), _load(0)]
    if machine == "x86_64":
        code += [(0x35, 0, 1, 0x40000000), _return(refuse)]  # numbers of the x32 interface
    for number in REFUSED[machine].values():
        code += [_jump(number, 0, 1), _return(refuse)]
    code += [_jump(special["clone3"], 0, 1), _return(missing)]  # libraries then use clone
    code += [_jump(special["clone"], 0, 4), _load(16), _any_bit(CLONE_THREAD, 0, 1)]
    code += [_return(allow), _return(refuse)]
    code += [_jump(special["tgkill"], 0, 4), _load(16), _jump(os.getpid(), 0, 1)]
    code += [_return(allow), _return(refuse)]
    code += [_jump(special["prlimit64"], 0, 6), _load(32), _jump(0, 0, 3), _load(36)]
    code += [_jump(0, 0, 1), _return(allow), _return(refuse)]
    # Shared memory without a file escapes the limit of private memory.
    code += [_jump(special["mmap"], 0, 4), _load(40), _any_bit(MAP_ANONYMOUS, 0, 2)]
    code += [_any_bit(MAP_SHARED, 0, 1), _return(refuse), _return(allow)]
    program = b"".join(struct.pack("<HBBI", *line) for line in code)
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("<HxxxxxxQ", len(code), ctypes.addressof(buffer))
    holder = ctypes.create_string_buffer(header, len(header))
    _check(libc.prctl(SET_SECCOMP, 2, ctypes.c_void_p(ctypes.addressof(holder)), 0, 0), "seccomp")


def _load(offset: int) -> tuple[int, int, int, int]:
    return 0x20, 0, 0, offset  # a 32-bit word: 0 number, 4 processor, 16 + 8 i argument i


def _jump(value: int, equal: int, other: int) -> tuple[int, int, int, int]:
    return 0x15, equal, other, value


def _any_bit(value: int, yes: int, no: int) -> tuple[int, int, int, int]:
    return 0x45, yes, no, value


def _return(value: int) -> tuple[int, int, int, int]:
    return 0x06, 0, 0, value


def _check(result: int, what: str) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


# ---- the weaker level


WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
NEVER = (
    "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.kill",
    "os.startfile", "socket.", "ctypes.", "signal.pthread_kill", "resource.", "pty.", "os.chmod",
    "os.chown", "os.setxattr", "os.removexattr", "os.utime", "os.chflags", "urllib.", "ftplib.",
    "smtplib.", "imaplib.", "poplib.", "nntplib.", "telnetlib.", "webbrowser.", "syslog.",
)  # fmt: skip
MOVES = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate",
         "shutil.")  # fmt: skip


def _audit_hook(folder: str, hidden: list[str]):
    """Make the hook: files outside the folder are read only, those of the course not at all."""
    real, fspath, is_below = os.path.realpath, os.fsdecode, Path.is_relative_to
    libraries = [Path(path) for path in readable_roots()]
    closed = [Path(real(path)) for path in hidden]
    home = Path(folder)

    def allowed(path, write: bool) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return True  # a file that is open already
        place = Path(real(fspath(path)))
        if is_below(place, home) or str(place) == "/dev/null":
            return True
        if write or any(is_below(place, each) for each in closed):
            return False
        return any(is_below(place, each) for each in libraries)

    def hook(event: str, arguments: tuple) -> None:
        refused = event.startswith(NEVER)
        if event == "open":
            path, mode, flags = arguments
            writes = isinstance(mode, str) and set(mode) & set("wax+")
            refused = not allowed(path, bool(writes or (flags or 0) & WRITING))
        elif event.startswith(MOVES):
            refused = not all(allowed(each, True) for each in arguments[:2])
        if refused:
            raise PermissionError(f"{event} is not allowed here")

    return hook
