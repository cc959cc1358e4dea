//! Which devices a container may make and open: the memory devices that are harmless, and terminals of its own.
//!
//! A container's root has CAP_MKNOD: without this it makes a node for the host's disk and reads it. Making is refused
//! like opening, since a node that lies in a layer or volume is on the host's disk as well. OCI runtimes allow more by
//! themselves, libcontainer (0.7) the host's console (5:1) and tun (10:200).
//!
//! On v1 the OCI runtime writes `devices.allow` and `devices.deny` of the container's group, and what it allowed is
//! taken away again before the container's command runs ([`restrict_container`]). v2 has no such files: a BPF program
//! attached to the group decides. libcontainer leaves that out unless it is built with libbpf, so the task's group
//! carries the program, for all containers below it, whatever runtime makes them. It is thirty instructions, written
//! out here.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::Path;

use crate::files::{AtPath as _, CgroupError, write};
use crate::layout::Layout;

// linux/bpf.h
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_ATTACH: libc::c_long = 8;
const BPF_PROG_QUERY: libc::c_long = 16;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
/// Programs of groups below run too, and all must allow.
const BPF_F_ALLOW_MULTI: u32 = 2;
const BPF_DEVCG_DEV_CHAR: i32 = 2;

const MEMORY_MAJOR: i32 = 1;
/// null, zero, full, random, urandom.
const MEMORY_MINORS: [i32; 5] = [3, 5, 7, 8, 9];
const TTY_MAJOR: i32 = 5;
/// tty and ptmx. Not the host's console: a container's own is one of its pseudo-terminals.
const TTY_MINORS: [i32; 2] = [0, 2];
const PTS_MAJOR: i32 = 136;

/// On v1, sets what a container may make and open, whatever its runtime allowed it; `cgroups_path` is the
/// `linux.cgroupsPath` of its spec. On v2 the task's group has said so before.
pub fn restrict_container(layout: &Layout, cgroups_path: &str) -> Result<(), CgroupError> {
    let Layout::V1 { controllers, .. } = layout else {
        return Ok(());
    };
    // A kernel without the controller restricts nothing, and doctor's machine checks do not ask for it.
    let Some(mount) = controllers.get("devices") else {
        return Ok(());
    };
    let group = mount.join(cgroups_path.trim_start_matches('/'));
    write(&group.join("devices.deny"), "a")?;
    for device in allowed() {
        write(&group.join("devices.allow"), &device)?;
    }
    Ok(())
}

/// In the words of v1.
fn allowed() -> impl Iterator<Item = String> {
    let minors = |major: i32, minors: &'static [i32]| {
        minors
            .iter()
            .map(move |minor| format!("c {major}:{minor} rwm"))
    };
    minors(MEMORY_MAJOR, &MEMORY_MINORS)
        .chain(minors(TTY_MAJOR, &TTY_MINORS))
        .chain([format!("c {PTS_MAJOR}:* rwm")])
}

/// On v2, lets processes below `group` make and open what every container may. A second call changes nothing.
pub(crate) fn restrict(group: &Path) -> Result<(), CgroupError> {
    let dir = File::open(group).at(group)?;
    if attached(&dir).at(group)? == 0 {
        attach(&dir, &load().at(group)?).at(group)?;
    }
    Ok(())
}

/// The attributes of the three commands are unions of one structure; each has the size that its fields need.
#[repr(C)]
#[derive(Default)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    /// log_level, log_size, log_buf, kern_version, prog_flags, prog_name, prog_ifindex, expected_attach_type.
    rest: [u32; 12],
}

#[repr(C)]
#[derive(Default)]
struct AttachAttr {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct QueryAttr {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    padding: u32,
}

fn bpf<A>(command: libc::c_long, attr: &mut A) -> io::Result<libc::c_long> {
    // SAFETY: `attr` is one of the structures above, laid out as the kernel's, passed with its size; the addresses
    // in it belong to values that live through the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attr),
            size_of::<A>(),
        )
    };
    match result {
        -1 => Err(io::Error::last_os_error()),
        result => Ok(result),
    }
}

fn load() -> io::Result<OwnedFd> {
    let program = program();
    let mut attr = LoadAttr {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: program.len() as u32,
        insns: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        ..LoadAttr::default()
    };
    let fd = bpf(BPF_PROG_LOAD, &mut attr)?;
    // SAFETY: a descriptor that the kernel just made for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

fn attach(group: &File, program: &OwnedFd) -> io::Result<()> {
    let mut attr = AttachAttr {
        target_fd: group.as_raw_fd() as u32,
        attach_bpf_fd: program.as_raw_fd() as u32,
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: BPF_F_ALLOW_MULTI,
    };
    bpf(BPF_PROG_ATTACH, &mut attr).map(|_| ())
}

fn attached(group: &File) -> io::Result<u32> {
    let mut attr = QueryAttr {
        target_fd: group.as_raw_fd() as u32,
        attach_type: BPF_CGROUP_DEVICE,
        ..QueryAttr::default()
    };
    bpf(BPF_PROG_QUERY, &mut attr)?;
    Ok(attr.prog_cnt)
}

/// `struct bpf_insn`: operation, registers, jump offset, immediate.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// Answers 1 (allow) or 0, for any access. Input is `struct bpf_cgroup_dev_ctx`: access << 16 | type, major, minor.
fn program() -> Vec<Instruction> {
    const CONTEXT: u8 = 1;
    const KIND: u8 = 2;
    const MAJOR: u8 = 4;
    const MINOR: u8 = 5;
    let load = |to: u8, offset| Instruction {
        code: 0x61,
        registers: to | CONTEXT << 4,
        offset,
        immediate: 0,
    };
    let and = |register, immediate| Instruction {
        code: 0x57,
        registers: register,
        offset: 0,
        immediate,
    };
    let if_equal = |register, immediate, offset| Instruction {
        code: 0x15,
        registers: register,
        offset,
        immediate,
    };
    let unless_equal = |register, immediate, offset| Instruction {
        code: 0x55,
        registers: register,
        offset,
        immediate,
    };
    let set = |register, immediate| Instruction {
        code: 0xb7,
        registers: register,
        offset: 0,
        immediate,
    };
    let exit = Instruction {
        code: 0x95,
        registers: 0,
        offset: 0,
        immediate: 0,
    };

    let mut code = vec![
        load(KIND, 0),
        load(MAJOR, 4),
        load(MINOR, 8),
        and(KIND, 0xffff),
    ];
    // Each of these jumps to "allow"; how far is known at the end.
    let mut to_allow = Vec::new();
    let to_deny = code.len();
    code.push(unless_equal(KIND, BPF_DEVCG_DEV_CHAR, 0));
    to_allow.push(code.len());
    code.push(if_equal(MAJOR, PTS_MAJOR, 0));
    for (major, minors) in [
        (MEMORY_MAJOR, &MEMORY_MINORS[..]),
        (TTY_MAJOR, &TTY_MINORS[..]),
    ] {
        code.push(unless_equal(MAJOR, major, minors.len() as i16));
        for minor in minors {
            to_allow.push(code.len());
            code.push(if_equal(MINOR, *minor, 0));
        }
    }
    let deny = code.len();
    code.extend([set(0, 0), exit, set(0, 1), exit]);
    code[to_deny].offset = (deny - to_deny - 1) as i16;
    for at in to_allow {
        code[at].offset = (deny + 2 - at - 1) as i16;
    }
    code
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// On any v2 tree, that of a hybrid host too. What would be lost: that the kernel takes the program and that it
    /// tells the right devices apart.
    #[test]
    fn the_kernel_asks_the_program() {
        let layout = crate::Layout::detect().expect("control groups");
        let unified = match &layout {
            crate::Layout::V2 { root } => Some(root.clone()),
            crate::Layout::V1 { other, .. } => other
                .iter()
                .find(|point| point.ends_with("unified"))
                .cloned(),
        };
        let group =
            unified.map(|root| root.join(format!("neargate-devices-{}", std::process::id())));
        let Some(group) = group.filter(|group| std::fs::create_dir(group).is_ok()) else {
            eprintln!("skipped: no v2 tree, or not writable");
            return;
        };
        let result = restrict(&group).and_then(|()| restrict(&group));
        let count = File::open(&group).and_then(|dir| attached(&dir));
        // A shell that joins the group and then makes and opens devices; 1:11 is the kernel's log, 1:3 is null.
        let dir = tempfile::tempdir().expect("a temporary directory");
        let script = "cd \"$2\"; mknod kmsg c 1 11; mknod console c 5 1; mknod tun c 10 200; mknod disk b 8 0; \
                      echo $$ >\"$1/cgroup.procs\"; mknod null c 1 3; (: <null) && echo null; \
                      for open in kmsg console tun disk; do (: <$open) && echo $open; done 2>&1 | grep -c permitted; \
                      for make in 'c 1 11' 'c 5 1' 'c 10 200' 'b 8 0'; do mknod new $make && echo $make; done; :";
        let shell = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(&group)
            .arg(dir.path())
            .output();
        crate::tree::remove(&group).expect("removed");
        result.expect("restricted, twice");
        assert_eq!(count.expect("asked"), 1, "attached once");
        let shell = shell.expect("sh runs");
        let errors = String::from_utf8_lossy(&shell.stderr);
        assert_eq!(
            String::from_utf8_lossy(&shell.stdout),
            "null\n4\n",
            "{errors}"
        );
    }
}
