//! Seccomp: from the profile in `config.json` to a BPF program, kept for the next container, loaded by the process.
//!
//! libcontainer can install a profile itself, but we do it for four reasons:
//! - it reads the two values of `SCMP_CMP_MASKED_EQ` the wrong way round (0.7.0), which turns Docker's rule for
//!   `clone` into "always", and with it user namespaces become possible;
//! - a process that joins a container (`exec`) would get no profile at all;
//! - system calls newer than the profile would answer EPERM, where runc answers ENOSYS so that the C library falls
//!   back to an older call;
//! - building the program takes milliseconds, and all containers have one of a handful of profiles.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::AsFd;
use std::path::Path;

use libseccomp::{
    ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall,
};
use neargate_files::private;
use nix::sys::memfd::{MFdFlags, memfd_create};
use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompFilterFlag,
    LinuxSeccompOperator,
};

/// Directory of compiled profiles below `--root`. No container's id may hold an `@`.
const CACHE_DIR: &str = "@seccomp";
/// BPF_MAXINSNS of the kernel: a longer program is refused.
const MAX_INSTRUCTIONS: usize = 4096;
const INSTRUCTION_BYTES: usize = size_of::<libc::sock_filter>();

/// A program for seccomp(2), ready to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    /// `struct sock_filter`s in the kernel's layout.
    program: Vec<u8>,
    flags: u32,
}

type Result<T> = std::result::Result<T, String>;

/// The program for a profile: from the cache below `root`, or compiled and put there.
pub(crate) fn of_profile(root: &Path, profile: &LinuxSeccomp) -> Result<Filter> {
    let flags = flags_of(profile);
    let text = serde_json::to_vec(profile).map_err(|error| error.to_string())?;
    let dir = root.join(CACHE_DIR);
    let path = dir.join(format!("{:016x}", checksum(&text)));
    if let Some(program) = read_cache(&path, &text) {
        return Ok(Filter { program, flags });
    }
    let program = compile(profile)?;
    // Not being able to keep it costs time and nothing else.
    let _ = write_cache(&dir, &path, &text, &program);
    Ok(Filter { program, flags })
}

/// A cache file is the profile's length, the profile, the program: a checksum alone would not be proof enough.
fn read_cache(path: &Path, text: &[u8]) -> Option<Vec<u8>> {
    let bytes = std::fs::read(path).ok()?;
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let (kept, program) =
        rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    (kept == text && is_program(program)).then(|| program.to_vec())
}

fn write_cache(dir: &Path, path: &Path, text: &[u8], program: &[u8]) -> std::io::Result<()> {
    private::make_dir(dir)?;
    let draft = path.with_extension(std::process::id().to_string());
    let mut file = private::create(&draft)?;
    file.write_all(&(text.len() as u64).to_le_bytes())?;
    file.write_all(text)?;
    file.write_all(program)?;
    drop(file);
    // Whole or not at all, whoever else starts a container now.
    std::fs::rename(&draft, path)
}

fn is_program(bytes: &[u8]) -> bool {
    let count = bytes.len() / INSTRUCTION_BYTES;
    bytes.len().is_multiple_of(INSTRUCTION_BYTES) && (1..=MAX_INSTRUCTIONS).contains(&count)
}

/// FNV-1a: names the file, proves nothing.
fn checksum(text: &[u8]) -> u64 {
    text.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

impl Filter {
    /// From here on the profile holds for this thread and all it becomes. Needs CAP_SYS_ADMIN or no_new_privs.
    pub(crate) fn install(&self) -> std::io::Result<()> {
        let count = self.program.len() / INSTRUCTION_BYTES;
        // A copy, because a byte vector need not be aligned for the structure.
        let mut aligned: Vec<libc::sock_filter> = Vec::with_capacity(count);
        // SAFETY: the vector has room for `count` instructions, the source holds exactly that many bytes
        // (`is_program`), any bit pattern is a valid sock_filter, and the two cannot overlap.
        unsafe {
            std::ptr::copy_nonoverlapping(
                self.program.as_ptr(),
                aligned.as_mut_ptr().cast::<u8>(),
                self.program.len(),
            );
            aligned.set_len(count);
        }
        let program = libc::sock_fprog {
            len: count as libc::c_ushort,
            filter: aligned.as_mut_ptr(),
        };
        // SAFETY: `program` and the instructions live through the call; the kernel copies them.
        let done = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                self.flags,
                &raw const program,
            )
        };
        match done {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    }
}

fn flags_of(profile: &LinuxSeccomp) -> u32 {
    profile.flags().iter().flatten().fold(0, |flags, flag| {
        flags
            | match flag {
                LinuxSeccompFilterFlag::SeccompFilterFlagLog => {
                    libc::SECCOMP_FILTER_FLAG_LOG as u32
                }
                LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => {
                    libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW as u32
                }
                // One thread has no others to synchronise, and there is no supervisor to wait for.
                _ => 0,
            }
    })
}

fn compile(profile: &LinuxSeccomp) -> Result<Vec<u8>> {
    let because = |error: libseccomp::error::SeccompError| error.to_string();
    let default = action_of(profile.default_action(), profile.default_errno_ret())?;
    let mut context = ScmpFilterContext::new(default).map_err(because)?;
    let mut architectures = vec![ScmpArch::native()];
    for arch in profile.architectures().iter().flatten() {
        let arch = arch_of(*arch)?;
        context.add_arch(arch).map_err(because)?;
        architectures.push(arch);
    }
    for rule in profile.syscalls().iter().flatten() {
        let action = action_of(rule.action(), rule.errno_ret())?;
        if action == default {
            continue;
        }
        let conditions: Vec<ScmpArgCompare> =
            rule.args().iter().flatten().map(condition_of).collect();
        // Unknown here means newer than the installed libseccomp; see `answer_newer_calls`.
        for syscall in rule
            .names()
            .iter()
            .filter_map(|name| ScmpSyscall::from_name(name).ok())
        {
            let mut indices: Vec<usize> = rule
                .args()
                .iter()
                .flatten()
                .map(LinuxSeccompArg::index)
                .collect();
            indices.sort_unstable();
            let several_on_one = indices.windows(2).any(|pair| pair[0] == pair[1]);
            if conditions.is_empty() {
                context.add_rule(action, syscall).map_err(because)?;
            } else if several_on_one {
                // libseccomp takes one condition for each argument; runc makes alternatives of the others.
                for condition in &conditions {
                    context
                        .add_rule_conditional(action, syscall, &[*condition])
                        .map_err(because)?;
                }
            } else {
                context
                    .add_rule_conditional(action, syscall, &conditions)
                    .map_err(because)?;
            }
        }
    }
    let memory =
        memfd_create(c"seccomp", MFdFlags::MFD_CLOEXEC).map_err(|errno| errno.to_string())?;
    let mut memory = File::from(memory);
    context.export_bpf(memory.as_fd()).map_err(because)?;
    let mut program = Vec::new();
    memory
        .rewind()
        .and_then(|()| memory.read_to_end(&mut program))
        .map_err(|error| error.to_string())?;
    let mut whole = answer_newer_calls(profile, &architectures);
    whole.extend(program);
    match is_program(&whole) {
        true => Ok(whole),
        false => Err("the seccomp profile is too long for the kernel".to_owned()),
    }
}

/// Instructions to stand before the filter: a call with a number above all that the profile knows answers ENOSYS.
///
/// Such a call did not exist when the profile (or libseccomp) was made. EPERM would tell a program "forbidden", and
/// it would give up; ENOSYS tells it "old kernel", for which it has an answer.
fn answer_newer_calls(profile: &LinuxSeccomp, architectures: &[ScmpArch]) -> Vec<u8> {
    // linux/audit.h; the table of x32 has its own numbers, far above, and is left to the filter.
    let known = [
        (ScmpArch::X8664, 0xc000_003e),
        (ScmpArch::X86, 0x4000_0003),
        (ScmpArch::Aarch64, 0xc000_00b7),
        (ScmpArch::Arm, 0x4000_0028),
    ];
    const X32_BIT: u32 = 0x4000_0000;
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const IF_GREATER: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
    const IF_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    // Offsets in struct seccomp_data.
    const NUMBER: u32 = 0;
    const ARCHITECTURE: u32 = 4;
    let mut code = Vec::new();
    for (arch, audit) in known
        .into_iter()
        .filter(|(arch, _)| architectures.contains(arch))
    {
        let names = profile
            .syscalls()
            .iter()
            .flatten()
            .flat_map(|rule| rule.names());
        let numbers = names.filter_map(|name| ScmpSyscall::from_name_by_arch(name, arch).ok());
        // Negative numbers are libseccomp's own, for calls that the architecture does not have. The private calls
        // of 32-bit Arm lie far above the table and must not raise the bound.
        const TABLE_END: i32 = 0x1000;
        let Some(last) = numbers
            .map(ScmpSyscall::as_raw_syscall)
            .filter(|n| (0..TABLE_END).contains(n))
            .max()
        else {
            continue;
        };
        code.extend([
            instruction(LOAD, 0, 0, ARCHITECTURE),
            instruction(IF_EQUAL, 0, 4, audit),
            instruction(LOAD, 0, 0, NUMBER),
            // Numbers outside of the table (x32, Arm's private calls) are not "newer".
            instruction(
                IF_AT_LEAST,
                2,
                0,
                if arch == ScmpArch::Arm {
                    TABLE_END as u32
                } else {
                    X32_BIT
                },
            ),
            instruction(IF_GREATER, 0, 1, last as u32),
            instruction(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
        ]);
    }
    code.concat()
}

fn instruction(code: u16, if_true: u8, if_false: u8, k: u32) -> [u8; INSTRUCTION_BYTES] {
    let mut bytes = [0; INSTRUCTION_BYTES];
    bytes[..2].copy_from_slice(&code.to_ne_bytes());
    bytes[2] = if_true;
    bytes[3] = if_false;
    bytes[4..].copy_from_slice(&k.to_ne_bytes());
    bytes
}

fn condition_of(arg: &LinuxSeccompArg) -> ScmpArgCompare {
    use LinuxSeccompOperator as Op;
    // An index above 5 is refused by libseccomp when the rule is added.
    let index = u32::try_from(arg.index()).unwrap_or(u32::MAX);
    let (op, value) = match arg.op() {
        Op::ScmpCmpNe => (ScmpCompareOp::NotEqual, arg.value()),
        Op::ScmpCmpLt => (ScmpCompareOp::Less, arg.value()),
        Op::ScmpCmpLe => (ScmpCompareOp::LessOrEqual, arg.value()),
        Op::ScmpCmpEq => (ScmpCompareOp::Equal, arg.value()),
        Op::ScmpCmpGe => (ScmpCompareOp::GreaterEqual, arg.value()),
        Op::ScmpCmpGt => (ScmpCompareOp::Greater, arg.value()),
        // OCI: `value` is the mask, `valueTwo` what must come out.
        Op::ScmpCmpMaskedEq => (
            ScmpCompareOp::MaskedEqual(arg.value()),
            arg.value_two().unwrap_or(0),
        ),
    };
    ScmpArgCompare::new(index, op, value)
}

fn action_of(action: LinuxSeccompAction, errno: Option<u32>) -> Result<ScmpAction> {
    use LinuxSeccompAction as Action;
    let errno =
        i32::try_from(errno.unwrap_or(libc::EPERM as u32)).map_err(|error| error.to_string())?;
    Ok(match action {
        Action::ScmpActKill | Action::ScmpActKillThread => ScmpAction::KillThread,
        Action::ScmpActKillProcess => ScmpAction::KillProcess,
        Action::ScmpActTrap => ScmpAction::Trap,
        Action::ScmpActErrno => ScmpAction::Errno(errno),
        Action::ScmpActTrace => {
            ScmpAction::Trace(u16::try_from(errno).map_err(|error| error.to_string())?)
        }
        Action::ScmpActAllow => ScmpAction::Allow,
        Action::ScmpActLog => ScmpAction::Log,
        Action::ScmpActNotify => return Err("SCMP_ACT_NOTIFY is not supported".to_owned()),
    })
}

fn arch_of(arch: Arch) -> Result<ScmpArch> {
    Ok(match arch {
        Arch::ScmpArchNative => ScmpArch::native(),
        Arch::ScmpArchX86 => ScmpArch::X86,
        Arch::ScmpArchX86_64 => ScmpArch::X8664,
        Arch::ScmpArchX32 => ScmpArch::X32,
        Arch::ScmpArchArm => ScmpArch::Arm,
        Arch::ScmpArchAarch64 => ScmpArch::Aarch64,
        other => return Err(format!("seccomp for {other:?} is not supported")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> LinuxSeccomp {
        serde_json::from_value(serde_json::json!({
            "defaultAction": "SCMP_ACT_ERRNO",
            "syscalls": [{ "names": ["read", "write", "a_call_of_the_future"], "action": "SCMP_ACT_ALLOW" }],
        }))
        .expect("a profile")
    }

    #[test]
    fn a_profile_is_compiled_once() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let first = of_profile(root.path(), &profile()).expect("compiles");
        let files: Vec<_> = std::fs::read_dir(root.path().join(CACHE_DIR))
            .expect("kept")
            .flatten()
            .collect();
        assert_eq!(files.len(), 1);
        assert_eq!(
            of_profile(root.path(), &profile()),
            Ok(first.clone()),
            "from the cache"
        );
        // A damaged file is not believed.
        let path = files[0].path();
        let good = std::fs::read(&path).expect("readable");
        for (name, bytes) in [
            ("empty", Vec::new()),
            ("cut", good[..good.len() - 3].to_vec()),
            ("junk", vec![255; 64]),
        ] {
            std::fs::write(&path, bytes).expect("written");
            assert_eq!(
                of_profile(root.path(), &profile()),
                Ok(first.clone()),
                "{name}"
            );
        }
    }

    #[test]
    fn what_is_not_supported_is_said() {
        let mut notify = profile();
        notify.set_default_action(LinuxSeccompAction::ScmpActNotify);
        assert!(compile(&notify).is_err());
        let mut mips = profile();
        mips.set_architectures(Some(vec![Arch::ScmpArchMips]));
        assert!(compile(&mips).is_err());
    }

    /// Result of a system call (0, or the errno) in a child process on which the default profile is installed.
    fn under_default_profile(number: libc::c_long, args: [libc::c_int; 2]) -> i32 {
        let root = tempfile::tempdir().expect("a temporary directory");
        let profile = serde_json::from_value(crate::spec::seccomp::profile(&["CAP_SYS_CHROOT"]))
            .expect("a profile");
        let filter = of_profile(root.path(), &profile).expect("compiles");
        // SAFETY: the child makes system calls only, and ends with _exit.
        match unsafe { nix::unistd::fork() }.expect("forked") {
            nix::unistd::ForkResult::Child => {
                let _ = nix::sys::prctl::set_no_new_privs();
                let code = match filter.install() {
                    Err(_) => 255,
                    // SAFETY: pointers in `args` are null, and whatever the call does, it does it to this child.
                    Ok(()) => match unsafe { libc::syscall(number, args[0], args[1], 0, 0, 0) } {
                        -1 => nix::errno::Errno::last_raw(),
                        _ => 0,
                    },
                };
                // SAFETY: ends this process and nothing else.
                unsafe { libc::_exit(code) }
            }
            nix::unistd::ForkResult::Parent { child } => match nix::sys::wait::waitpid(child, None)
            {
                Ok(nix::sys::wait::WaitStatus::Exited(_, code)) => code,
                other => panic!("{other:?}"),
            },
        }
    }

    #[test]
    fn the_kernel_answers_as_under_docker() {
        const CALL_OF_THE_FUTURE: libc::c_long = 3000;
        for (name, number, args, want) in [
            ("getpid", libc::SYS_getpid, [0, 0], 0),
            (
                "clone of a user namespace",
                libc::SYS_clone,
                [libc::CLONE_NEWUSER | libc::SIGCHLD, 0],
                libc::EPERM,
            ),
            (
                "unshare",
                libc::SYS_unshare,
                [libc::CLONE_NEWUSER, 0],
                libc::EPERM,
            ),
            ("clone3", libc::SYS_clone3, [0, 0], libc::ENOSYS),
            (
                "vsock",
                libc::SYS_socket,
                [libc::AF_VSOCK, libc::SOCK_STREAM],
                libc::EPERM,
            ),
            ("a newer call", CALL_OF_THE_FUTURE, [0, 0], libc::ENOSYS),
        ] {
            assert_eq!(under_default_profile(number, args), want, "{name}");
        }
    }
}
