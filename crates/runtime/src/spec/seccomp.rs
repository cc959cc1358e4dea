//! The default seccomp profile: what Docker allows, for the capabilities that a container has.
//!
//! An allow-list; everything else answers EPERM, so that programs fall back. The names follow Docker's default
//! profile (moby, profiles/seccomp) as of Docker 25, which took io_uring off the list.
//! Names that the installed libseccomp does not know are skipped by the runtime.

use serde_json::{Value, json};

/// For every container.
const ALWAYS: &str = "
accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32 clock_adjtime
clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64
close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old
epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat
faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat
fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs
fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat
get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32
getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid
getresgid32 getresuid getresuid32 getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid
getuid32 getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy
io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit ioctl ioprio_get ioprio_set ipc kill
landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link linkat listen
listxattr listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 madvise map_shadow_stack
membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect
mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink
mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat
_newselect open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll
ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease process_vm_readv process_vm_writev
pselect6 pselect6_time64 ptrace pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recv recvfrom
recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename renameat renameat2 restart_syscall
rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity
sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity
sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop
semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address
setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid
setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid setsockopt setuid
setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 sigprocmask sigreturn
socketpair splice stat stat64 statfs statfs64 statx symlink symlinkat sync sync_file_range syncfs sysinfo
tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime
timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill
truncate truncate64 ugetrlimit umask uname unlink unlinkat uretprobe utime utimensat utimensat_time64 utimes vfork
vmsplice wait4 waitid waitpid write writev";

const X86_64_ONLY: &str = "arch_prctl modify_ldt";
const AARCH64_ONLY: &str =
    "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2";

/// What a capability opens. Those that Fargate never grants are not listed: SYS_ADMIN, BPF, SYS_MODULE and so on.
const BY_CAPABILITY: [(&str, &str); 2] = [
    ("CAP_SYS_CHROOT", "chroot"),
    ("CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise"),
];

/// personality(2) values: Linux, 32-bit, each with UNAME26, and the query.
const PERSONALITIES: [u32; 5] = [0x0, 0x0008, 0x2_0000, 0x2_0008, 0xffff_ffff];
/// All CLONE_NEW* flags of clone(2); without SYS_ADMIN a container makes no namespaces, and by that no user
/// namespace in which it would have SYS_ADMIN.
const NEW_NAMESPACE_FLAGS: u32 = 0x7e02_0000;
/// Address families that reach past the container: AF_ALG, the kernel's own cryptography, which has let anybody write
/// to the page cache that containers share (CVE-2026-31431), and AF_VSOCK, the machine that this one is a guest of.
const AF_ALG: u32 = 38;
const AF_VSOCK: u32 = 40;
const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

pub(crate) fn profile(granted: &[&str]) -> Value {
    profile_for(std::env::consts::ARCH, granted)
}

fn profile_for(arch: &str, granted: &[&str]) -> Value {
    // 32-bit programs of the same family run too.
    let (architectures, of_arch) = match arch {
        "aarch64" => (json!(["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]), AARCH64_ONLY),
        _ => (
            json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]),
            X86_64_ONLY,
        ),
    };
    let opened = BY_CAPABILITY
        .iter()
        .filter(|(capability, _)| granted.contains(capability))
        .map(|(_, names)| *names);
    let names: Vec<&str> = [ALWAYS, of_arch]
        .into_iter()
        .chain(opened)
        .flat_map(str::split_ascii_whitespace)
        .collect();
    let socket_if =
        |value: u32, op: &str| allow_if("socket", json!({ "index": 0, "value": value, "op": op }));
    let mut rules = vec![
        // i386's old way to make a socket, whose arguments are behind a pointer: it would open every family. The direct
        // calls are there since Linux 4.3, and ENOSYS makes a C library use them that knows both. Before the others,
        // since libseccomp allows `socketcall` besides wherever `socket` and its like are allowed; with
        // another error than the default one, or runc would not pass the rule on (containerd, pull request 13330).
        json!({ "names": ["socketcall"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS }),
        json!({ "names": names, "action": "SCMP_ACT_ALLOW" }),
        socket_if(AF_ALG, "SCMP_CMP_LT"),
        socket_if(AF_ALG + 1, "SCMP_CMP_EQ"),
        socket_if(AF_VSOCK, "SCMP_CMP_GT"),
        allow_if(
            "clone",
            json!({ "index": 0, "value": NEW_NAMESPACE_FLAGS, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" }),
        ),
        // Its flags are behind a pointer that seccomp cannot follow; ENOSYS makes the C library use clone.
        json!({ "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS }),
    ];
    rules.extend(PERSONALITIES.iter().map(|value| {
        allow_if(
            "personality",
            json!({ "index": 0, "value": value, "op": "SCMP_CMP_EQ" }),
        )
    }));
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": EPERM,
        "architectures": architectures,
        "syscalls": rules,
    })
}

fn allow_if(name: &str, argument: Value) -> Value {
    json!({ "names": [name], "action": "SCMP_ACT_ALLOW", "args": [argument] })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(profile: &Value, name: &str) -> bool {
        profile["syscalls"]
            .as_array()
            .expect("rules")
            .iter()
            .any(|rule| {
                rule["action"] == "SCMP_ACT_ALLOW"
                    && rule["names"]
                        .as_array()
                        .is_some_and(|names| names.contains(&json!(name)))
            })
    }

    #[test]
    fn what_opens_the_kernel_is_not_on_the_list() {
        let with_all = profile_for("x86_64", &["CAP_SYS_CHROOT", "CAP_SYS_PTRACE"]);
        for name in "mount umount2 unshare setns bpf perf_event_open keyctl add_key request_key init_module kexec_load \
                     open_by_handle_at reboot swapon io_uring_setup userfaultfd settimeofday quotactl pivot_root syslog"
            .split_ascii_whitespace()
        {
            assert!(!allows(&with_all, name), "{name}");
        }
    }

    #[test]
    fn capabilities_and_architectures_open_their_own() {
        let rows = [
            ("x86_64", &["CAP_SYS_CHROOT"][..], "chroot", true),
            ("x86_64", &[], "chroot", false),
            ("x86_64", &["CAP_SYS_PTRACE"], "pidfd_getfd", true),
            ("x86_64", &[], "pidfd_getfd", false),
            ("x86_64", &[], "arch_prctl", true),
            ("aarch64", &[], "arch_prctl", false),
            ("aarch64", &[], "cacheflush", true),
        ];
        for (arch, granted, name, want) in rows {
            assert_eq!(
                allows(&profile_for(arch, granted), name),
                want,
                "{arch} {granted:?} {name}"
            );
        }
        assert_eq!(
            profile_for("aarch64", &[])["architectures"][1],
            "SCMP_ARCH_ARM"
        );
    }

    #[test]
    fn no_name_is_twice() {
        let mut names: Vec<&str> = ALWAYS.split_ascii_whitespace().collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
